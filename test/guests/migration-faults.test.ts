// Failure at every point of a migration: afterwards exactly one host has the domain and it runs (or it is lost with the host that had it),
// and its disk holds every write that was acknowledged: the guest itself checks that while all this happens.
import { afterEach, describe, expect, it } from 'vitest';
import type { MigrationPoint } from '../../main/engine/migration.ts';
import { PRESETS } from '../../main/toolstack/migration/policy.ts';
import type { MigrationReport } from '../../shared/migration-service.ts';
import { type HostName, TwoHosts } from './two-hosts.ts';

const kinds = [
  { mode: 'pv', kernel: 'builtin:dinghy-pv64' },
  { mode: 'pvh', kernel: 'builtin:dinghy-hw64' },
] as const;
/** In the order in which a run gets there; the round is that of the live phase. */
const points: [MigrationPoint, number][] = [
  ['started', 1],
  ['live', 1],
  ['live', 2],
  ['suspending', 0],
  ['last-pages', 0],
  ['sent', 0],
  ['complete', 0],
  ['handover', 0],
  ['activated', 0],
];
/** From here on the domain is the target's. */
const HANDED_OVER = points.findIndex(([p]) => p === 'activated');
/** From here on the target has all of it and does not need the source. */
const COMPLETE = points.findIndex(([p]) => p === 'complete');
/** Where the guest runs, here or there, and can end by itself. */
const GUEST_RUNS: MigrationPoint[] = ['started', 'live', 'suspending', 'activated'];
/** With BULKHEAD_FAULTS=all every point is tried with every kind of guest; otherwise every point once, the kinds taking turns. */
const ALL = process.env.BULKHEAD_FAULTS === 'all';
const inThisRun = (kind: (typeof kinds)[number], n: number): boolean => ALL || kinds.indexOf(kind) === n % kinds.length;

let two: TwoHosts;
afterEach(() => two.close());

/** A domain that writes memory and checks a disk all the time, in a lab of its own. */
async function worker(kind: (typeof kinds)[number]): Promise<string> {
  two = await TwoHosts.make({ clockMHz: 25 });
  two.lab.migrations.giveUpNs = 100e6;
  return boot(kind);
}
async function boot(kind: (typeof kinds)[number]): Promise<string> {
  const path = two.disk('work.img', 256);
  const uuid = await two.create('alder', {
    ...kind,
    name: 'work',
    disks: [{ path, format: 'raw', vdev: 'xvda', readOnly: false }],
  });
  await two.expect(uuid, /\$ /, 2000);
  // its disk comes with the first look at the store
  await two.advance(200);
  await two.type(uuid, 'dirty 4000 1 100000 &');
  await two.type(uuid, 'db /dev/xvda 1000000 256 &');
  await two.advance(30);
  return uuid;
}

/** Migrates away from where it is; `fail` happens at the point. */
async function migrateAndFail(
  uuid: string,
  at: (typeof points)[number],
  fail: (run: { from: HostName; to: HostName; id: number }) => void | Promise<void>,
): Promise<{ report: MigrationReport; from: HostName; to: HostName; happened: boolean }> {
  const from = two.lab.domain(uuid).host as HostName;
  const to = from === 'alder' ? 'birch' : 'alder';
  let happened = false;
  two.lab.migrations.onPoint = async (point, round, run) => {
    if (happened || point !== at[0] || (at[1] > 0 && round !== at[1])) return;
    happened = true;
    await fail({ from, to, id: run.id });
  };
  // small rounds, so that there are several
  const policy = { ...PRESETS['xen-today'], preset: 'custom' as const, targetPages: 5, maxRounds: 3 };
  const report = await two.migrate(uuid, to, policy);
  two.lab.migrations.onPoint = null;
  return { report, from, to, happened };
}

/** Another domain takes what memory the host has left, to the last MiB. */
async function takeMemory(uuid: string, host: HostName): Promise<number> {
  const { spec } = two.lab.domain(uuid);
  const { proxy } = two.lab.hosts.get(host);
  const files = await two.filesOf(spec);
  for (let memoryMiB = Math.floor((await proxy.call('report', {})).freeMiB); ; memoryMiB--)
    try {
      return await proxy.call('createDomain', { spec: { ...spec, name: 'greedy', memoryMiB, disks: [] }, files });
    } catch (error) {
      if (memoryMiB <= 2) throw error;
    }
}

let echoes = 0;
/** It runs, on this host and on no other, and its workloads found nothing wrong. */
async function runsOn(uuid: string, host: HostName): Promise<void> {
  for (const h of ['alder', 'birch'] as const) await two.backAgain(h);
  await two.lab.refresh();
  expect(two.lab.domain(uuid).host).toBe(host);
  expect(['running', 'blocked']).toContain(two.lab.domain(uuid).status.state);
  expect(await two.owners()).toEqual({ alder: 0, birch: 0, [host]: 1 });
  const word = `alive${++echoes}`;
  await two.type(uuid, `echo ${word}`);
  await two.expect(uuid, new RegExp(`\\n${word}`), 3000);
  expect(two.console(uuid)).not.toMatch(/db: |wrong|result|panic/);
}

/** Ends the workload: what it says about its disk is the judgement. */
async function diskIsRight(uuid: string): Promise<void> {
  await two.type(uuid, 'ps');
  const [, pid] = await two.expect(uuid, /(\d+) [^\n]* db/, 3000);
  await two.type(uuid, `kill ${pid}`);
  await two.advance(50);
  await two.type(uuid, 'db /dev/xvda 500 256');
  await two.expect(uuid, /result db [^\n]*reads=500 /, 60_000);
}

describe.each(kinds)('$mode', (kind) => {
  it('an abort by the user at every point leaves it where it was, or where it is already', async () => {
    const uuid = await worker(kind);
    for (const [n, point] of points.entries()) {
      const { report, from, to, happened } = await migrateAndFail(uuid, point, ({ id }) => {
        const may = two.lab.tasks.list.find((t) => t.id === id)!.cancellable;
        // before the target has everything it can always be aborted, afterwards never
        expect(may).toBe(n < COMPLETE);
        if (may) two.lab.tasks.cancel(id);
      });
      expect([point, happened]).toEqual([point, true]);
      expect([point, report.state]).toEqual([point, n < COMPLETE ? 'aborted' : 'done']);
      if (n < COMPLETE) expect(report.failure).toBe(`Migration aborted. work still runs on ${from}.`);
      await runsOn(uuid, n < COMPLETE ? from : to);
    }
    await diskIsRight(uuid);
  });

  it('a target that dies at any point before the handover leaves it on the source', async () => {
    const uuid = await worker(kind);
    for (const [n, point] of points.entries()) {
      if (n >= HANDED_OVER) break;
      const { report, from, happened } = await migrateAndFail(uuid, point, ({ to }) => two.kill(to));
      expect([point, happened]).toEqual([point, true]);
      expect([point, report.state]).toEqual([point, 'failed']);
      expect(report.failure).toMatch(new RegExp(`stopped.*still runs on ${from}`));
      await runsOn(uuid, from);
    }
    await diskIsRight(uuid);
  });

  it('a link that is cut at any point leaves it on the source, or on the target that has all of it', async () => {
    const uuid = await worker(kind);
    const link = { ...two.lab.link };
    for (const [n, point] of points.entries()) {
      const { report, from, to, happened } = await migrateAndFail(uuid, point, () =>
        two.lab.editLink({ ...link, loss: 1 }),
      );
      two.lab.editLink(link);
      expect([point, happened]).toEqual([point, true]);
      // what is in flight arrives
      const arrives = n >= points.findIndex(([p]) => p === 'sent');
      expect([point, report.state]).toEqual([point, arrives ? 'done' : 'failed']);
      if (!arrives) expect(report.failure).toMatch(/Nothing crossed the link/);
      await runsOn(uuid, arrives ? to : from);
    }
    await diskIsRight(uuid);
  });

  it('a target that runs out of memory at any point leaves it on the source, or had what it needs', async () => {
    const uuid = await worker(kind);
    for (const [n, point] of points.entries()) {
      // once it is complete nothing is asked for any more
      if (n > COMPLETE) break;
      if (n > 0 && !inThisRun(kind, n)) continue;
      let greedy = -1;
      const { report, from, to, happened } = await migrateAndFail(uuid, point, async ({ to }) => {
        greedy = await takeMemory(uuid, to);
      });
      expect([point, happened]).toEqual([point, true]);
      if (n === 0)
        expect(report).toMatchObject({
          state: 'failed',
          failure: expect.stringMatching(/MiB free.*still runs on alder/),
        });
      if (report.state === 'failed') expect(report.failure).toContain(`still runs on ${from}`);
      else expect([point, report.state]).toEqual([point, 'done']);
      const { proxy } = two.lab.hosts.get(to);
      const { domains } = await proxy.call('report', {});
      expect(domains).toHaveLength(report.state === 'done' ? 2 : 1);
      await proxy.call('destroyDomain', { domid: greedy });
      await runsOn(uuid, report.state === 'done' ? to : from);
    }
    await diskIsRight(uuid);
  });

  it('a domain that is destroyed on the way is nowhere afterwards', async () => {
    let uuid = await worker(kind);
    for (const [point, round] of [points[1]!, points[6]!]) {
      const { report } = await migrateAndFail(uuid, [point, round], async () => {
        void two.lab.destroyDomain(uuid);
        await Promise.resolve();
      });
      expect([point, report.state]).toEqual([point, 'failed']);
      expect(report.failure).toMatch(/was destroyed/);
      expect(await two.owners()).toEqual({ alder: 0, birch: 0 });
      expect(two.lab.domains.size).toBe(0);
      uuid = await boot(kind);
    }
  });

  it.each([
    {
      end: 'switches itself off',
      act: (uuid: string) => two.typeNow(uuid, 'shutdown\r'),
      state: 'shutdown',
      why: /switched itself off/,
    },
    { end: 'crashes', act: (uuid: string) => two.crashNow(uuid), state: 'crashed', why: /crashed/ },
  ])('a guest that $end at any point where it runs has ended once, on one host', async ({ act, state, why }) => {
    let uuid: string | null = null;
    for (const [n, point] of points.entries()) {
      if (!GUEST_RUNS.includes(point[0]) || !inThisRun(kind, state === 'crashed' ? n + 1 : n)) continue;
      uuid = uuid === null ? await worker(kind) : await boot(kind);
      const domain = uuid;
      const { report, from, to, happened } = await migrateAndFail(domain, point, () => act(domain));
      expect([point, happened]).toEqual([point, true]);
      // a guest that was asked to suspend may do that first: then it ends on the target
      if (n < 2) expect([point, report.state]).toEqual([point, 'failed']);
      if (report.state === 'failed') expect(report.failure).toMatch(new RegExp(`${why.source}.*still on ${from}`));
      else expect([point, report.state]).toEqual([point, 'done']);
      const host = report.state === 'done' ? to : from;
      await two.lab.clock.advance(3e9, () => two.lab.domain(domain).status.state === state);
      await two.lab.refresh();
      expect([point, two.lab.domain(domain).status.state]).toEqual([point, state]);
      expect(two.lab.domain(domain).host).toBe(host);
      expect(await two.owners()).toEqual({ alder: 0, birch: 0, [host]: 1 });
      await two.lab.destroyDomain(domain);
    }
    expect(uuid).not.toBeNull();
  });

  it('a source that dies at any point takes it with it, unless the target has all of it', async () => {
    let uuid = await worker(kind);
    for (const [n, point] of points.entries()) {
      const { report, happened } = await migrateAndFail(uuid, point, ({ from }) => two.kill(from));
      expect([point, happened]).toEqual([point, true]);
      if (n >= COMPLETE) {
        expect([point, report.state]).toEqual([point, 'done']);
        await runsOn(uuid, 'birch');
        await diskIsRight(uuid);
      } else {
        expect([point, report.state]).toEqual([point, 'failed']);
        expect(report.failure).toMatch(/alder stopped/);
        await two.backAgain('alder');
        expect(two.lab.domain(uuid).status.state).toBe('lost');
        expect(await two.owners()).toEqual({ alder: 0, birch: 0 });
      }
      await two.lab.destroyDomain(uuid);
      uuid = await boot(kind);
    }
  });
});
