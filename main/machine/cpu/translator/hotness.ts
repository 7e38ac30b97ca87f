// Which places are worth translating. Generated code counts jumps to an operation record in one byte of it (OP.heat) and tells the tier whenever
// that wraps around; here the rest is counted. Invariant: counting changes nothing that a guest can see.

import { i32, type E } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { F, OP, STATE } from '../layout.ts';

/** Jumps between two calls of place_hot for one record. */
export const HEAT_STEP = 256;

/**
 * Writes: add `by` (i32, 0 or 1) to the heat of a record, and call place_hot(record) when it wraps around.
 * @param fuel instructions left (i32), where F.fuel does not say so
 */
export function countJump(f: FunctionBuilder, record: E, by: E, fuel?: E): void {
  const heat = f.let(record.ld8u(OP.heat).add(by));
  f.st8(record, OP.heat, heat);
  f.if(heat.and(HEAT_STEP), () => {
    if (fuel) f.st32(i32(0), STATE + F.fuel, fuel);
    f.callVoid('place_hot', record);
  });
}

/** Counts of records that are warm, not yet translated. */
export class Hotness {
  readonly #threshold: number;
  /** OP.heat of a record just decoded. */
  readonly start: number;
  readonly #counts = new Map<number, number>();

  /**
   * @param threshold jumps to a place before it is translated. Decoded records begin with a heat that makes it exact: see `start`.
   * @throws RangeError if it is not a whole number from 1 on
   */
  constructor(threshold: number) {
    if (!Number.isInteger(threshold) || threshold < 1)
      throw new RangeError(`A place cannot be translated after ${threshold} jumps to it: it takes one at least.`);
    this.#threshold = Math.ceil(threshold / HEAT_STEP);
    this.start = (this.#threshold * HEAT_STEP - threshold) % HEAT_STEP;
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

  /** Records that are counted. */
  keys(): Iterable<number> {
    return this.#counts.keys();
  }
  /** A record is gone: its address will mean something else. */
  delete(record: number): void {
    this.#counts.delete(record);
  }
  /** All are. */
  clear(): void {
    this.#counts.clear();
  }
}
