// Which places are worth translating. Generated code counts jumps to an operation record in one byte of it (OP.heat) and tells the tier whenever
// that wraps around; here the rest is counted. Invariant: counting changes nothing that a guest can see.

import type { E } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { OP } from '../layout.ts';

/** Jumps between two calls of place_hot for one record. */
export const HEAT_STEP = 256;

/** Writes: add `by` (i32, 0 or 1) to the heat of a record, and call place_hot(record) when it wraps around. */
export function countJump(f: FunctionBuilder, record: E, by: E): void {
  const heat = f.let(record.ld8u(OP.heat).add(by));
  f.st8(record, OP.heat, heat);
  f.if(heat.and(HEAT_STEP), () => f.callVoid('place_hot', record));
}

/** Counts of records that are warm, not yet translated. */
export class Hotness {
  readonly #threshold: number;
  readonly #counts = new Map<number, number>();

  /** @param threshold jumps to a place before it is translated; rounded up to a multiple of HEAT_STEP. */
  constructor(threshold: number) {
    this.#threshold = Math.max(1, Math.ceil(threshold / HEAT_STEP));
  }

  /** A record's heat has wrapped around: true when it should be translated now. */
  heat(record: number): boolean {
    const n = (this.#counts.get(record) ?? 0) + 1;
    if (n >= this.#threshold) {
      this.#counts.delete(record);
      return true;
    }
    this.#counts.set(record, n);
    return false;
  }

  /** Records are gone: their addresses will mean something else. */
  clear(): void {
    this.#counts.clear();
  }
}
