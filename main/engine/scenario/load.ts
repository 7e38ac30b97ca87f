// Reads a scenario file: YAML, schema, names, paths, xl.cfg files. Everything that can be refused is refused here.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { BulkheadError } from '../../../shared/errors.ts';
import { DomainSpec } from '../../../shared/model.ts';
import { readXlConfig, xlPaths } from '../../toolstack/xl-config.ts';
import { Scenario, Step } from './schema.ts';

/** Names of the steps there are. */
const STEPS = Step.options.map((o) => Object.keys(o.shape)[0]!);

export interface LoadedScenario {
  file: string;
  scenario: Scenario;
  domains: { host: string; spec: DomainSpec }[];
  /** xl.cfg keys that are not honoured, as `file: key`. */
  ignored: string[];
}

export function refuse(file: string, field: string, found: string, allowed: string): BulkheadError {
  return new BulkheadError({
    code: 'scenario-invalid',
    what: `${path.basename(file)}${field ? `, ${field}` : ''}: ${found}.`,
    why: '',
    action: `Allowed: ${allowed}.`,
    field,
  });
}

const fieldOf = (p: PropertyKey[]): string =>
  p.reduce<string>((s, k) => (typeof k === 'number' ? `${s}[${k}]` : s ? `${s}.${String(k)}` : String(k)), '');

/** The most telling issue of a union is that of the branch that got furthest. */
function deepest(issue: z.core.$ZodIssue, base: PropertyKey[] = []): { path: PropertyKey[]; message: string } {
  const here = [...base, ...issue.path];
  if (issue.code !== 'invalid_union') return { path: here, message: issue.message };
  let best = { path: here, message: issue.message };
  for (const branch of issue.errors)
    for (const inner of branch) {
      const d = deepest(inner, here);
      if (d.path.length > best.path.length) best = d;
    }
  if (best.path.length === here.length) {
    const expected = issue.errors.map(
      (b) => b.find((i) => i.code === 'invalid_type' || i.code === 'unrecognized_keys')?.message,
    );
    best.message = expected.find((m) => m !== undefined) ?? best.message;
  }
  return best;
}

function valueAt(root: unknown, p: PropertyKey[]): string {
  let v: unknown = root;
  for (const k of p) v = (v as Record<PropertyKey, unknown> | undefined)?.[k];
  return v === undefined ? 'it is missing' : `found ${JSON.stringify(v)?.slice(0, 80)}`;
}

/** @throws BulkheadError `scenario-invalid` that names the field, what was found and what is allowed. */
export function loadScenario(file: string): LoadedScenario {
  const folder = path.dirname(path.resolve(file));
  let raw: unknown;
  try {
    raw = parse(readFileSync(file, 'utf8'));
  } catch (e) {
    const message = (e as Error).message.split('\n')[0]!;
    throw refuse(
      file,
      '',
      (e as NodeJS.ErrnoException).code === 'ENOENT' ? 'the file does not exist' : message,
      'a YAML file, see docs/scenarios.md',
    );
  }
  if (raw === null || typeof raw !== 'object')
    throw refuse(file, '', 'it holds no scenario', 'hosts, domains and steps, see docs/scenarios.md');
  const steps = (raw as { steps?: unknown }).steps;
  if (Array.isArray(steps))
    steps.forEach((s: unknown, n) => {
      const verbs = typeof s === 'object' && s !== null ? Object.keys(s) : [];
      if (verbs.length !== 1)
        throw refuse(file, `steps[${n}]`, `found ${JSON.stringify(s)?.slice(0, 80)}`, `one of ${STEPS.join(', ')}`);
      const verb = verbs[0]!;
      if (!STEPS.includes(verb)) throw refuse(file, `steps[${n}]`, `there is no step "${verb}"`, STEPS.join(', '));
    });
  const parsed = Scenario.safeParse(raw);
  if (!parsed.success) {
    const issue = deepest(parsed.error.issues[0]!);
    throw refuse(file, fieldOf(issue.path), valueAt(raw, issue.path), issue.message);
  }
  const scenario = parsed.data;
  const at = (p: string): string => (p.startsWith('builtin:') ? p : path.resolve(folder, p));
  const ignored: string[] = [];
  const hosts = new Set<string>();
  scenario.hosts.forEach((h, n) => {
    if (hosts.has(h.name))
      throw refuse(file, `hosts[${n}].name`, `"${h.name}" is used twice`, 'a name of its own for every host');
    hosts.add(h.name);
  });
  const names = new Set<string>();
  const domains = scenario.domains.map((d, n) => {
    const field = `domains[${n}]`;
    if (!hosts.has(d.host)) throw refuse(file, `${field}.host`, `there is no host "${d.host}"`, [...hosts].join(', '));
    let input: Record<string, unknown>;
    if ('xl' in d) {
      const config = path.resolve(folder, d.xl);
      if (!existsSync(config))
        throw refuse(file, `${field}.xl`, `the file ${d.xl} does not exist`, 'a path relative to the scenario');
      const xl = readXlConfig(readFileSync(config, 'utf8'), d.xl);
      ignored.push(...xl.ignored.map((k) => `${d.xl}: ${k}`));
      input = { ...xlPaths(xl.spec, path.dirname(config)), ...(d.name ? { name: d.name } : {}) };
    } else {
      const { host: _host, ...rest } = d;
      input = { ...rest, kernel: at(d.kernel), disks: d.disks.map((x) => ({ ...x, path: at(x.path) })) };
      if (d.ramdisk !== undefined) input.ramdisk = at(d.ramdisk);
    }
    const spec = DomainSpec.safeParse(input);
    if (!spec.success) {
      const issue = spec.error.issues[0]!;
      throw refuse(file, `${field}.${fieldOf(issue.path)}`, valueAt(input, issue.path), issue.message);
    }
    if (names.has(spec.data.name))
      throw refuse(file, `${field}.name`, `"${spec.data.name}" is used twice`, 'a name of its own for every domain');
    names.add(spec.data.name);
    for (const [key, p] of [
      ['kernel', spec.data.kernel],
      ['ramdisk', spec.data.ramdisk],
      ...spec.data.disks.map((x, k) => [`disks[${k}].path`, x.path]),
    ] as const)
      if (p !== undefined && !p.startsWith('builtin:') && !existsSync(p))
        throw refuse(
          file,
          `${field}.${key}`,
          `the file ${p} does not exist`,
          'a path relative to the scenario, or builtin:<name>',
        );
    return { host: d.host, spec: spec.data };
  });
  const saved = new Set<string>();
  scenario.steps.forEach((s, n) => {
    const [verb, v] = Object.entries(s)[0]!;
    if ('save' in s) saved.add((s.save.file = path.resolve(folder, s.save.file)));
    if ('capture' in s && s.capture.file !== undefined) s.capture.file = path.resolve(folder, s.capture.file);
    const domain = typeof v === 'string' ? v : (v as { domain?: string }).domain;
    if (verb === 'expect' && (v as { regex?: string }).regex !== undefined)
      try {
        new RegExp((v as { regex: string }).regex);
      } catch (e) {
        throw refuse(file, `steps[${n}].expect.regex`, (e as Error).message, 'a regular expression of JavaScript');
      }
    const [place, to] = 'migrate' in s ? ['to', s.migrate.to] : 'restore' in s ? ['host', s.restore.host] : ['', null];
    if (to !== null && !hosts.has(to))
      throw refuse(file, `steps[${n}].${verb}.${place}`, `there is no host "${to}"`, [...hosts].join(', '));
    if ('restore' in s) {
      const given = s.restore.file;
      s.restore.file = path.resolve(folder, given);
      if (!saved.has(s.restore.file) && !existsSync(s.restore.file))
        throw refuse(
          file,
          `steps[${n}].restore.file`,
          `the file ${given} does not exist, and no earlier step saves to it`,
          'a path relative to the scenario',
        );
    }
    if (domain !== undefined && !names.has(domain))
      throw refuse(
        file,
        `steps[${n}].${verb}`,
        `there is no domain "${domain}"`,
        [...names].join(', ') || 'none: the scenario has no domains',
      );
    // from here on there is a domain of this name
    if ('restore' in s) names.add(s.restore.name);
    else if ('clone' in s) names.add(s.clone.name);
  });
  return { file, scenario, domains, ignored };
}
