import { describe, expect, it } from 'vitest';
import { EventQueue, ManualClock, nsAtTick, ticksAt } from '../../../main/machine/clock.ts';

describe('ticksAt and nsAtTick', () => {
  it.each([1_193_182, 3_579_545, 1_000_000, 2_600_000_000, 333_000_000])('are inverse to each other at %i Hz', (hz) => {
    for (const ticks of [0, 1, 2, 3, 999, 65_536, 1_193_181, hz - 1, hz, hz + 1, 86_400 * 100 * (hz % 1000) + 7]) {
      const ns = nsAtTick(ticks, hz);
      // Above 1 GHz several ticks share a nanosecond: the last of them is what has passed.
      expect(ticksAt(ns, hz)).toBeGreaterThanOrEqual(ticks);
      expect(ticksAt(ns, hz) - ticks).toBeLessThan(Math.max(1, hz / 1e9));
      if (ns > 0) expect(ticksAt(ns - 1, hz)).toBeLessThan(ticks);
    }
  });

  it('count whole seconds exactly over months', () => {
    expect(ticksAt(8_640_000 * 1_000_000_000, 1_193_182)).toBe(8_640_000 * 1_193_182);
    expect(nsAtTick(8_640_000 * 3_579_545, 3_579_545)).toBe(8_640_000 * 1_000_000_000);
  });
});

describe('EventQueue', () => {
  it('gives events by time, and by order of scheduling at equal times', () => {
    const queue = new EventQueue();
    const ran: string[] = [];
    const times: [number, string][] = [
      [30, 'c'],
      [10, 'a'],
      [20, 'b1'],
      [20, 'b2'],
      [5, 'first'],
      [20, 'b3'],
      [40, 'd'],
    ];
    for (const [at, name] of times) queue.schedule(at, () => ran.push(name));
    for (let due = queue.takeDue(35); due !== null; due = queue.takeDue(35)) due.callback();
    expect(ran).toEqual(['first', 'a', 'b1', 'b2', 'b3', 'c']);
    expect(queue.nextTime()).toBe(40);
  });

  it('forgets cancelled events wherever they are in the heap', () => {
    const queue = new EventQueue();
    const ran: number[] = [];
    const events = Array.from({ length: 50 }, (_, index) =>
      queue.schedule((index * 7919) % 101, () => ran.push(index)),
    );
    events.forEach((event, index) => index % 3 === 0 && queue.cancel(event));
    let last = -1;
    for (let due = queue.takeDue(1000); due !== null; due = queue.takeDue(1000)) {
      expect(due.at).toBeGreaterThanOrEqual(last);
      last = due.at;
      due.callback();
    }
    expect(ran.length).toBe(33);
    expect(ran.every((index) => index % 3 !== 0)).toBe(true);
    expect(queue.nextTime()).toBe(Infinity);
  });
});

describe('ManualClock', () => {
  it('runs events at their own time, also those that events schedule', () => {
    const clock = new ManualClock();
    const seen: number[] = [];
    clock.schedule(10, () => {
      seen.push(clock.now());
      clock.schedule(15, () => seen.push(clock.now()));
    });
    clock.advanceTo(100);
    expect(seen).toEqual([10, 15]);
    expect(clock.now()).toBe(100);
  });
});
