// The rules of pre-copy: when it ends, how fast it goes, what it predicts.
import { describe, expect, it } from 'vitest';
import { MigrationPolicy } from '../../../shared/migration-service.ts';
import { nextRate, PRESETS, predict, type RoundFigures, stopReason } from '../../../main/toolstack/migration/policy.ts';

const round = (over: Partial<RoundFigures> = {}): RoundFigures => ({
  pagesSent: 1000,
  pagesSkipped: 0,
  pagesLeft: 500,
  dirtyMbit: 200,
  limitMbit: 0,
  ...over,
});
const today = PRESETS['xen-today'];
const old = PRESETS['xen-2.0.6'];

describe('presets', () => {
  it('are policies under their own names', () => {
    for (const [name, policy] of Object.entries(PRESETS)) expect(MigrationPolicy.parse(policy).preset).toBe(name);
  });
  it('have the numbers of their sources', () => {
    expect([today.maxRounds, today.targetPages, today.maxSentFactor]).toEqual([5, 50, 0]);
    expect([old.maxRounds, old.targetPages, old.maxSentFactor]).toEqual([30, 50, 3]);
    expect([old.startMbit, old.stepMbit, old.ceilingMbit]).toEqual([100, 50, 500]);
  });
});

describe('stopping', () => {
  it('goes on while nothing speaks against it', () => {
    expect(stopReason(today, [], 1000)).toBeNull();
    expect(stopReason(today, [round()], 1000)).toBeNull();
  });
  it('ends when few pages are left: 50, not 51', () => {
    expect(stopReason(today, [round({ pagesLeft: 51 })], 1000)).toBeNull();
    expect(stopReason(today, [round({ pagesLeft: 50 })], 1000)).toBe('few-pages-left');
  });
  it('ends after the last round', () => {
    expect(stopReason(today, Array<RoundFigures>(4).fill(round()), 1000)).toBeNull();
    expect(stopReason(today, Array<RoundFigures>(5).fill(round()), 1000)).toBe('round-limit');
  });
  it('ends when three times the memory was sent', () => {
    const three = [round(), round(), round()];
    expect(stopReason(old, three, 1000)).toBeNull();
    expect(stopReason(old, [...three, round({ pagesSent: 1 })], 1000)).toBe('sent-too-much');
  });
  it('ends when the ceiling is reached and a round is larger than the one before', () => {
    const before = round({ pagesSent: 400, limitMbit: 450 });
    const atCeiling = round({ pagesSent: 300, pagesSkipped: 101, limitMbit: 500 });
    expect(stopReason(old, [before, atCeiling], 10_000)).toBe('not-converging');
    expect(stopReason(old, [before, { ...atCeiling, pagesSkipped: 99 }], 10_000)).toBeNull();
    expect(stopReason(old, [before, { ...atCeiling, limitMbit: 499 }], 10_000)).toBeNull();
  });
  it('never begins when no live round is wanted', () => {
    expect(stopReason(PRESETS['stop-and-copy'], [], 1000)).toBe('stop-and-copy');
  });
});

describe('rate', () => {
  it('starts at the minimum, then is the dirty rate plus the step, up to the ceiling and not below the minimum', () => {
    expect(nextRate(old, [])).toBe(100);
    expect(nextRate(old, [round({ dirtyMbit: 200 })])).toBe(250);
    expect(nextRate(old, [round({ dirtyMbit: 480 })])).toBe(500);
    expect(nextRate(old, [round({ dirtyMbit: 3 })])).toBe(100);
  });
  it('is the link where the policy sets none', () => {
    expect(nextRate(today, [round()])).toBe(0);
  });
});

describe('prediction', () => {
  const outlook = {
    pages: 10_000,
    memoryPages: 10_000,
    dirtyPerNs: 1e-6,
    linkBytesPerNs: 0.1176,
    latencyNs: 400_000,
    stateBytes: 16_384,
  };
  it('shortens the downtime round by round for a guest that writes slower than the link', () => {
    const p = predict(today, [], outlook);
    // 41 MB at 117.6 MB/s
    expect(p.totalNs).toBeGreaterThan(348e6);
    expect(p.totalNs).toBeLessThan(380e6);
    expect(p.downtimeNs).toBeLessThan(8e6);
    expect(p.bytes).toBeGreaterThan(41e6);
  });
  it('is longer for a guest that writes faster, and at most the whole memory', () => {
    const fast = predict(today, [], { ...outlook, dirtyPerNs: 2e-5 });
    const all = predict(today, [], { ...outlook, dirtyPerNs: 1 });
    expect(fast.downtimeNs).toBeGreaterThan(predict(today, [], outlook).downtimeNs);
    expect(all.downtimeNs).toBeLessThan((10_000 * 4104) / 0.1176 + 4e6);
    expect(all.downtimeNs).toBeGreaterThan((10_000 * 4104) / 0.1176);
  });
  it('is one copy for stop-and-copy', () => {
    const p = predict(PRESETS['stop-and-copy'], [], outlook);
    expect(p.downtimeNs).toBe(p.totalNs);
    expect(p.bytes).toBe(10_000 * 4104 + 16_384);
  });
});
