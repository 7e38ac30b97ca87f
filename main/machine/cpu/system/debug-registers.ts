// Breakpoints and alignment: what DR0 to DR7 watch, and when CR0.AM makes a misaligned access an exception (SDM vol. 3, 18.2 and 6.15).
// Invariant: F.careful says exactly which of these is on, so that everybody else asks for one word that is almost always 0.

import { Careful, F } from '../layout.ts';
import { Access } from './paging.ts';
import { Cr0, Cr4, Eflags } from './state.ts';
import type { CpuState } from './state.ts';

/** Bits of DR6 besides B0 to B3 (SDM vol. 3, 18.2.3). */
export const Dr6 = { BD: 0x2000, BS: 0x4000, BT: 0x8000 } as const;
/** Bits of DR7 (SDM vol. 3, 18.2.4). */
export const Dr7 = { GD: 0x2000, LocalEnables: 0x55, ExactLocal: 0x100 } as const;

/** DR7.R/W: what a breakpoint watches. */
const Watch = { Execution: 0, Writes: 1, Ports: 2, ReadsAndWrites: 3 } as const;
const DR6 = F.dr + 48;
const DR7 = F.dr + 56;

const enabled = (dr7: number, n: number): boolean => ((dr7 >>> (n * 2)) & 3) !== 0;
const watches = (dr7: number, n: number): number => (dr7 >>> (16 + n * 4)) & 3;
/** Bytes watched: LEN 10 is 8 bytes (SDM vol. 3, 18.2.4). */
const lengthOf = (dr7: number, n: number): number => [1, 2, 8, 4][(dr7 >>> (18 + n * 4)) & 3]!;

/** The bits of F.careful for the present state. */
export function carefulBits(state: CpuState): number {
  let bits = 0;
  const dr7 = state.get32(DR7);
  if ((dr7 & 0xff) !== 0) {
    for (let n = 0; n < 4; n++) {
      if (!enabled(dr7, n)) continue;
      const kind = watches(dr7, n);
      if (kind === Watch.Execution) bits |= Careful.Code;
      else if (kind !== Watch.Ports) bits |= Careful.Data;
      else if ((state.get32(F.cr4) & Cr4.DE) !== 0) bits |= Careful.Io;
    }
  }
  if (alignmentChecked(state)) bits |= Careful.Alignment;
  if (state.breakpoints !== null) bits |= Careful.Debugger;
  return bits;
}

/** CR0.AM, EFLAGS.AC and CPL 3 (SDM vol. 3, 2.5). */
function alignmentChecked(state: CpuState): boolean {
  return (
    state.cpl === 3 &&
    (state.eflags & Eflags.AC) !== 0 &&
    (state.get32(F.cr0) & Cr0.AM) !== 0 &&
    (state.get32(F.cr0) & Cr0.PE) !== 0
  );
}

/** Whether linear page hi:lo may be in a TLB for a kind of access (Access). */
export function mayCache(state: CpuState, lo: number, hi: number, access: number, user: boolean): boolean {
  const careful = state.get32(F.careful);
  if ((careful & Careful.Alignment) !== 0 && user && access !== Access.Exec) return false;
  if (access === Access.Exec && state.breakpoints?.inPage(lo, hi)) return false;
  if ((careful & (Careful.Code | Careful.Data)) === 0) return true;
  const dr7 = state.get32(DR7);
  for (let n = 0; n < 4; n++) {
    if (!enabled(dr7, n)) continue;
    const kind = watches(dr7, n);
    const relevant =
      access === Access.Exec
        ? kind === Watch.Execution
        : kind === Watch.ReadsAndWrites || (kind === Watch.Writes && access === Access.Write);
    const at = F.dr + n * 8;
    if (relevant && ((state.get32(at) ^ lo) & 0xffff_f000) === 0 && sameHigh(state, at, hi)) return false;
  }
  return true;
}

/** Outside long mode only the low halves count. */
const sameHigh = (state: CpuState, register: number, hi: number): boolean =>
  !state.longModeActive || (state.getHigh(register) | 0) === (hi | 0);

/** B0 to B3 for the breakpoints on an instruction at hi:lo. */
export function instructionBreakpoints(state: CpuState, lo: number, hi: number): number {
  const dr7 = state.get32(DR7);
  let hits = 0;
  for (let n = 0; n < 4; n++) {
    const at = F.dr + n * 8;
    if (!enabled(dr7, n) || watches(dr7, n) !== Watch.Execution) continue;
    if (state.get32(at) === lo >>> 0 && sameHigh(state, at, hi)) hits |= 1 << n;
  }
  return hits;
}

/** B0 to B3 for the breakpoints that an access of `size` bytes at hi:lo touches. A page-crossing access is one access. */
export function dataBreakpoints(state: CpuState, lo: number, hi: number, size: number, write: boolean): number {
  const dr7 = state.get32(DR7);
  let hits = 0;
  for (let n = 0; n < 4; n++) {
    const kind = watches(dr7, n);
    if (!enabled(dr7, n) || !(kind === Watch.ReadsAndWrites || (kind === Watch.Writes && write))) continue;
    const length = lengthOf(dr7, n);
    const at = F.dr + n * 8;
    const start = (state.get32(at) & ~(length - 1)) >>> 0;
    // how far the one begins behind the other, modulo 2^32: an access may run over the end of the low half
    const behind = (start - lo) >>> 0;
    const before = (lo - start) >>> 0;
    if (!(behind < size || before < length)) continue;
    const wraps = behind < size ? start < lo >>> 0 : lo >>> 0 < start;
    const high = behind < size ? hi + (wraps ? 1 : 0) : hi - (wraps ? 1 : 0);
    if (sameHigh(state, at, high)) hits |= 1 << n;
  }
  return hits;
}

/** B0 to B3 for the breakpoints on ports port .. port+size-1. */
export function portBreakpoints(state: CpuState, port: number, size: number): number {
  const dr7 = state.get32(DR7);
  let hits = 0;
  for (let n = 0; n < 4; n++) {
    if (!enabled(dr7, n) || watches(dr7, n) !== Watch.Ports) continue;
    const length = lengthOf(dr7, n);
    const start = (state.get32(F.dr + n * 8) & ~(length - 1)) >>> 0;
    if (port < start + length && start < port + size) hits |= 1 << n;
  }
  return hits;
}

/** Records in DR6 why a #DB is delivered: B0 to B3 show this one only, BD, BS and BT stay until software clears them. */
export function noteDebugException(state: CpuState, bits: number): void {
  state.set32(DR6, (state.get32(DR6) & ~0xf) | bits);
}
