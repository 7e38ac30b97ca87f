// Flags at the head of a loop. To bring them into the state's form in every pass would cost more than many loops do otherwise, and only a way out in
// front of the next instruction that sets flags wants them: so a pass leaves them as they are, described by registers and constants where possible.
// Invariant: a description that two edges to a head share means the same for both.

import type { E } from '../../wasm/expr.ts';
import type { Local } from '../../wasm/function.ts';
import type { WholeFlags } from './region-flags.ts';

/** A value that is also found elsewhere: a constant, or a general register as long as that has been written `version` times. */
export type Source = { readonly constant: bigint } | { readonly register: number; readonly version: number };

/** Where result and operands of what set the flags are found besides. */
export class Sources {
  r: Source | null;
  readonly a: Source | null;
  readonly b: Source | null;
  /** The local with the result, while the instruction that made it is being written. */
  #result: E | null;

  constructor(r: Source | null, a: Source | null, b: Source | null, result: E) {
    this.r = r;
    this.a = a;
    this.b = b;
    this.#result = result;
  }
  endInstruction(): void {
    this.#result = null;
  }
  resultWritten(v: Local, to: Source): void {
    if (this.#result === v) this.r = to;
  }
}

/** What a pass leaves: `whole` with result and operands in its own locals where no source is named (two of r, a and b give the third). */
export interface LoopFlags {
  readonly whole: WholeFlags;
  readonly r: Source | null;
  readonly a: Source | null;
  readonly b: Source | null;
}

const sourceText = (s: Source | null): string =>
  s === null ? '-' : 'constant' in s ? `${s.constant}` : `register ${s.register}`;

/** Whether two edges leave the same. */
export function sameLoopFlags(x: LoopFlags, y: LoopFlags): boolean {
  const text = ({ whole, r, a, b }: LoopFlags): string => {
    const { what, size, kind, delta, carryOfState, shift } = whole;
    return [what, size, kind, delta, carryOfState, shift, sourceText(r), sourceText(a), sourceText(b)].join();
  };
  return text(x) === text(y);
}
