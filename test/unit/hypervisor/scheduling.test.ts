// Schedulers: who runs, for how long, and in which proportion.

import { describe, expect, it } from 'vitest';
import { Credit } from '../../../main/hypervisor/scheduling/credit.ts';
import { RoundRobin } from '../../../main/hypervisor/scheduling/round-robin.ts';
import type { Scheduler } from '../../../main/hypervisor/scheduling/scheduler.ts';
import type { GuestVcpu } from '../../../main/hypervisor/vcpu.ts';

interface Fake {
  name: string;
  runnable: boolean;
  runningOn: number;
  domain: { domid: number; weight: number; cap: number; affinity: Set<number> | null };
  ran: number;
}
const make = (name: string, domid: number, weight = 256, cap = 0, affinity: number[] | null = null): Fake => ({
  name,
  runnable: true,
  runningOn: -1,
  domain: { domid, weight, cap, affinity: affinity && new Set(affinity) },
  ran: 0,
});
const asVcpu = (f: Fake) => f as unknown as GuestVcpu;

/** Lets `pcpus` run for `ms` milliseconds of virtual time. */
function run(s: Scheduler, pcpus: number, ms: number, all: Fake[]): number {
  for (const f of all) {
    s.add(asVcpu(f));
    s.wake(asVcpu(f), 0);
  }
  let idle = 0;
  const step = 1_000_000;
  const current: (Fake | null)[] = Array.from({ length: pcpus }, () => null);
  const left = new Array<number>(pcpus).fill(0);
  const since = new Array<number>(pcpus).fill(0);
  for (let now = 0; now < ms * step; now += step)
    for (let p = 0; p < pcpus; p++) {
      const c = current[p];
      if (c && (left[p] <= 0 || s.shouldPreempt(p, asVcpu(c)))) {
        c.runningOn = -1;
        current[p] = null;
        s.returned(asVcpu(c), p, since[p], now);
      }
      if (!current[p]) {
        const d = s.pick(p, now);
        if (!d) {
          idle += step;
          continue;
        }
        current[p] = d.vcpu as unknown as Fake;
        current[p]!.runningOn = p;
        left[p] = d.sliceNs;
        since[p] = 0;
      }
      current[p]!.ran += step;
      left[p] -= step;
      since[p] += step;
    }
  return idle;
}

describe('credit', () => {
  it('shares by weight', () => {
    const [a, b] = [make('a', 1, 256), make('b', 2, 512)];
    expect(run(new Credit(1), 1, 6000, [a, b])).toBe(0);
    expect(b.ran / a.ran).toBeGreaterThan(1.7);
    expect(b.ran / a.ran).toBeLessThan(2.3);
  });

  it('keeps a capped domain below its cap and gives the rest to others', () => {
    const [a, b] = [make('a', 1, 256, 25), make('b', 2)];
    run(new Credit(1), 1, 6000, [a, b]);
    const share = a.ran / (a.ran + b.ran);
    expect(share).toBeLessThan(0.32);
    expect(share).toBeGreaterThan(0.15);
  });

  it('gives what a cap leaves to the others by weight, and nothing of it to the idle loop', () => {
    const [capped, a, b] = [make('capped', 1, 4096, 20), make('a', 2, 256), make('b', 3, 768)];
    expect(run(new Credit(1), 1, 12_000, [capped, a, b])).toBe(0);
    expect(capped.ran / 12e9).toBeGreaterThan(0.15);
    expect(capped.ran / 12e9).toBeLessThan(0.25);
    expect(b.ran / a.ran).toBeGreaterThan(2.4);
    expect(b.ran / a.ran).toBeLessThan(3.6);
  });

  it('shares the other pCPU by weight when one vCPU cannot use all that its weight gives it', () => {
    const [heavy, a, b] = [make('heavy', 1, 8192), make('a', 2, 256), make('b', 3, 768)];
    expect(run(new Credit(2), 2, 12_000, [heavy, a, b])).toBe(0);
    expect(heavy.ran / 12e9).toBeGreaterThan(0.9);
    expect(b.ran / a.ran).toBeGreaterThan(1.6);
    expect(b.ran / a.ran).toBeLessThan(3.6);
  });

  it('lets a cap leave a pCPU idle, and nothing else', () => {
    const a = make('a', 1, 256, 50);
    const idle = run(new Credit(1), 1, 3000, [a]);
    expect(idle).toBeGreaterThan(1_000_000_000);
    const [b, c] = [make('b', 1), make('c', 2)];
    expect(run(new Credit(2), 2, 1000, [b, c])).toBe(0);
  });

  it('lets one that wakes run before those that compute', () => {
    const s: Scheduler = new Credit(1);
    const [hog, sleeper] = [make('hog', 1), make('sleeper', 2)];
    s.add(asVcpu(hog));
    s.add(asVcpu(sleeper));
    s.wake(asVcpu(hog), 0);
    const first = s.pick(0, 0)!;
    hog.runningOn = 0;
    expect(first.vcpu).toBe(hog);
    s.returned(asVcpu(hog), 0, 25_000_000, 25_000_000);
    hog.runningOn = -1;
    s.sleep(asVcpu(hog));
    s.wake(asVcpu(hog), 25_000_000);
    s.pick(0, 25_000_000);
    hog.runningOn = 0;
    s.returned(asVcpu(hog), 0, 30_000_000, 55_000_000); // it has used its credits up
    hog.runningOn = -1;
    s.pick(0, 56_000_000);
    hog.runningOn = 0;
    s.wake(asVcpu(sleeper), 57_000_000);
    expect(s.shouldPreempt(0, asVcpu(hog))).toBe(true);
    expect(s.pick(0, 57_000_000)?.vcpu).toBe(sleeper);
  });

  it('forgets what sleeps', () => {
    const s: Scheduler = new Credit(1);
    const a = make('a', 1);
    s.add(asVcpu(a));
    s.wake(asVcpu(a), 0);
    s.sleep(asVcpu(a));
    expect(s.pick(0, 0)).toBeNull();
  });
});

describe('round robin', () => {
  it('treats everyone alike, whatever the weight', () => {
    const all = [make('a', 1, 1000), make('b', 2), make('c', 3)];
    expect(run(new RoundRobin(), 1, 3000, all)).toBe(0);
    for (const f of all) expect(Math.abs(f.ran - 1_000_000_000)).toBeLessThan(30_000_000);
  });
});

describe.each([['credit'], ['round robin']] as const)('hard affinity with %s', (name) => {
  it('keeps a domain on its pCPUs, whoever else waits', () => {
    const s: Scheduler = name === 'credit' ? new Credit(3) : new RoundRobin();
    const seen = new Map<string, Set<number>>();
    const picked = s.pick.bind(s);
    s.pick = (pcpu, now) => {
      const d = picked(pcpu, now);
      if (d) {
        const f = d.vcpu as unknown as Fake;
        seen.set(f.name, (seen.get(f.name) ?? new Set()).add(pcpu));
      }
      return d;
    };
    const all = [
      make('a', 1, 256, 0, [2]),
      make('b', 1, 256, 0, [2]),
      make('c', 2, 256, 0, [0, 1]),
      make('d', 3, 256, 0, [2]),
    ];
    const idle = run(s, 3, 3000, all);
    expect(seen.get('a')).toEqual(new Set([2]));
    expect(seen.get('d')).toEqual(new Set([2]));
    expect([...seen.get('c')!].every((p) => p < 2)).toBe(true);
    // c cannot use both of its pCPUs at once, and nobody else may use the other.
    expect(idle).toBe(3_000_000_000);
    expect(all[2].ran).toBe(3_000_000_000);
    for (const f of [all[0], all[1], all[3]]) expect(f.ran).toBeGreaterThan(0);
  });
});
