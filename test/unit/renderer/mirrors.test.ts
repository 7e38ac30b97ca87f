// What stores keep of the engine's reports: console bytes once and in order, histories that stand while the clock stands, and
// a selection that outlives its domain.
import { describe, expect, it } from 'vitest';
import { unseen } from '../../../renderer/stores/console.ts';
import { emptyHistories, HISTORY_SAMPLES, recordHistories } from '../../../renderer/stores/history.ts';
import { readPreferences } from '../../../renderer/stores/preferences.ts';
import { nextSelection } from '../../../renderer/stores/selection.ts';
import { neighbourSpeed, SPEEDS } from '../../../renderer/commands/clock-verbs.ts';
import type { LabStatus } from '../../../shared/model.ts';

describe('console bytes', () => {
  const stream = Uint8Array.from({ length: 100 }, (_, i) => i);
  const chunk = (from: number, end: number) => ({ bytes: stream.slice(from, end), end });

  it('are written once, however chunks overlap', () => {
    let end = 0;
    const written: number[] = [];
    for (const next of [chunk(0, 40), chunk(30, 50), chunk(10, 20), chunk(50, 51), chunk(45, 100), chunk(99, 100)]) {
      written.push(...unseen(next, end));
      end = Math.max(end, next.end);
    }
    expect(written).toEqual([...stream]);
  });

  it('are all written when older ones are gone', () => {
    expect([...unseen(chunk(60, 64), 0)]).toEqual([60, 61, 62, 63]);
  });
});

describe('histories', () => {
  const status = (now: number, cpuPercent: number): LabStatus =>
    ({
      clock: { now, running: true, speed: 1, achieved: 1, limited: false },
      domains: [{ uuid: 'u1', colour: 3, vcpus: 2, cpuPercent, cpuNs: now / 2, memoryMiB: 16 }],
      hosts: [{ spec: { name: 'alder' }, pcpus: [{ running: 'u1', shares: [{ uuid: 'u1', share: 0.5 }] }] }],
    }) as unknown as LabStatus;

  it('hold a fixed number of reports', () => {
    let histories = emptyHistories();
    for (let i = 1; i <= 200; i++) histories = recordHistories(histories, status(i * 1e8, 100));
    expect(histories.cpu.get('u1')).toHaveLength(HISTORY_SAMPLES);
    expect(histories.cpu.get('u1')?.at(-1)).toBe(0.5);
    expect(histories.pcpus.get('alder')?.[0]).toHaveLength(HISTORY_SAMPLES);
    expect(histories.pcpus.get('alder')?.[0].at(-1)).toEqual([{ colour: 3, share: 0.5 }]);
  });

  it('stand still while the clock does', () => {
    const once = recordHistories(emptyHistories(), status(1e9, 10));
    expect(recordHistories(once, status(1e9, 90))).toBe(once);
  });

  it('forget a domain that is gone', () => {
    const before = recordHistories(emptyHistories(), status(1e9, 10));
    const after = recordHistories(before, { ...status(2e9, 10), domains: [] });
    expect(after.cpu.size).toBe(0);
    expect(after.use.size).toBe(0);
  });
});

describe('the selection', () => {
  it('stays, or goes to what took the place', () => {
    expect(nextSelection('b', ['a', 'b', 'c'], ['a', 'b'])).toBe('b');
    expect(nextSelection('b', ['a', 'b', 'c'], ['a', 'c'])).toBe('c');
    expect(nextSelection('c', ['a', 'b', 'c'], ['a', 'b'])).toBe('b');
    expect(nextSelection(undefined, [], ['a'])).toBe('a');
    expect(nextSelection('a', ['a'], [])).toBeUndefined();
  });
});

describe('speeds', () => {
  it('step through the list and end free', () => {
    expect(neighbourSpeed(1, 1)).toBe(2);
    expect(neighbourSpeed(1, -1)).toBe(0.5);
    expect(neighbourSpeed(0.7, -1)).toBe(0.5);
    expect(neighbourSpeed(SPEEDS[0], -1)).toBe(SPEEDS[0]);
    expect(neighbourSpeed(SPEEDS[SPEEDS.length - 1], 1)).toBe(0);
    expect(neighbourSpeed(0, -1)).toBe(SPEEDS[SPEEDS.length - 1]);
  });
});

describe('preferences', () => {
  it('fall back where what was stored makes no sense', () => {
    const fallback = readPreferences(null);
    expect(readPreferences('no json')).toEqual(fallback);
    expect(readPreferences('{"inspectorHeight":"tall","inspectorOpen":1,"tab":7}')).toEqual(fallback);
    expect(readPreferences('{"inspectorHeight":3}').inspectorHeight).toBe(fallback.inspectorHeight);
    expect(readPreferences('{"inspectorHeight":400,"tab":"meter"}')).toEqual({
      ...fallback,
      inspectorHeight: 400,
      tab: 'meter',
    });
  });
});
