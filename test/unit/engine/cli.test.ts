// The command line as people run it: exit status, what is printed, the report, and equal digests for equal runs.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../../main/engine/scenario/run.ts';

const cli = fileURLToPath(new URL('../../../main/engine/cli.ts', import.meta.url));
const example = /```yaml\n([\s\S]*?)```/.exec(
  readFileSync(new URL('../../../docs/scenarios.md', import.meta.url), 'utf8'),
)![1]!;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  status: number | null;
  out: string;
  err: string;
}
function lab(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const run: Run = { status: null, out: '', err: '' };
    child.stdout.on('data', (d) => (run.out += d));
    child.stderr.on('data', (d) => (run.err += d));
    child.on('close', (status) => resolve({ ...run, status }));
  });
}
const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);
const report = (name: string): Report => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));

describe('npm run lab', () => {
  it('runs the example of the document: status 0, a report with figures, the same digest each time', async () => {
    write('example.yml', example);
    const first = await lab('example.yml', '--json', 'a.json');
    expect(first.err).toBe('');
    expect(first.out).toMatch(/^Passed: 8 of 8 steps held/m);
    expect(first.status).toBe(0);
    // whether hot code is translated makes no difference either
    const second = await lab('example.yml', '--json', 'b.json', '--quiet', '--interpreter');
    expect(second.status).toBe(0);
    expect(second.out.trim().split('\n')).toHaveLength(1);

    const [a, b] = [report('a.json'), report('b.json')];
    expect(a).toMatchObject({ scenario: 'two guests on one host', seed: 7, passed: true });
    expect(a.steps.every((s) => s.held)).toBe(true);
    expect(a.domains['two']).toMatchObject({ state: 'destroyed', mode: 'pv', host: 'alder' });
    for (const d of Object.values(a.domains)) {
      expect(d.figures!.instructions).toBeGreaterThan(1000);
      expect(Object.keys(d.figures!.hypercalls).length).toBeGreaterThan(0);
      expect(d.consoleBytes).toBeGreaterThan(0);
      expect(d.virtualNs).toBeGreaterThan(0);
      expect(d.wallMs).toBeGreaterThan(0);
    }
    expect(a.digest).toMatch(/^[0-9a-f]{64}$/);
    // everything but what this computer's clock measured
    const history = ({ wallMs: _, steps, domains, ...rest }: Report): unknown => ({
      ...rest,
      at: steps.map((s) => s.at),
      domains: Object.entries(domains).map(([name, { wallMs: _wall, ...d }]) => ({ name, ...d })),
    });
    expect(history(b)).toEqual(history(a));

    // another history has another digest
    write('other.yml', example.replace('"uptime\\n"', '"uptime \\n"'));
    expect((await lab('other.yml', '--json', 'c.json', '--quiet')).status).toBe(0);
    expect(report('c.json').digest).not.toBe(a.digest);
    expect(readdirSync(folder).sort()).toEqual(['a.json', 'b.json', 'c.json', 'example.yml', 'other.yml']);
  });

  it('ends with status 1 at the first step that does not hold, with what was expected and the last lines', async () => {
    write('fails.yml', `${example}  - expect: { domain: one, text: 'no such words', within: 20ms }\n  - pause: one\n`);
    const run = await lab('fails.yml', '--json', 'report.json');
    expect(run.status).toBe(1);
    expect(run.out).toContain('Expected "no such words" from one');
    expect(run.out).toMatch(/up \d+\.\d+ s/);
    expect(run.out).toMatch(/^Failed: 8 of 10 steps held/m);
    const { passed, steps } = report('report.json');
    expect(passed).toBe(false);
    expect(steps).toHaveLength(9);
    expect(steps.at(-1)!.held).toBe(false);
    expect(steps.at(-1)!.message).toContain('no such words');
  });

  it('boots a guest that reboots again, in its place', async () => {
    write(
      'reboot.yml',
      `hosts: [{ name: alder, pcpus: 1, memoryMiB: 64, clockMHz: 250 }]
domains: [{ name: one, host: alder, mode: pvh, kernel: 'builtin:dinghy-hw64', memoryMiB: 16 }]
steps:
  - expect: { domain: one, text: '$ ', within: 5s }
  - type: { domain: one, text: "reboot\\n" }
  - expect: { domain: one, text: '$ ', within: 5s }
  - type: { domain: one, text: "uptime\\n" }
  - expect: { domain: one, regex: 'up \\d', within: 2s }
  - assert: { figure: domains.one.createdAt, above: 0 }
`,
    );
    const run = await lab('reboot.yml');
    expect(run.out).toMatch(/^Passed: 7 of 7 steps held/m);
    expect(run.status).toBe(0);
  });

  it('ends with status 1 when a figure is not as asserted', async () => {
    write('figure.yml', example.replace('above: 1000', 'below: 1000'));
    const run = await lab('figure.yml');
    expect(run.status).toBe(1);
    expect(run.out).toMatch(/domains\.one\.figures\.instructions is \d+, not below 1000\./);
  });

  it.each([
    ['a scenario that is not there', ['no.yml', '--json', 'report.json'], /no\.yml.*does not exist/],
    ['a scenario that is wrong', ['wrong.yml', '--json', 'report.json'], /wrong\.yml, hosts\[0\]\.pcpus: found 99/],
    ['a step that does not exist', ['later.yml', '--json', 'report.json'], /no step "teleport"/],
    ['no scenario', [], /exactly one scenario[\s\S]*Usage:/],
    ['two scenarios', ['a.yml', 'b.yml'], /Found 2 files[\s\S]*Usage:/],
    ['an unknown option', ['wrong.yml', '--fast'], /--fast[\s\S]*Usage:/],
  ])('refuses %s with status 2 and writes nothing', async (_what, args, sentence) => {
    write('wrong.yml', 'hosts: [{ name: alder, pcpus: 99 }]\n');
    write('later.yml', 'hosts: [{ name: alder }]\nsteps: [{ teleport: { domain: a } }]\n');
    const run = await lab(...args);
    expect(run.status).toBe(2);
    expect(run.out).toBe('');
    expect(run.err).toMatch(sentence);
    expect(existsSync(path.join(folder, 'report.json'))).toBe(false);
  });

  it('refuses to start when the report cannot be written', async () => {
    write('example.yml', example);
    const run = await lab('example.yml', '--json', path.join('missing', 'report.json'));
    expect(run.status).toBe(2);
    expect(run.out).toBe('');
    expect(run.err).toContain('missing');
  });
});
