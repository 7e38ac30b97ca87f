// docs/scenarios.md says what the schema says: every field and step, its default, its limits, and an example that loads.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { loadScenario } from '../../../main/engine/scenario/load.ts';
import { Scenario, ScenarioDomain, Step } from '../../../main/engine/scenario/schema.ts';
import { HostSpec, LIMITS, LinkSpec } from '../../../shared/model.ts';

const text = readFileSync(new URL('../../../docs/scenarios.md', import.meta.url), 'utf8');
/** The rows of the table below a heading: cells without their padding. */
function rows(heading: string): string[][] {
  const section = text.split(/^#+ /m).find((s) => s.startsWith(`${heading}\n`));
  if (!section) expect.fail(`there is no section ${heading}`);
  return section
    .split('\n')
    .filter((l) => /^\| `/.test(l))
    .map((l) => l.split('|').slice(1, -1).map((c) => c.trim())); // prettier-ignore
}
const names = (heading: string): string[] =>
  rows(heading)
    .map((r) => r[0]!.replace(/`/g, ''))
    .sort();
const keys = (schema: z.ZodType): string[] => Object.keys((schema as z.ZodObject).shape).sort();
const [inFull, byXl] = ScenarioDomain.options;

describe('docs/scenarios.md', () => {
  it.each([
    ['Scenario', Scenario],
    ['Host', HostSpec],
    ['Link', LinkSpec],
    ['Domain', inFull],
    ['xl domain', byXl],
  ] as const)('lists every field of a %s and no other', (heading, schema) => {
    expect(names(heading)).toEqual(keys(schema));
  });

  it.each([
    ['Scenario', Scenario, { hosts: [{ name: 'a' }] }],
    ['Host', HostSpec, { name: 'a' }],
    ['Link', LinkSpec, {}],
    ['Domain', inFull, { name: 'a', host: 'a', mode: 'pv', kernel: 'k', memoryMiB: 4 }],
  ] as const)('gives the defaults of a %s, and none to what must be given', (heading, schema, least) => {
    const filled = schema.parse(least) as Record<string, unknown>;
    for (const [field, said] of rows(heading)) {
      const name = field!.replace(/`/g, '');
      if (name in least) expect(said, name).toBe('');
      else if (typeof filled[name] === 'number') expect(said, name).toBe(String(filled[name]));
      else expect(said, name).not.toBe('');
      const { [name]: _left, ...without } = least as Record<string, unknown>;
      if (name in least) expect(schema.safeParse(without).success, name).toBe(false);
    }
  });

  it('names the limits', () => {
    for (const [heading, field, { min, max }] of [
      ['Host', 'pcpus', LIMITS.pcpus],
      ['Host', 'memoryMiB', LIMITS.hostMemoryMiB],
      ['Host', 'clockMHz', LIMITS.clockMHz],
      ['Domain', 'memoryMiB', LIMITS.domainMemoryMiB],
      ['Domain', 'vcpus', LIMITS.vcpus],
    ] as const)
      expect(rows(heading).find((r) => r[0] === `\`${field}\``)![2]).toContain(`${min} to ${max}`);
  });

  it('lists every step', () => {
    expect(names('Steps')).toEqual(Step.options.map((o) => Object.keys(o.shape)[0]!).sort());
  });

  it('has an example that loads', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-docs-'));
    try {
      const file = path.join(folder, 'example.yml');
      writeFileSync(file, /```yaml\n([\s\S]*?)```/.exec(text)![1]!);
      const loaded = loadScenario(file);
      expect(loaded.domains.map((d) => d.spec.name)).toEqual(['one', 'two']);
      expect(loaded.scenario.steps).toHaveLength(6);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
