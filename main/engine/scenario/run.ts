// Goes through a scenario: builds the lab, creates the domains at time 0, does one step after the other, stops at the first that does not hold.

import { createHash } from 'node:crypto';
import { BulkheadError, toSentences } from '../../../shared/errors.ts';
import type { MigrationReport } from '../../../shared/migration-service.ts';
import type { Figures } from '../../../shared/model.ts';
import { PRESETS } from '../../toolstack/migration/policy.ts';
import type { Lab, LabDomain } from '../lab.ts';
import { SAVE_LIMIT_NS } from '../saving.ts';
import type { LoadedScenario } from './load.ts';
import type { Step } from './schema.ts';

/** Without a time given, a wall-clock limit still ends a lab that makes no progress. */
const EXPECT_WALL_LIMIT_MS = 20 * 60_000;

export interface StepReport {
  step: Record<string, unknown>;
  held: boolean;
  /** Lab time when it ended, ns. */
  at: number;
  wallMs: number;
  message?: string;
}
export interface DomainReport {
  state: string;
  reason: string | null;
  host: string;
  mode: string;
  /** What it has now: less than it was built with when its balloon is inflated. */
  memoryMiB: number;
  /** Lab time at which it was created, ns. */
  createdAt: number;
  /** How long it has existed: lab time, ns. */
  virtualNs: number;
  /** The same on this computer's clock, ms; null for a domain the scenario did not create itself. */
  wallMs: number | null;
  /** Lab time its vCPUs ran, ns. */
  cpuNs: number;
  consoleBytes: number;
  /** null for a domain whose host was lost. */
  figures: Figures | null;
}
export interface Report {
  scenario: string;
  seed: number;
  passed: boolean;
  steps: StepReport[];
  virtualNs: number;
  wallMs: number;
  /** By name; a destroyed domain as it was just before, its state `destroyed`. */
  domains: Record<string, DomainReport>;
  /** Every migration, oldest first. */
  migrations: MigrationReport[];
  ignored: string[];
  /** SHA-256 over all architectural state and all console output. */
  digest: string;
}

/** What has been searched of each console, so that an `expect` sees only what came after the last one's match. */
type Seen = Map<string, number>;

/** Last figures and output of the domains that a step destroyed; without them the report would forget that they ever ran. */
type Gone = Map<string, { report: DomainReport; console: Uint8Array }>;

export async function runScenario(lab: Lab, loaded: LoadedScenario, log: (line: string) => void): Promise<Report> {
  const started = performance.now();
  const { scenario } = loaded;
  const steps: StepReport[] = [];
  const seen: Seen = new Map();
  const gone: Gone = new Map();
  let passed = true;
  for (const h of scenario.hosts) await lab.addHost(h);
  lab.editLink(scenario.link);
  const attempt = async (step: Record<string, unknown>, body: () => Promise<string | null>): Promise<void> => {
    const wall = performance.now();
    let message: string | null;
    try {
      message = await body();
    } catch (e) {
      const s = toSentences(e);
      message = `${s.what} ${s.why} ${s.action}${s.code === 'internal' ? `\n${s.details ?? ''}` : ''}`;
    }
    const report: StepReport = {
      step,
      held: message === null,
      at: lab.clock.now,
      wallMs: Math.round(performance.now() - wall),
    };
    if (message !== null) {
      report.message = message;
      passed = false;
    }
    steps.push(report);
    const shown = JSON.stringify(step);
    log(
      `${report.held ? 'ok  ' : 'FAIL'} ${(report.at / 1e9).toFixed(6)} s  ${shown.length > 160 ? `${shown.slice(0, 157)}...` : shown}`,
    );
    if (message !== null) log(message);
  };
  for (const d of loaded.domains) {
    if (!passed) break;
    await attempt({ create: d.spec.name }, async () => {
      createdOnWall.set(lab, (createdOnWall.get(lab) ?? new Map()).set(d.spec.name, performance.now()));
      await lab.createDomain(d.host, d.spec);
      return null;
    });
  }
  for (const step of scenario.steps) {
    if (!passed) break;
    await attempt(shownStep(step), () => doStep(lab, step, seen, gone));
  }
  await lab.refresh();
  const report: Report = {
    scenario: scenario.name ?? loaded.file,
    seed: scenario.seed,
    passed,
    steps,
    virtualNs: lab.clock.now,
    wallMs: Math.round(performance.now() - started),
    domains: await domainReports(lab, gone),
    migrations: [...lab.migrations.reports],
    ignored: loaded.ignored,
    digest: await digest(lab, gone),
  };
  return report;
}

const shownStep = (step: Step): Record<string, unknown> => step as Record<string, unknown>;

function named(lab: Lab, name: string): LabDomain {
  const d = lab.findDomain(name);
  if (!d)
    throw new BulkheadError({
      code: 'not-found',
      what: `There is no domain ${name} any more.`,
      why: 'An earlier step destroyed it.',
      action: 'Change the order of the steps.',
    });
  return d;
}

async function doStep(lab: Lab, step: Step, seen: Seen, gone: Gone): Promise<string | null> {
  if ('expect' in step) return expectText(lab, step.expect, seen);
  if ('type' in step) {
    await lab.typeConsole(named(lab, step.type.domain).uuid, new TextEncoder().encode(step.type.text));
    return null;
  }
  if ('migrate' in step) return migrate(lab, step.migrate);
  if ('save' in step) return save(lab, step.save, gone);
  if ('restore' in step) {
    const { file, host, name } = step.restore;
    const d = lab.domain(await lab.savings.restore({ host, path: file, name }));
    // what came with it was printed before
    seen.set(d.uuid, d.console.end);
    return null;
  }
  if ('clone' in step) {
    const { domain, name } = step.clone;
    const d = lab.domain(await untilSaved(lab, lab.savings.clone(named(lab, domain).uuid, name)));
    seen.set(d.uuid, d.console.end);
    return null;
  }
  if ('wait' in step) {
    await lab.clock.advance(step.wait.ns, () => false);
    return null;
  }
  if ('pause' in step) await lab.pauseDomain(named(lab, step.pause).uuid);
  else if ('unpause' in step) await lab.unpauseDomain(named(lab, step.unpause).uuid);
  else if ('shutdown' in step) {
    const s =
      typeof step.shutdown === 'string' ? { domain: step.shutdown, reason: 'poweroff' as const } : step.shutdown;
    await lab.shutdownDomain(named(lab, s.domain).uuid, s.reason);
  } else if ('balloon' in step)
    await lab.commands.setMemoryTarget(named(lab, step.balloon.domain).uuid, step.balloon.memoryMiB);
  else if ('capture' in step) {
    const { domain, nic, file } = step.capture;
    await lab.commands.capture(named(lab, domain).uuid, nic, file ?? null);
  } else if ('vcpus' in step) await lab.commands.setVcpus(named(lab, step.vcpus.domain).uuid, step.vcpus.online);
  else if ('destroy' in step) {
    const d = named(lab, step.destroy);
    await lab.refresh();
    const last = await domainReport(lab, d);
    await lab.destroyDomain(d.uuid);
    gone.set(d.spec.name, { report: { ...last, state: 'destroyed' }, console: d.console.tail(Infinity) });
  } else return assertFigure(lab, step.assert, gone);
  return null;
}

/** Holds when the domain is in the file. */
async function save(lab: Lab, step: Extract<Step, { save: unknown }>['save'], gone: Gone): Promise<string | null> {
  const { domain, file, keepRunning } = step;
  const d = named(lab, domain);
  await lab.refresh();
  const last = await domainReport(lab, d);
  await untilSaved(lab, lab.savings.save(d.uuid, file, keepRunning));
  if (!keepRunning) gone.set(domain, { report: { ...last, state: 'saved' }, console: d.console.tail(Infinity) });
  return null;
}

/** Runs the lab until a guest that was asked has suspended itself, or has refused. */
async function untilSaved<T>(lab: Lab, work: Promise<T>): Promise<T> {
  const outcome = work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  let over = false;
  void outcome.then(() => (over = true));
  // asked for at a border of epochs; before it nothing is under way
  while (!over && !lab.savings.active) await new Promise((resolve) => setImmediate(resolve));
  if (lab.savings.active) await lab.clock.advance(SAVE_LIMIT_NS, () => !lab.savings.active);
  const result = await outcome;
  if ('error' in result) throw result.error;
  return result.value;
}

/** Holds when the domain runs on the other host. */
async function migrate(lab: Lab, step: Extract<Step, { migrate: unknown }>['migrate']): Promise<string | null> {
  const { domain, to, policy, disks, wait, within } = step;
  const chosen =
    typeof policy === 'string'
      ? PRESETS[policy]
      : { ...PRESETS[policy.preset ?? 'custom'], preset: 'custom' as const, ...policy };
  const { id, ended } = await lab.migrations.start({ uuid: named(lab, domain).uuid, to, policy: chosen, disks });
  if (!wait) return null;
  let over = false;
  const outcome = ended.then(
    () => null,
    (e: unknown) => lab.migrations.report(id).failure ?? toSentences(e).what,
  );
  void outcome.then(() => (over = true));
  await lab.clock.advance(within.ns, () => over || lab.migrations.report(id).endedAt !== null);
  if (lab.migrations.report(id).endedAt === null)
    return `${domain} was not on ${to} within ${within.ns / 1e9} s of lab time; the migration is in ${lab.migrations.report(id).state}.`;
  return outcome;
}

async function expectText(
  lab: Lab,
  e: Extract<Step, { expect: unknown }>['expect'],
  seen: Seen,
): Promise<string | null> {
  const d = named(lab, e.domain);
  const wanted = e.regex === undefined ? null : new RegExp(e.regex);
  const from = seen.get(d.uuid) ?? 0;
  let scanned = -1;
  let text = '';
  const found = (): boolean => {
    if (d.console.end === scanned) return false;
    scanned = d.console.end;
    text = Buffer.from(d.console.since(from)).toString('latin1');
    const at = wanted ? (wanted.exec(text)?.index ?? -1) : text.indexOf(e.text!);
    if (at < 0) return false;
    const length = wanted ? wanted.exec(text)![0].length : e.text!.length;
    seen.set(d.uuid, scanned - text.length + at + length);
    return true;
  };
  if (found()) return null;
  const wallLimit = performance.now() + (e.within.wall ? e.within.ns / 1e6 : EXPECT_WALL_LIMIT_MS);
  let over = false;
  const held = await lab.clock.advance(e.within.wall ? Number.MAX_SAFE_INTEGER / 2 : e.within.ns, () => {
    if (found()) return (over = true);
    return performance.now() > wallLimit || d.status.state === 'crashed' || d.status.state === 'lost';
  });
  if (over || (held && found())) return null;
  await lab.refresh();
  const last = Buffer.from(d.console.tail(4000)).toString('latin1').split('\n').slice(-20).join('\n');
  return [
    `Expected ${wanted ? String(wanted) : JSON.stringify(e.text)} from ${e.domain}; it did not come${
      d.status.state === 'crashed'
        ? ''
        : e.within.wall
          ? ' in that time on this computer'
          : ` within ${e.within.ns / 1e9} s of lab time`
    }.`,
    `${e.domain} is ${d.status.state}${d.status.reason ? `: ${d.status.reason}` : ''}. Its console ends:`,
    last,
  ].join('\n');
}

async function assertFigure(
  lab: Lab,
  a: Extract<Step, { assert: unknown }>['assert'],
  gone: Gone,
): Promise<string | null> {
  await lab.refresh();
  const root: unknown = { domains: await domainReports(lab, gone), virtualNs: lab.clock.now };
  let v = root;
  const names = Object.keys((root as { domains: object }).domains).sort((x, y) => y.length - x.length);
  let rest = a.figure;
  // domain names may contain dots
  const name = names.find((n) => rest.startsWith(`domains.${n}.`));
  if (name) {
    v = (root as { domains: Record<string, unknown> }).domains[name];
    rest = rest.slice(`domains.${name}.`.length);
  }
  for (const key of rest.split('.')) v = (v as Record<string, unknown> | undefined)?.[key];
  if (a.equals !== undefined && v !== a.equals)
    return `${a.figure} is ${JSON.stringify(v)}, not ${JSON.stringify(a.equals)}.`;
  if (a.above !== undefined && !(typeof v === 'number' && v > a.above))
    return `${a.figure} is ${JSON.stringify(v)}, not above ${a.above}.`;
  if (a.below !== undefined && !(typeof v === 'number' && v < a.below))
    return `${a.figure} is ${JSON.stringify(v)}, not below ${a.below}.`;
  return null;
}

/** When each domain of a scenario was created, on this computer's clock (ms), by name. */
const createdOnWall = new WeakMap<Lab, Map<string, number>>();

async function domainReport(lab: Lab, d: LabDomain): Promise<DomainReport> {
  const { state, reason, host, mode, createdAt, cpuNs, memoryMiB } = d.status;
  const figures = state === 'lost' ? null : await lab.figures(d.uuid);
  const virtualNs = lab.clock.now - createdAt;
  const began = createdOnWall.get(lab)?.get(d.spec.name);
  const wallMs = began === undefined ? null : Math.round(performance.now() - began);
  return {
    state,
    reason,
    host,
    mode,
    memoryMiB,
    createdAt,
    virtualNs,
    wallMs,
    cpuNs,
    consoleBytes: d.console.end,
    figures,
  };
}

async function domainReports(lab: Lab, gone: Gone): Promise<Report['domains']> {
  const result: Report['domains'] = {};
  for (const [name, { report }] of gone) result[name] = report;
  for (const d of lab.domains.values()) result[d.spec.name] = await domainReport(lab, d);
  return result;
}

async function digest(lab: Lab, gone: Gone): Promise<string> {
  const hash = createHash('sha256');
  for (const h of await lab.digest()) hash.update(h);
  for (const [name, { console }] of gone) hash.update(name).update(console);
  for (const d of lab.domains.values()) hash.update(d.spec.name).update(d.console.tail(Infinity));
  return hash.digest('hex');
}
