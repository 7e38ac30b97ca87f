// The sender's rounds over a fake domain whose every write is known.
import { describe, expect, it } from 'vitest';
import { PRESETS } from '../../../main/toolstack/migration/policy.ts';
import { MigrationSender } from '../../../main/toolstack/migration/sender.ts';
import { FakeDomain } from './fake-domain.ts';

const EPOCH = 400_000;
/** A gigabit of payload. */
const RATE = 0.125;

/** Runs turns until the sender is done; the guest writes between them and suspends `suspendAfter` turns after it is asked. */
function drive(
  domain: FakeDomain,
  policy: keyof typeof PRESETS,
  write: (turn: number, domain: FakeDomain) => void,
  suspendAfter = 1,
  from = 0,
): { sender: MigrationSender; at: number[]; turns: number } {
  const sender = new MigrationSender(domain, PRESETS[policy], from, EPOCH, () => 0);
  const at: number[] = [];
  let waited = 0;
  for (let n = 0; n < 100_000; n++) {
    const now = from + (n + 1) * EPOCH;
    if (domain.state.is === 'running') write(n, domain);
    if (domain.asked && waited++ === suspendAfter && domain.state.is === 'running')
      domain.state = { is: 'suspended', since: now - EPOCH / 2 };
    for (const chunk of sender.turn(now - EPOCH, now, RATE)) at.push(chunk.at);
    if (sender.report().phase === 'sent' || sender.report().phase === 'failed') return { sender, at, turns: n + 1 };
  }
  throw new Error('the sender never ended');
}

describe('pre-copy', () => {
  it('sends an idle domain once, at the rate of the link, and ends with an exact copy', () => {
    const domain = new FakeDomain(3000);
    const { sender, at } = drive(domain, 'xen-today', () => {});
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.rounds.map((x) => [x.round, x.final, x.pagesSent])).toEqual([
      [1, false, 3000],
      [2, true, 0],
    ]);
    expect(r.stopReason).toBe('few-pages-left');
    const bytes = 3000 * 4104 + 100;
    expect(r.rounds[0]!.bytesSent).toBe(bytes);
    expect(r.rounds[0]!.durationNs).toBeCloseTo(bytes / RATE, 0);
    expect(r.rounds[0]!.sendMbit).toBeCloseTo(1000, 1);
    expect(r.bytesSent).toBe(bytes + domain.stateBytes);
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(r.stateSentAt).toBe(at.at(-1));
    expect(r.pagesTouched).toBe(3000);
  });

  it('copies a writing domain exactly, round after round, each smaller', () => {
    const domain = new FakeDomain(4000);
    const { sender } = drive(domain, 'xen-today', (n, d) => {
      for (let i = 0; i < 3; i++) d.write((n * 7 + i * 11) % 4000);
    });
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.rounds.length).toBeGreaterThan(2);
    const live = r.rounds.filter((x) => !x.final);
    for (let i = 1; i < live.length; i++) expect(live[i]!.pagesSent).toBe(live[i - 1]!.pagesDirtied);
    expect(r.rounds.at(-1)!.pagesSent).toBeLessThan(60);
    expect(r.heat.length).toBe(r.rounds.length);
    for (const [i, h] of r.heat.entries())
      if (i < live.length) expect(h.dirtied.reduce((a, b) => a + b)).toBe(live[i]!.pagesDirtied);
  });

  it('ends at the round limit for a domain that writes faster than the link, with its working set last', () => {
    const domain = new FakeDomain(3000);
    const { sender } = drive(domain, 'xen-today', (_, d) => {
      for (let i = 0; i < 700; i++) d.write(i);
    });
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.stopReason).toBe('round-limit');
    expect(r.rounds.filter((x) => !x.final).length).toBe(5);
    expect(r.rounds.at(-1)!.pagesSent).toBe(700);
  });

  it('leaves out what is dirty again, where the policy says so, and still copies it', () => {
    const domain = new FakeDomain(3000);
    const { sender } = drive(domain, 'xen-2.0.6', (_, d) => {
      for (let i = 2000; i < 2100; i++) d.write(i);
    });
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.rounds[0]!.pagesSkipped).toBe(100);
    expect(r.rounds[0]!.pagesSent).toBe(2900);
    expect(r.stopReason).not.toBe('few-pages-left');
  });

  it('keeps to the adaptive rate: the minimum first, then what the guest dirties plus a step', () => {
    const domain = new FakeDomain(3000);
    const { sender } = drive(domain, 'xen-2.0.6', (n, d) => {
      if (n % 2 === 0) for (let i = 0; i < 4; i++) d.write((n * 3 + i) % 3000);
    });
    const [first, second] = sender.report().rounds;
    expect(first!.sendMbit).toBeCloseTo(100, 0);
    // 2 pages in 400 us are 164 Mbit/s as long as they are distinct
    expect(first!.dirtyMbit).toBeGreaterThan(80);
    expect(second!.sendMbit).toBeCloseTo(first!.dirtyMbit + 50, 0);
  });

  it('ends at the border of the round in which that was asked for, and not before', () => {
    const domain = new FakeDomain(3000);
    const write = (_: number, d: FakeDomain): void => {
      for (let i = 0; i < 700; i++) d.write(i);
    };
    const sender = new MigrationSender(domain, PRESETS['xen-today'], 0, EPOCH, () => 0);
    for (let n = 0; sender.report().phase !== 'sent'; n++) {
      if (domain.state.is === 'running') write(n, domain);
      // in the middle of the second round
      if (sender.report().rounds.length === 1 && !sender.report().stopAsked) {
        const before = sender.report();
        expect(before.left).toBeGreaterThan(0);
        expect(sender.stopLive()).toBe(true);
        expect(sender.report().phase).toBe('live');
      }
      if (domain.asked && domain.state.is === 'running') domain.state = { is: 'suspended', since: n * EPOCH };
      sender.turn(n * EPOCH, (n + 1) * EPOCH, RATE);
    }
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.stopReason).toBe('user');
    expect(r.rounds.map((x) => [x.final, x.pagesSent])).toEqual([
      [false, 3000],
      [false, 700],
      [true, 700],
    ]);
    expect(sender.stopLive()).toBe(false);
  });

  it('expects a round to take what its pages take at the rate it is sent at, and stop-and-copy what is left of it', () => {
    const domain = new FakeDomain(3000);
    const sender = new MigrationSender(domain, PRESETS['xen-2.0.6'], 0, EPOCH, () => 0);
    expect(sender.report().stage).toEqual({ startedAt: 0, expectedNs: 0 });
    sender.turn(0, EPOCH, RATE);
    // limited to 100 Mbit/s in its first round
    expect(sender.report().stage).toEqual({ startedAt: 0, expectedNs: (3000 * 4104) / 0.0125 });
    let n = 1;
    for (; sender.report().phase === 'live'; n++) sender.turn(n * EPOCH, (n + 1) * EPOCH, RATE);
    const { stage, suspendAskedAt } = sender.report();
    expect(stage.startedAt).toBe(suspendAskedAt);
    // nothing was dirtied: the suspension and the state remain
    expect(stage.expectedNs).toBe(2_000_000 + 2 * EPOCH);
  });

  it('suspends first for stop-and-copy: no page crosses before', () => {
    const domain = new FakeDomain(500);
    const { sender } = drive(domain, 'stop-and-copy', (_, d) => {
      expect(d.pageBytes).toBe(0);
      d.write(3);
    });
    const r = sender.report();
    expect(domain.same).toBe(true);
    expect(r.rounds.map((x) => [x.final, x.pagesSent])).toEqual([[true, 500]]);
    expect(r.suspendAskedAt).toBe(0);
    expect(r.lastPageAt! - r.suspendedAt!).toBeCloseTo((500 * 4104 + 100) / RATE, 0);
  });

  it('copies disks along, what is written meanwhile once more, the last of it while suspended', () => {
    const domain = new FakeDomain(500);
    for (let n = 0; n < 64; n++) domain.diskVersions.push(1);
    const { sender } = drive(domain, 'xen-today', (n, d) => {
      if (n % 3 === 0) d.writeBlock((n / 3) % 64);
    });
    const r = sender.report();
    expect(domain.diskVersions.every((v, n) => domain.diskCopy.get(n) === v)).toBe(true);
    expect(domain.same).toBe(true);
    expect(r.rounds[0]!.pagesSent).toBe(500);
    expect(r.rounds[0]!.bytesSent).toBeGreaterThan(64 * 65_536);
    expect(r.rounds.length).toBeGreaterThan(2);
  });

  it('is the same however time is cut into turns', () => {
    const run = (cut: number): unknown => {
      const domain = new FakeDomain(2000);
      domain.state = { is: 'suspended', since: 0 };
      const sender = new MigrationSender(domain, PRESETS['stop-and-copy'], 0, EPOCH, () => 0);
      for (let t = 0; sender.report().phase !== 'sent'; t += cut) sender.turn(t, t + cut, RATE);
      const { bytesSent, lastPageAt } = sender.report();
      return [Math.abs(bytesSent - (2000 * 4104 + 100 + domain.stateBytes)), Math.round(lastPageAt! / 1000)];
    };
    expect(run(100_000)).toEqual(run(1_000_000));
  });
});

describe('failure', () => {
  it('says what the guest did, stops logging and sends nothing more', () => {
    const domain = new FakeDomain(3000);
    const { sender } = drive(domain, 'xen-today', (n, d) => {
      if (n === 5) d.state = { is: 'failed', why: 'The guest crashed.' };
    });
    expect(sender.report()).toMatchObject({ phase: 'failed', failure: 'The guest crashed.' });
    expect(domain.logging).toBe(false);
    const sent = domain.pageBytes;
    expect(sender.turn(1e9, 2e9, RATE)).toEqual([]);
    expect(domain.pageBytes).toBe(sent);
    sender.rollBack();
    expect(domain.resumed).toBe(0);
  });

  it('goes back: during the rounds nothing but the log ends; once it was asked to suspend it is resumed', () => {
    const live = new FakeDomain(3000);
    const sender = new MigrationSender(live, PRESETS['xen-today'], 0, EPOCH, () => 0);
    sender.turn(0, EPOCH, RATE);
    sender.rollBack();
    expect([live.logging, live.resumed]).toEqual([false, 0]);
    const suspended = new FakeDomain(100);
    drive(suspended, 'stop-and-copy', () => {}).sender.rollBack();
    expect([suspended.logging, suspended.resumed]).toEqual([false, 1]);
  });
});
