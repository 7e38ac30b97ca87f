// Control and debug registers, INVLPG and cache control (SDM vol. 3, 2.5; vol. 2, MOV CR, MOV DR).

import { F, Intercept, Next, OP, Seg, SegAttr } from '../layout.ts';
import { allowedCr4, policyOf } from './cpuid-policy.ts';
import { Dr6, Dr7, noteDebugException } from './debug-registers.ts';
import { CrExit, ExitCode } from './exit.ts';
import { Vector, leave, raise, raiseGp, raiseUd } from './fault.ts';
import { Access } from './paging.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import type { RoutineName } from './routine-names.ts';
import { Cr0, Cr4, Efer, Eflags, highHalf, isCanonical } from './state.ts';

const CR0_KNOWN =
  (Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG) >>> 0;

/** Raises #GP(0) unless CPL is 0. */
export function requireCpl0(parts: SystemParts): void {
  if (parts.state.cpl !== 0) raiseGp(parts.state, 0);
}

/** A load of CR3 (or a change of CR0 or CR4) brings in the PDPTEs of PAE paging. Raises #GP(0). */
function loadPdptes(parts: SystemParts, cr0: number, cr4: number, efer: number, cr3: number): void {
  const pae = (cr0 & Cr0.PG) !== 0 && (cr4 & Cr4.PAE) !== 0 && (efer & Efer.LMA) === 0;
  if (pae && !parts.walker.latchPdptes(cr3)) raiseGp(parts.state, 0);
}

/** Writes CR0 with all checks and consequences. Raises #GP(0). */
export function writeCr0(parts: SystemParts, lo: number, hi: number): void {
  const { state, ctx } = parts;
  if (hi !== 0) raiseGp(state, 0);
  const old = state.get32(F.cr0);
  const value = ((lo & CR0_KNOWN) | Cr0.ET) >>> 0;
  const paging = (value & Cr0.PG) !== 0;
  if (paging && (value & Cr0.PE) === 0) raiseGp(state, 0);
  if ((value & (Cr0.NW | Cr0.CD)) === Cr0.NW) raiseGp(state, 0);
  const cr4 = state.get32(F.cr4);
  let efer = state.get32(F.efer);
  if (paging && (old & Cr0.PG) === 0) {
    if ((efer & Efer.LME) !== 0) {
      const tss16 = (state.attr(Seg.TR) & (SegAttr.Unusable | 8)) === 0 && state.selector(Seg.TR) !== 0;
      if ((cr4 & Cr4.PAE) === 0 || (state.attr(Seg.CS) & SegAttr.L) !== 0 || tss16) raiseGp(state, 0);
      efer |= Efer.LMA;
    } else loadPdptes(parts, value, cr4, efer, state.get32(F.cr3));
  } else if (!paging && (old & Cr0.PG) !== 0 && (efer & Efer.LMA) !== 0) {
    if (state.in64) raiseGp(state, 0);
    efer &= ~Efer.LMA;
  } else if (((old ^ value) & (Cr0.CD | Cr0.NW)) !== 0) loadPdptes(parts, value, cr4, efer, state.get32(F.cr3));
  state.set32(F.cr0, value);
  state.set32(F.efer, efer);
  if (((old ^ value) & (Cr0.PG | Cr0.WP | Cr0.PE)) !== 0) ctx.flushTlb(true);
  modeChanged(parts);
}

/** Writes CR3 and forgets non-global translations. Raises #GP(0) for reserved bits. */
export function writeCr3(parts: SystemParts, lo: number, hi: number): void {
  const { state, ctx } = parts;
  const efer = state.get32(F.efer);
  if ((efer & Efer.LMA) !== 0) {
    if ((hi & 0xffff_fff0) !== 0) raiseGp(state, 0);
  } else {
    hi = 0;
    loadPdptes(parts, state.get32(F.cr0), state.get32(F.cr4), efer, lo);
  }
  state.set64(F.cr3, lo, hi);
  ctx.flushTlb(false);
}

/** Writes CR4. Raises #GP(0) for bits this CPU does not have. */
export function writeCr4(parts: SystemParts, lo: number, hi: number): void {
  const { state, ctx } = parts;
  const old = state.get32(F.cr4);
  const efer = state.get32(F.efer);
  if (hi !== 0 || (lo & ~allowedCr4(policyOf(ctx))) !== 0) raiseGp(state, 0);
  if ((efer & Efer.LMA) !== 0 && (lo & Cr4.PAE) === 0) raiseGp(state, 0);
  const changed = old ^ lo;
  if ((changed & (Cr4.PAE | Cr4.PGE | Cr4.PSE)) !== 0) {
    loadPdptes(parts, state.get32(F.cr0), lo, efer, state.get32(F.cr3));
    ctx.flushTlb(true);
  }
  state.set32(F.cr4, lo);
  if ((changed & Cr4.DE) !== 0) modeChanged(parts);
}

export function controlRegisterRoutines(parts: SystemParts): Partial<Record<RoutineName, Routine>> {
  const { state, access, ctx } = parts;

  const intercepts = (bit: number): boolean => (state.get32(F.intercepts) & bit) !== 0;
  const length = (op: number): number => state.u8[op + OP.length];

  /** Ends an instruction after which everything derived from the state must be looked at again. */
  const again = (op: number): number => {
    state.rip = state.nextRip(op);
    return Next.Jump;
  };

  const controlRegister = (op: number): number => {
    const number = state.regField(op);
    const exists = number === 0 || number === 2 || number === 3 || number === 4 || (number === 8 && state.in64);
    if (!exists) raiseUd(state);
    return number;
  };

  /** DR4 and DR5 are DR6 and DR7 unless CR4.DE is set (SDM vol. 3, 17.2.2). Checks privilege and DR7.GD. */
  const debugRegister = (op: number, write: boolean): number => {
    const field = state.regField(op);
    if (field > 7) raiseUd(state);
    const alias = field === 4 || field === 5;
    if (alias && (state.get32(F.cr4) & Cr4.DE) !== 0) raiseUd(state);
    requireCpl0(parts);
    const number = alias ? field + 2 : field;
    if (intercepts(Intercept.DrAccess)) {
      leave(state, ExitCode.DebugRegister, number, write ? 1 : 0, state.rmField(op), length(op));
    }
    if ((state.get32(F.dr + 56) & Dr7.GD) !== 0) {
      noteDebugException(state, Dr6.BD);
      state.set32(F.dr + 56, state.get32(F.dr + 56) & ~Dr7.GD);
      raise(state, Vector.DB);
    }
    return number;
  };

  const cacheControl = (op: number, writeBack: number): number => {
    requireCpl0(parts);
    if (intercepts(Intercept.Wbinvd)) leave(state, ExitCode.Wbinvd, writeBack, 0, 0, length(op));
    return Next.Sequential;
  };

  return {
    mov_from_cr(op) {
      const number = controlRegister(op);
      requireCpl0(parts);
      const to = state.rmField(op);
      if (intercepts(Intercept.CrAccess)) {
        leave(state, ExitCode.ControlRegister, number, CrExit.Read, to, length(op));
      }
      if (number === 0) state.setReg32(to, state.get32(F.cr0));
      else if (number === 4) state.setReg32(to, state.get32(F.cr4));
      else if (number === 8) state.setReg32(to, state.get32(F.cr8));
      else {
        const field = number === 2 ? F.cr2 : F.cr3;
        state.setReg64(to, state.get32(field), state.in64 ? state.getHigh(field) : 0);
      }
      return Next.Sequential;
    },

    mov_to_cr(op) {
      const number = controlRegister(op);
      requireCpl0(parts);
      const from = state.rmField(op);
      if (intercepts(Intercept.CrAccess)) {
        leave(state, ExitCode.ControlRegister, number, CrExit.Write, from, length(op));
      }
      const next = state.nextRip(op);
      const lo = state.regLo(from);
      const hi = state.in64 ? state.regHi(from) : 0;
      if (number === 0) writeCr0(parts, lo, hi);
      else if (number === 2) state.set64(F.cr2, lo, hi);
      else if (number === 3) writeCr3(parts, lo, hi);
      else if (number === 4) writeCr4(parts, lo, hi);
      else {
        if (hi !== 0 || lo > 15) raiseGp(state, 0);
        state.set32(F.cr8, lo);
        // The local APIC's task priority, under the number it has as an MSR
        ctx.bus.writeMsr(state.get32(F.index), 0x808, lo << 4, 0);
      }
      state.rip = next;
      return Next.Jump;
    },

    mov_from_dr(op) {
      const number = debugRegister(op, false);
      const field = F.dr + number * 8;
      state.setReg64(state.rmField(op), state.get32(field), state.in64 ? state.getHigh(field) : 0);
      return Next.Sequential;
    },

    mov_to_dr(op) {
      const number = debugRegister(op, true);
      const from = state.rmField(op);
      const lo = state.regLo(from);
      const hi = state.in64 ? state.regHi(from) : 0;
      const field = F.dr + number * 8;
      if (number < 4) state.set64(field, lo, hi);
      else {
        if (hi !== 0) raiseGp(state, 0);
        // Fixed bits: SDM vol. 3, figure 17-1
        state.set64(field, number === 6 ? (lo & 0x0000_e00f) | 0xffff_0ff0 : (lo & 0xffff_23ff) | 0x400, 0);
      }
      if (number !== 6) {
        // pages that were or are watched leave the TLBs; this instruction has ended what RF stood for
        const before = state.get32(F.careful);
        state.set32(F.eflags, state.eflags & ~Eflags.RF);
        modeChanged(parts);
        if ((before | state.get32(F.careful)) !== 0) ctx.flushTlb(true);
      }
      return again(op);
    },

    lmsw(op) {
      requireCpl0(parts);
      const value = state.modrmIsRegister(op)
        ? state.regLo(state.rmField(op)) & 0xffff
        : access.read16(access.operand(op, 2, false), access.user);
      if (intercepts(Intercept.CrAccess)) {
        leave(state, ExitCode.ControlRegister, 0, CrExit.Lmsw, value, length(op));
      }
      const next = state.nextRip(op);
      const old = state.get32(F.cr0);
      // LMSW cannot clear PE
      writeCr0(parts, ((old & ~0xe) | (value & 0xf)) >>> 0, 0);
      state.rip = next;
      return Next.Jump;
    },

    smsw(op) {
      const cr0 = state.get32(F.cr0);
      if (!state.modrmIsRegister(op)) access.write16(access.operand(op, 2, true), cr0 & 0xffff, access.user);
      else state.setRegSized(state.rmField(op), state.operandSize(op), cr0, 0);
      return Next.Sequential;
    },

    clts(op) {
      requireCpl0(parts);
      if (intercepts(Intercept.CrAccess)) leave(state, ExitCode.ControlRegister, 0, CrExit.Clts, 0, length(op));
      state.set32(F.cr0, state.get32(F.cr0) & ~Cr0.TS);
      return Next.Sequential;
    },

    invlpg(op) {
      if (state.modrmIsRegister(op)) raiseUd(state);
      requireCpl0(parts);
      const segment = state.u8[op + OP.seg];
      const offset = access.effectiveAddress(op);
      const hasBase = !state.in64 || segment === Seg.FS || segment === Seg.GS;
      const sum = (hasBase ? state.base(segment) : 0) + offset;
      const linear = state.in64 ? sum : sum >>> 0;
      // A non-canonical address is not an error here: nothing can be cached for it
      if (!isCanonical(linear)) return Next.Sequential;
      if (intercepts(Intercept.Invlpg)) {
        leave(state, ExitCode.Invlpg, linear >>> 0, highHalf(linear), 0, length(op));
      }
      ctx.invlpg(linear >>> 0, highHalf(linear));
      return again(op);
    },

    wbinvd: (op) => cacheControl(op, 1),
    invd: (op) => cacheControl(op, 0),

    clflush(op) {
      access.probe(access.operand(op, 1, false), 1, Access.Read, access.user);
      return Next.Sequential;
    },
  };
}
