// Live migration with our own guest in every kind of domain: its work, its disk and its connections go along; the same run twice is the same.
import { existsSync, readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { PRESETS } from '../../main/toolstack/migration/policy.ts';
import type { MigrationReport } from '../../shared/migration-service.ts';
import { type HostName, TwoHosts } from './two-hosts.ts';

const kinds = [
  { mode: 'pv', kernel: 'builtin:dinghy-pv64' },
  { mode: 'pv', kernel: 'builtin:dinghy-pv32' },
  { mode: 'pvh', kernel: 'builtin:dinghy-hw64' },
  { mode: 'pvh', kernel: 'builtin:dinghy-hw32' },
] as const;
type Kind = (typeof kinds)[number];

const open: TwoHosts[] = [];
afterEach(async () => {
  for (const two of open.splice(0)) await two.close();
});

/** A server with a disk, and a client that loads it over TCP; the server goes to the other host and back. */
async function thereAndBack(kind: Kind): Promise<{ two: TwoHosts; reports: MigrationReport[]; results: string[] }> {
  const two = await TwoHosts.make();
  open.push(two);
  const path = two.disk('server.img', 512);
  const server = await two.create('alder', {
    ...kind,
    name: 'server',
    cmdline: 'ip=10.0.0.1/24',
    nics: [{ bridge: 'br0' }],
    disks: [{ path, format: 'raw', vdev: 'xvda', readOnly: false }],
  });
  const client = await two.create('alder', {
    name: 'client',
    mode: 'pv',
    kernel: 'builtin:dinghy-pv64',
    cmdline: 'ip=10.0.0.2/24',
    nics: [{ bridge: 'br0' }],
  });
  await two.expect(server, /\$ /, 2000);
  await two.expect(client, /\$ /, 2000);
  await two.advance(200);
  await two.type(server, 'httpd & db /dev/xvda 600 512 & dirty 1000 1 400 &');
  await two.type(client, 'web 10.0.0.1 120 /etc/motd');
  await two.advance(20);
  const { colour } = two.lab.domain(server);
  const reports: MigrationReport[] = [];
  for (const to of ['birch', 'alder', 'birch'] as HostName[]) {
    reports.push(await two.migrate(server, to));
    const d = two.lab.domain(server);
    expect([d.host, d.status.host, d.spec.name, d.colour]).toEqual([to, to, 'server', colour]);
    await two.advance(20);
  }
  const results = [
    (await two.expect(server, /(result (dirty|db) [^\n]*\n[\s\S]*){2}/, 20_000))[0],
    (await two.expect(client, /result web [^\n]*fetches=120 [^\n]*/, 60_000))[0],
  ];
  expect(results[0]).toMatch(/result db [^\n]*records=128 [^\n]*reads=600 /);
  expect(results[0]).toMatch(/result dirty [^\n]*pages=400 /);
  expect(await two.owners()).toEqual({ alder: 1, birch: 1 });
  expect(two.console(server).match(/Welcome aboard/g)).toHaveLength(1);
  return { two, reports, results };
}

describe.each(kinds)('$mode, $kernel', (kind) => {
  it('moves while it works: sums, disk and connections are intact', async () => {
    const { two, reports, results } = await thereAndBack(kind);
    for (const r of reports) {
      expect(r).toMatchObject({ state: 'done', failure: null, stopReason: 'few-pages-left', progress: 1 });
      // 6 MiB once, and not much more; no page lost and none invented
      expect(r.memoryPages).toBeGreaterThan(1500);
      expect(r.pagesSent).toBeGreaterThanOrEqual(r.memoryPages);
      expect(r.pagesSent).toBeLessThan(1.5 * r.memoryPages);
      expect(r.pagesNeverSent).toBe(0);
      expect(r.rounds.at(-1)!.final).toBe(true);
      const { downtime } = r;
      expect(downtime!.totalNs).toBeGreaterThan(0.8e6);
      expect(downtime!.totalNs).toBeLessThan(30e6);
      expect(downtime!.networkNs).toBeGreaterThan(400_000);
      const parts = ['suspendNs', 'lastPagesNs', 'stateNs', 'resumeNs', 'networkNs'] as const;
      expect(parts.reduce((n, part) => n + downtime![part], 0)).toBeCloseTo(downtime!.totalNs, 3);
    }
    const said = two.lab.events.map((e) => e.kind).filter((k) => k.startsWith('migration'));
    expect(said.filter((k) => k === 'migration-started')).toHaveLength(3);
    expect(said.filter((k) => k === 'migration-done')).toHaveLength(3);
    expect(results).toHaveLength(2);
  });
});

it('is the same when it is done again: rounds, pages, downtime, digest', async () => {
  const timeless = (r: MigrationReport): unknown => ({
    ...r,
    uuid: '',
    wallMs: 0,
    rounds: r.rounds.map((x) => ({ ...x, wallMs: 0 })),
  });
  const one = await thereAndBack(kinds[0]);
  const other = await thereAndBack(kinds[0]);
  expect(one.reports.map(timeless)).toEqual(other.reports.map(timeless));
  expect(one.results).toEqual(other.results);
  expect(await one.two.lab.digest()).toEqual(await other.two.lab.digest());
});

it('is refused with what would make it possible', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const a = await two.create('alder', { name: 'a', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 16 });
  await two.create('birch', { name: 'b', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 12 });
  await two.expect(a, /\$ /, 2000);
  const why = (to: string): string => two.lab.migrations.predict(a, to).refusal ?? '';
  expect(why('birch')).toBe('');
  expect(why('alder')).toMatch(/on alder already.*another host/);
  await two.lab.pauseDomain(a);
  expect(why('birch')).toMatch(/paused.*Unpause/);
  await expect(two.migrate(a, 'birch')).rejects.toThrow(/paused/);
  await two.lab.unpauseDomain(a);
  await two.create('birch', { name: 'c', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 16 });
  expect(why('birch')).toMatch(/needs 16 MiB, \d+ free.*Free memory on birch/);
  expect(() => two.lab.migrations.predict(a, 'cedar')).toThrow(/no host cedar/);
});

it('is aborted while the clock stands still, and two at once share the link', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const a = await two.create('alder', { name: 'a', ...kinds[0] });
  const b = await two.create('alder', { name: 'b', ...kinds[2] });
  await two.expect(a, /\$ /, 2000);
  await two.expect(b, /\$ /, 2000);
  const first = await two.lab.migrations.start({ uuid: a, to: 'birch' });
  const told = first.ended.then(
    () => 'done',
    (e: Error) => e.message,
  );
  await two.advance(5);
  two.lab.tasks.cancel(first.id);
  expect(await told).toMatch(/cancelled/);
  expect(two.lab.migrations.report(first.id).failure).toBe('Migration aborted. a still runs on alder.');
  expect(await two.owners()).toEqual({ alder: 2, birch: 0 });
  // one alone, then two at once
  const alone = await two.migrate(a, 'birch');
  await two.advance(20);
  await two.migrate(a, 'alder');
  await two.advance(20);
  const runs = await Promise.all([a, b].map((uuid) => two.lab.migrations.start({ uuid, to: 'birch' })));
  await two.lab.clock.advance(10e9, () => !two.lab.migrations.active);
  for (const { id } of runs) {
    const r = two.lab.migrations.report(id);
    expect(r.state).toBe('done');
    expect(r.rounds[0]!.sendMbit).toBeCloseTo(alone.rounds[0]!.sendMbit / 2, 0);
  }
  expect(await two.owners()).toEqual({ alder: 0, birch: 2 });
  for (const uuid of [a, b]) {
    await two.type(uuid, 'echo alive');
    await two.expect(uuid, /\nalive/, 2000);
  }
});

it('stops and copies when that is wanted, and takes the whole memory for its downtime', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const a = await two.create('alder', { name: 'a', ...kinds[0] });
  await two.expect(a, /\$ /, 2000);
  const r = await two.migrate(a, 'birch', PRESETS['stop-and-copy']);
  expect(r).toMatchObject({ state: 'done', stopReason: 'stop-and-copy' });
  expect(r.rounds.map((x) => [x.final, x.pagesSent])).toEqual([[true, r.memoryPages]]);
  // 6 MiB at 117.7 MB/s
  expect(r.downtime!.totalNs).toBeGreaterThan(53e6);
  await two.type(a, 'echo alive');
  await two.expect(a, /\nalive/, 2000);
});

it('is stopped and copied at the end of the round when somebody wants that; a clock slowed to be watched changes nothing but the time it takes', async () => {
  const runs: { report: unknown; digest: string[]; paces: number[] }[] = [];
  for (const slow of [false, true]) {
    const two = await TwoHosts.make();
    open.push(two);
    const { lab } = two;
    const a = await two.create('alder', { name: 'a', ...kinds[0] });
    await two.expect(a, /\$ /, 2000);
    // writes more than the link carries: it would go on to the round limit
    await two.type(a, 'dirty 4000 1 600 &');
    await two.advance(50);
    lab.slowMigrations = slow;
    const { id, ended } = await lab.migrations.start({ uuid: a, to: 'birch' });
    lab.migrations.onPoint = (point, round) => {
      if (point === 'live' && round === 2) void lab.migrations.stopLive(id);
    };
    const paces: number[] = [];
    const end = lab.clock.advance(5e9, () => {
      const { slowed } = lab.clock.status;
      if (slowed) {
        paces.push(slowed.speed);
        // seen for a while; the rest at full speed
        if (lab.migrations.report(id).rounds.length === 1) lab.migrations.restoreSpeed();
      }
      return !lab.migrations.active;
    });
    await ended;
    await end;
    const { wallMs, rounds, uuid: _, ...rest } = lab.migrations.report(id);
    expect(wallMs).toBeGreaterThan(slow ? 1000 : 0);
    expect(rest).toMatchObject({ state: 'done', stopReason: 'user', stopAsked: true });
    expect(rounds.map((r) => r.final)).toEqual([false, false, true]);
    await expect(lab.migrations.stopLive(id)).rejects.toMatchObject({ code: 'not-possible-now' });
    await two.advance(5);
    runs.push({
      report: { ...rest, rounds: rounds.map((r) => ({ ...r, wallMs: 0 })) },
      digest: await lab.digest(),
      paces,
    });
  }
  const [free, slowed] = runs;
  expect(free!.paces).toEqual([]);
  // the first round, 6 MiB at 117.7 MB/s, made to last two seconds
  expect(slowed!.paces[0]).toBeCloseTo(0.0267, 3);
  expect(slowed!.report).toEqual(free!.report);
  expect(slowed!.digest).toEqual(free!.digest);
});

it('takes a disk along as a copy: the guest goes on with its own, the original stays as it was left, and it can come back', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const path = two.disk('own.img', 512);
  const uuid = await two.create('alder', {
    ...kinds[0],
    name: 'own',
    disks: [{ path, format: 'raw', vdev: 'xvda', readOnly: false }],
  });
  await two.expect(uuid, /\$ /, 2000);
  await two.advance(200);
  await two.type(uuid, 'db /dev/xvda 400 512 &');
  await two.advance(30);
  const first = await two.migrate(uuid, 'birch', PRESETS['xen-today'], { xvda: 'copy' });
  expect(first).toMatchObject({ state: 'done' });
  expect(first.bytesSent).toBeGreaterThan(first.pagesSent * 4096 + 512 * 1024);
  expect(two.lab.domain(uuid).spec.disks[0]!.path).toBe(`${path}.birch`);
  const left = readFileSync(path);
  await two.expect(uuid, /result db [^\n]*records=128 [^\n]*reads=400 /, 30_000);
  expect(readFileSync(path).equals(left)).toBe(true);
  // the last block of the original and of the copy differ by what was written since
  expect(readFileSync(`${path}.birch`).equals(left)).toBe(false);
  await two.type(uuid, 'sum /dev/xvda');
  const [, sum] = await two.expect(uuid, /\n([0-9a-f]{8}) 524288 /, 5000);
  expect(sum).toBe(
    crc32(readFileSync(`${path}.birch`))
      .toString(16)
      .padStart(8, '0'),
  );
  // aborted: no half copy stays
  two.lab.migrations.onPoint = (point, _round, run) => {
    if (point === 'live') two.lab.tasks.cancel(run.id);
  };
  expect(await two.migrate(uuid, 'alder', PRESETS['xen-today'], { xvda: 'copy' })).toMatchObject({ state: 'aborted' });
  two.lab.migrations.onPoint = null;
  expect(existsSync(`${path}.alder`)).toBe(false);
  // and back, to an image of its own there
  expect(await two.migrate(uuid, 'alder', PRESETS['xen-today'], { xvda: 'copy' })).toMatchObject({ state: 'done' });
  await two.type(uuid, 'sum /dev/xvda');
  expect((await two.expect(uuid, /\n([0-9a-f]{8}) 524288 /, 5000))[1]).toBe(sum);
  expect(two.lab.domain(uuid).spec.disks[0]!.path).toBe(`${path}.alder`);
});
