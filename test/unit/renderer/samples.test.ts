// Rates are differences of what the engine reported, and a minute of reports stays a minute.
import { describe, expect, it } from 'vitest';
import { rateNow, rates, SPAN_NS, withSample } from '../../../renderer/stores/samples.ts';
import type { DetailedSample } from '../../../renderer/stores/samples.ts';

const S = 1e9;
const at = (ns: number, counters: Partial<DetailedSample> = {}): DetailedSample => ({
  at: ns,
  cpuNs: 0,
  instructions: 0,
  hypercalls: 0,
  exits: 0,
  memoryMiB: 32,
  ...counters,
});
const feed = (samples: DetailedSample[]): readonly DetailedSample[] =>
  samples.reduce<readonly DetailedSample[]>((list, sample) => withSample(list, sample), []);

describe('samples', () => {
  it('reads a rate over the last second of lab time only', () => {
    const list = feed([at(0), at(1 * S, { hypercalls: 900 }), at(2 * S, { hypercalls: 910 })]);
    expect(rateNow(list, 'hypercalls')).toBe(10);
  });

  it('reads a rate over what there is when a domain is younger than a second', () => {
    expect(rateNow(feed([at(0), at(0.5 * S, { cpuNs: 0.25 * S })]), 'cpuNs')).toBe(0.5 * S);
  });

  it('has no rate while the clock stands', () => {
    expect(rateNow(feed([at(5 * S, { exits: 3 }), at(5 * S, { exits: 3 })]), 'exits')).toBe(0);
    expect(rateNow([], 'exits')).toBe(0);
  });

  it('keeps a minute, whatever the rate of reports', () => {
    const list = feed(Array.from({ length: 20_000 }, (_, i) => at(i * 0.01 * S, { instructions: i * 100 })));
    expect(list.length).toBeLessThan(520);
    expect(list.at(-1)!.at - list[0].at).toBeGreaterThanOrEqual(SPAN_NS);
    expect(list.at(-1)!.instructions).toBe(1_999_900);
    for (const point of rates(list, 'instructions')) expect(point.value).toBeCloseTo(10_000, 3);
  });

  it('starts again when the clock went back', () => {
    expect(feed([at(10 * S), at(11 * S), at(2 * S)])).toEqual([at(2 * S)]);
  });
});
