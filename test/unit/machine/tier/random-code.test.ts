// Random code of the fuzzer in every mode, and random programs with control flow, by both tiers: the same state, memory, device accesses and time after any budget.
// BULKHEAD_FUZZ=n runs n cases in each mode; BULKHEAD_FUZZ_SEED=s begins at case s.

import { describe, expect, it } from 'vitest';
import { FuzzMachine, MODES, difference, scene, type Mode } from '../../../fuzz/cpu-machine.ts';
import { Random } from '../../../fuzz/random.ts';
import { compareMachines, lockstep } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { Random as Words } from '../translator/programs.ts';
import { CODE, TierMachine } from './machine.ts';
import { program } from './programs.ts';

const CASES = Number(process.env.BULKHEAD_FUZZ ?? 15);
const FIRST = Number(process.env.BULKHEAD_FUZZ_SEED ?? 1);
const RANDOM_CODE = 0x10000;
const BUDGET = 600;

const interpreted = new FuzzMachine({ tier: 'interpreter' });
const eager = new FuzzMachine({
  tier: 'translator',
  translator: { threshold: 1, patience: 0, batch: 1, background: false },
});

/** Gives code loops: some of its instructions become short jumps back, which end when ECX has counted down or a condition is met. */
function addLoops(r: Random, ram: Uint8Array): void {
  for (let n = 0; n < 24; n++) {
    const at = RANDOM_CODE + r.below(0x1000);
    ram.set([0x70 | r.below(16), 0x80 | r.below(128)], at);
  }
}

function both(mode: Mode, seed: number): void {
  const r = new Random(seed * MODES.length + MODES.indexOf(mode));
  const start = scene(r, mode, r.chance(2));
  addLoops(r, start.ram);
  const budget = 1 + r.below(BUDGET);
  const ends = [interpreted, eager].map((m) => {
    m.restore(start);
    const { code, retired } = m.core.run(m.vcpu, budget);
    return { code, retired, snapshot: m.snapshot() };
  });
  const [a, b] = ends as [(typeof ends)[0], (typeof ends)[0]];
  const name = `${mode}, seed ${seed}, budget ${budget}`;
  expect(difference(a.snapshot, b.snapshot), name).toBeNull();
  expect(b.code, `${name}: exit`).toBe(a.code);
  expect(b.retired, `${name}: instructions`).toBe(a.retired);
  expect(eager.trespass(), `${name}: written outside machine memory`).toBe(-1);
}

describe('random code, every jump target translated at once', () => {
  for (const mode of MODES)
    it(mode, () => {
      for (let seed = FIRST; seed < FIRST + CASES; seed++) both(mode, seed);
    });
  it('was translated', () => expect(eager.core.tier!.statistics().made).toBeGreaterThan(CASES * 2));
});

describe.each([32, 64] as const)('random programs of %i-bit code', (mode) => {
  it.each([1, 60, 300])('translated after %i jumps, cut into any pieces', (threshold) => {
    const r = new Words(mode * 1000 + threshold);
    let made = 0;
    for (let n = 0; n < CASES; n++) {
      const code = Uint8Array.from(program(r, mode));
      const make = (tier: 'interpreter' | 'translator'): TierMachine => {
        const m = new TierMachine(mode, {
          tier,
          translator: { threshold, patience: threshold === 1 ? 0 : n % 2, batch: 1 + (n % 3), background: false },
        });
        m.mem.copyIn(CODE, code);
        return m;
      };
      const [a, b] = [make('interpreter'), make('translator')];
      const end = 200_000;
      a.runUntil(end);
      if (n % 2 === 0) b.runUntil(end);
      else
        for (let to = 0; to < end;) {
          to = Math.min(end, to + 1 + r.below(r.once(3) ? 10 : 3000));
          if (!b.runUntil(to)) break;
        }
      made += b.core.tier!.statistics().made;
      if (compareMachines(a, b) === null) continue;
      const found = lockstep(make, end, end);
      expect.fail(`program ${n}: ${found?.report ?? compareMachines(a, b)}`);
    }
    expect(made).toBeGreaterThan(threshold === 1 ? CASES : 0);
  });
});
