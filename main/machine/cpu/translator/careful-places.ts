// Instructions that regions leave to the interpreter again and again, because of what memory they access: pages that the TLB does not have, pages with
// decoded code beside data, runs of accesses that lie across two pages. Generated code counts (REGION_LEFT); from a number on such an instruction is
// translated with care: alone, with a call of the slow way.
// Invariant: counting changes nothing that a guest can see.

import type { E } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { OP_BYTES, REGION_LEFT, RegionLeft } from '../layout.ts';

/**
 * Times 256 that an instruction is left before the regions with it that took no care of it are translated anew (and each time it is twice as much:
 * some were being made meanwhile), and before it is one of those taken care of on such an occasion.
 */
const MANY = 4;
const SOME = 1;

/** Writes: a region has left a record (i32) to the interpreter. */
export function countLeft(f: FunctionBuilder, record: E): void {
  const at = f.let(record.shrU(Math.log2(OP_BYTES)).and(RegionLeft.entries - 1));
  const count = f.let(at.ld8u(REGION_LEFT).add(1));
  f.st8(at, REGION_LEFT, count);
  f.if(count.and(256), () => f.callVoid('place_left', record));
}

export class CarefulPlaces {
  /** By frame and page offset: how often, divided by 256. */
  readonly #left = new Map<number, Map<number, number>>();

  /** 256 times more an instruction has been left: true when the regions with it are to be translated anew. */
  note(frame: number, offset: number): boolean {
    let page = this.#left.get(frame);
    if (!page) this.#left.set(frame, (page = new Map()));
    const n = (page.get(offset) ?? 0) + 1;
    page.set(offset, n);
    return n >= MANY && (n & (n - 1)) === 0;
  }
  /** Page offsets in a frame that are taken care of. */
  of(frame: number): number[] {
    return [...(this.#left.get(frame) ?? [])].filter(([, n]) => n >= SOME).map(([offset]) => offset);
  }
  /** Whether some place of the frame was left often enough for new translations. */
  has(frame: number): boolean {
    return [...(this.#left.get(frame)?.values() ?? [])].some((n) => n >= MANY);
  }
  /** The code of a frame is gone. */
  forget(frame: number): void {
    this.#left.delete(frame);
  }
  clear(): void {
    this.#left.clear();
  }
}
