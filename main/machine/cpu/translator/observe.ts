// What an instruction does to registers, flags, pages and control: seen by writing its meaning for nobody.
// Invariant: what is found depends only on the handler and on those fields of the operation record that are part of the key it is kept under.

import type { FunctionBuilder } from '../../wasm/function.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { FAST_ROUTINES } from '../fast-events.ts';
import { sharedFunctions } from '../interpreter.ts';
import { noPlan } from './access-runs.ts';
import { callsRoutine, type RegionInstruction } from './blocks.ts';
import { RegionFlags } from './region-flags.ts';
import { TranslatorSemantics } from './region-semantics.ts';
import type { Facts, RegionState } from './region-state.ts';

/** Facts with the names of the functions that the translated instruction calls. */
export interface Observed {
  readonly facts: Facts;
  readonly calls: readonly string[];
}

/** What is kept at most; then everything is forgotten. */
const KEPT = 20_000;

/** The function that does what a system routine does; the generated one first, if there is one (it answers UNUSUAL for what it leaves). */
export const routineFunctions = (name: string): string[] => [
  ...(FAST_ROUTINES.has(name) ? [`fast_${name}`] : []),
  `sys_${name}`,
];

/** Imports functions of the interpreter that translated code may call: those named, or all but the routines. */
export function declareShared(m: ModuleBuilder, mode: 32 | 64, names: ReadonlySet<string> | null): void {
  for (const name of names ?? []) if (/^(sys|fast)_/.test(name)) m.import(name, ['i32'], ['i32']);
  for (const s of sharedFunctions(mode)) if (!names || names.has(s.name)) m.import(s.name, s.params, s.results);
}

const kept: Record<32 | 64, Map<string, Observed>> = { 32: new Map(), 64: new Map() };

/** Immediates matter as constants that decide a branch: counts of shifts, of which all bytes are possible (a count of 0x60 is none). */
const keyOf = ({ handler, record }: RegionInstruction): string => {
  const { reg, rm, base, index, flags, seg, imm, disp } = record;
  const small = imm >= 0n && imm < 256n ? imm : '';
  return `${handler.id} ${reg} ${rm} ${base} ${index} ${flags} ${seg} ${small} ${base < 128 ? '' : disp >> 12}`;
};

/** Finds out what the instructions of one code width do. */
export class Observer {
  readonly #mode: 32 | 64;
  #scratch: { f: FunctionBuilder; state: RegionState } | null = null;
  #calls: string[] = [];

  constructor(mode: 32 | 64) {
    this.#mode = mode;
  }

  #prepare(): { f: FunctionBuilder; state: RegionState } {
    if (this.#scratch) return this.#scratch;
    const m = new ModuleBuilder();
    declareShared(m, this.#mode, null);
    m.onCall = (name) => this.#calls.push(name);
    const f = m.scratch();
    const word = f.local('i32');
    const double = f.local('f64');
    const wide = f.local('i64');
    const address = f.local(this.#mode === 64 ? 'i64' : 'i32');
    const nowhere = (): void => f.unreachable();
    const state: RegionState = {
      registers: Array.from({ length: 16 }, () => address),
      flags: new RegionFlags(f, []),
      ...{ doubles: Array.from({ length: 16 }, () => double), isPlain: () => false, setPlain: () => {} },
      ...{ pageBase: address, tlb: word, inexact: wide, segmentBase: () => address, lastPage: () => null, before: 0 },
      ...{ runAt: () => null, beginRun: () => word },
      ...{ bail: nowhere, go: nowhere, goTo: nowhere, callRoutine: () => {} },
    };
    return (this.#scratch = { f, state });
  }
  #write(instruction: RegionInstruction, wanted: boolean): Facts {
    const { f, state } = this.#prepare();
    f.w.n = 0;
    state.flags.at = null;
    const s = new TranslatorSemantics(f, this.#mode, instruction, state, wanted, noPlan());
    f.scope(() => s.writeInstruction());
    return s.facts;
  }

  observe(instruction: RegionInstruction): Observed {
    const cache = kept[this.#mode];
    const key = keyOf(instruction);
    const known = cache.get(key);
    if (known) return known;
    this.#calls = [];
    const facts = this.#write(instruction, true);
    facts.looksAtFlags = facts.readsFlags;
    // what it reads only to make flags does not count
    if (facts.readsFlags) facts.readsFlags = this.#write(instruction, false).readsFlags;
    const { handler } = instruction;
    if (callsRoutine(handler)) this.#calls.push(...routineFunctions(handler.instruction.routine!));
    const seen = { facts, calls: [...new Set(this.#calls)] };
    if (cache.size >= KEPT) cache.clear();
    cache.set(key, seen);
    return seen;
  }
}
