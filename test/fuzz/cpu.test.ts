// Random code in every mode of the CPU: run() never throws, hangs, overruns its budget or writes outside machine memory; where a run is cut,
// whether the state moves to another core, and whether the caches are emptied in between changes nothing.
// BULKHEAD_FUZZ=n runs n cases in each mode; BULKHEAD_FUZZ_SEED=s begins at case s.

import { describe, expect, it } from 'vitest';
import { PAUSE_CYCLES } from '../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../main/machine/cpu/system/index.ts';
import { FuzzMachine, LONGEST_WAIT, MODES, difference, scene, type Mode, type Snapshot } from './cpu-machine.ts';
import { Random } from './random.ts';

const CASES = Number(process.env.BULKHEAD_FUZZ ?? 40);
const FIRST = Number(process.env.BULKHEAD_FUZZ_SEED ?? 1);
const BUDGET = 400;
const PG = 0x8000_0000n;
/** Cycles that one instruction waits at most: PAUSE, or each element of a REP INS or OUTS in one page. */
const LONGEST = Math.max(PAUSE_CYCLES, 4096 * LONGEST_WAIT) + 1;

const first = new FuzzMachine();
const second = new FuzzMachine();

/** Runs until `budget` cycles are over or the vCPU stops; returns true if it can go on. */
function advance(m: FuzzMachine, budget: number, name: string): boolean {
  const before = m.time;
  const exit = m.core.run(m.vcpu, budget);
  const taken = m.time - before;
  expect(exit.retired, `${name}: retired`).toBeLessThanOrEqual(Math.min(budget, taken));
  // only the last instruction goes on waiting when the budget is over
  expect(taken, `${name}: clock`).toBeLessThan(budget + LONGEST);
  return exit.code === ExitCode.Budget;
}

/** A guest that loaded its own page tables may have made its TLB stale, which hardware allows: then runs may differ. */
const ownTables = (start: Snapshot, now: Snapshot): boolean =>
  (now.state.fields.cr0! & PG) !== 0n &&
  ((start.state.fields.cr0! & PG) === 0n || start.state.fields.cr3 !== now.state.fields.cr3);

function one(mode: Mode, seed: number): void {
  const r = new Random(seed * MODES.length + MODES.indexOf(mode));
  const user = r.chance(2);
  const name = `${mode}, seed ${seed}`;
  const start = scene(r, mode, user);
  first.restore(start);
  try {
    advance(first, BUDGET, name);
  } catch (e) {
    throw new Error(`${name}: ${String(e)}`, { cause: e });
  }
  expect(first.trespass(), `${name}: written outside machine memory`).toBe(-1);
  const whole = first.snapshot();
  if (ownTables(start, whole)) return;

  // the same in pieces of random lengths, with one interruption of each kind
  second.restore(start);
  let machine = second;
  const kind = r.below(3);
  for (let left = BUDGET, going = true; going && left > 0;) {
    const piece = Math.min(left, r.chance(2) ? 1 : 1 + r.below(60));
    going = advance(machine, piece, name);
    left = BUDGET - machine.time;
    if (kind === 1) machine.flush();
    if (kind === 2 && r.chance(4)) {
      const other = machine === second ? first : second;
      other.restore(machine.snapshot());
      machine = other;
    }
  }
  const pieces = machine.snapshot();
  const what = ['cut into pieces', 'with caches emptied', 'moved between cores'][kind]!;
  if (!ownTables(start, pieces)) expect(difference(whole, pieces), `${name}: ${what}`).toBeNull();
}

describe('random code', () => {
  for (const mode of MODES)
    it(mode, () => {
      for (let seed = FIRST; seed < FIRST + CASES; seed++) one(mode, seed);
    });
});
