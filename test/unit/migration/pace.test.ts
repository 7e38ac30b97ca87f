// How fast the clock goes while domains move: the speed that is worked out, and a clock that keeps to it without another history.
import { describe, expect, it } from 'vitest';
import { ClockLoop } from '../../../main/engine/clock-loop.ts';
import { paceOf } from '../../../main/engine/migration-pace.ts';

const MS = 1e6;

describe('the pace of a round', () => {
  it('makes two seconds of what it is expected to take', () => {
    expect(paceOf({ startedAt: 0, expectedNs: 100 * MS }, 50 * MS, 0.4 * MS)).toBe(0.05);
  });
  it('grows with what takes longer, and is not slower than one epoch in that time', () => {
    expect(paceOf({ startedAt: 10 * MS, expectedNs: 2 * MS }, 90 * MS, 0.4 * MS)).toBe(0.04);
    expect(paceOf({ startedAt: 0, expectedNs: 0.01 * MS }, 0, 0.4 * MS)).toBe(0.0002);
  });
  it('is none while nothing is known', () => {
    expect(paceOf(null, 0, MS)).toBeNull();
    expect(paceOf({ startedAt: 0, expectedNs: 0 }, 5 * MS, MS)).toBeNull();
  });
});

describe('a clock', () => {
  /** Runs ten epochs of 1 ms, from `slowFrom` on at `slowed`. */
  async function run(
    speed: number,
    slowed: number | null,
  ): Promise<{ epochs: number[]; applied: number[]; wall: number; seen: unknown[] }> {
    const epochs: number[] = [];
    const applied: number[] = [];
    const seen: unknown[] = [];
    let waiting = 0;
    const clock: ClockLoop = new ClockLoop(
      {
        epochNs: () => MS,
        runEpoch: (until) => {
          epochs.push(until);
          return Promise.resolve(until);
        },
        betweenEpochs: (now) => {
          for (; waiting > 0; waiting--) applied.push(now);
          return Promise.resolve();
        },
        slowedTo: () => (clock.now >= 2 * MS && clock.now < 5 * MS ? slowed : null),
      },
      () => {
        seen.push(clock.status.slowed?.speed ?? null);
        if (epochs.length === 3 && applied.length + waiting === 0) {
          waiting++;
          void clock.settle();
        }
      },
      (e) => {
        throw e as Error;
      },
    );
    clock.setSpeed(speed);
    const before = performance.now();
    await clock.step(10 * MS);
    return { epochs, applied, wall: performance.now() - before, seen };
  }

  it('is slowed while it is asked to be, says so, and takes what comes in at the same lab time', async () => {
    const free = await run(0, null);
    const slow = await run(0, 0.02);
    expect(slow.epochs).toEqual(free.epochs);
    expect(free.applied).toEqual([3 * MS]);
    expect(slow.applied).toEqual([3 * MS]);
    expect(new Set(free.seen)).toEqual(new Set([null]));
    expect(new Set(slow.seen)).toEqual(new Set([null, 0.02]));
    // three epochs of 1 ms at a fiftieth of the user's clock
    expect(slow.wall).toBeGreaterThan(140);
  });
  it('is not slowed to more than the chosen speed', async () => {
    expect(new Set((await run(0.5, 0.8)).seen)).toEqual(new Set([null]));
  });
});
