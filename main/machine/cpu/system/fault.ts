// Raising exceptions and intercepts from TypeScript.
// Invariant: whoever raises has changed no architectural state yet (partial stores to memory are allowed, as on hardware).

import type { CpuState } from './state.ts';
import { F, Next } from '../layout.ts';

/** Exception vectors (SDM vol. 3, table 6-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Thrown by raise(): an exception is pending in F.faultVector. Thrown objects carry no stack, so that this stays cheap. */
export const FAULT = Object.freeze({ kind: 'cpu fault' });
/** Thrown by leave(): F.exit says why; the instruction has not happened. */
export const LEAVE = Object.freeze({ kind: 'cpu exit' });

/** Makes an exception without an error code pending and leaves the routine. */
export function raise(state: CpuState, vector: number): never {
  state.set32(F.faultVector, vector);
  state.set32(F.faultError, 0);
  state.set32(F.faultHasError, 0);
  throw FAULT;
}

/** Makes an exception with an error code pending and leaves the routine. */
export function raiseError(state: CpuState, vector: number, error: number): never {
  state.set32(F.faultVector, vector);
  const selectorError = vector >= Vector.TS && vector <= Vector.GP;
  state.set32(F.faultError, selectorError ? error | state.external : error);
  state.set32(F.faultHasError, 1);
  throw FAULT;
}

export function raiseUd(state: CpuState): never {
  return raise(state, Vector.UD);
}

export function raiseGp(state: CpuState, error: number): never {
  return raiseError(state, Vector.GP, error);
}

/** Like leave(), as the value a routine returns: for exits that happen millions of times, where throwing would cost too much. */
export function exitBefore(
  state: CpuState,
  exit: number,
  info0: number,
  info1: number,
  info2: number,
  info3: number,
): number {
  state.setExit(exit, info0, info1, info2, info3);
  return Next.ExitBefore;
}

/** Leaves to run()'s caller before the instruction; `exit` is an ExitCode. */
export function leave(state: CpuState, exit: number, info0 = 0, info1 = 0, info2 = 0, info3 = 0): never {
  state.setExit(exit, info0, info1, info2, info3);
  throw LEAVE;
}
