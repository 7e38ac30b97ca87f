// The arithmetic flags while a region is written: what the last instruction that set them left behind is only remembered, in its operands'
// own width, and worked out where somebody looks. The state's own form (ccR, ccA, ccB and a kind) is made at exits and where paths join.
// Invariant: `at` describes the flags at this point of the code; the locals it names are not written until it is replaced.

import { flagOfKind } from '../flag-functions.ts';
import { F, FlagKind, STATE } from '../layout.ts';
import type { Size } from '../../isa/instruction.ts';
import { rotateFlags, shiftFlags, type ShiftKind } from '../../isa/semantics.ts';
import { E, i32, i64, select } from '../../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../../wasm/function.ts';

export type FlagName = 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of';

/** Flags that all follow from one result. */
interface Whole {
  readonly what: 'kind' | 'step' | 'carried' | 'shift';
  readonly size: Size;
  /** FlagKind of `kind`; for `carried` Add or Sub. */
  readonly kind: number;
  readonly delta?: 1 | -1;
  /** CF is still the one of the state's form, which is untouched. */
  readonly carryOfState?: boolean;
  readonly shift?: ShiftKind;
}
/** New CF and OF over the other flags of `base`. */
interface Over {
  readonly what: 'over';
  readonly size: Size;
  /** A rotation's result, or values of CF and (`of`) OF. */
  readonly rotate: 'left' | 'right' | null;
  readonly of: boolean;
  readonly base: Whole | null;
}
/** null: in the state's form, of a kind known only at run time. */
export type FlagsAt = Whole | Over | null;

const Z = i32(0);

export class RegionFlags {
  at: FlagsAt = null;
  /** Somewhere in the region they are set: the exits write them back. */
  changed = false;
  readonly #f: FunctionBuilder;
  readonly #ccR: Local;
  readonly #ccA: Local;
  readonly #ccB: Local;
  readonly #kind: Local;
  readonly #narrow: { r: Local; a: Local; b: Local; c: Local };
  readonly #over: { cf: Local; of: Local; r32: Local; r64: Local };

  /** Reads the state's flags into locals of the function. */
  constructor(f: FunctionBuilder) {
    this.#f = f;
    this.#ccR = f.let(Z.ld64(STATE + F.ccR));
    this.#ccA = f.let(Z.ld64(STATE + F.ccA));
    this.#ccB = f.let(Z.ld64(STATE + F.ccB));
    this.#kind = f.let(Z.ld32(STATE + F.ccOp));
    this.#narrow = { r: f.local('i32'), a: f.local('i32'), b: f.local('i32'), c: f.local('i32') };
    this.#over = { cf: f.local('i32'), of: f.local('i32'), r32: f.local('i32'), r64: f.local('i64') };
  }

  /** Writes them to the state; they must be in its form (`settle`). */
  spill(): void {
    const f = this.#f;
    if (!this.changed) return;
    f.st64(Z, STATE + F.ccR, this.#ccR);
    f.st64(Z, STATE + F.ccA, this.#ccA);
    f.st64(Z, STATE + F.ccB, this.#ccB);
    f.st32(Z, STATE + F.ccOp, this.#kind);
  }

  /** Reads the state's flags again. */
  reload(): void {
    this.#f.set(this.#ccR, Z.ld64(STATE + F.ccR));
    this.#f.set(this.#ccA, Z.ld64(STATE + F.ccA));
    this.#f.set(this.#ccB, Z.ld64(STATE + F.ccB));
    this.#f.set(this.#kind, Z.ld32(STATE + F.ccOp));
    this.at = null;
  }

  // ---- setting

  #setResult(size: Size, r: E): void {
    if (size === 64) this.#f.set(this.#ccR, r);
    else this.#f.set(this.#narrow.r, r.lo());
  }
  #setOperands(size: Size, a: E, b: E): void {
    const f = this.#f;
    if (size === 64) {
      f.set(this.#ccA, a);
      f.set(this.#ccB, b);
      return;
    }
    f.set(this.#narrow.a, a.lo());
    f.set(this.#narrow.b, b.lo());
  }
  /** Values may read old flags only through locals of their own. */
  setKind(kind: number, size: Size, r: E, a?: E, b?: E): void {
    this.changed = true;
    this.#setResult(size, r);
    if (kind === FlagKind.Explicit) {
      this.#f.set(this.#narrow.a, a!);
      this.#f.set(this.#narrow.b, b!);
    } else if (a && b) this.#setOperands(size, a, b);
    this.at = { what: 'kind', size, kind };
  }
  setImage(image: E): void {
    this.changed = true;
    const v = this.#f.let(image);
    this.#f.set(this.#ccA, v.zx());
    this.#f.set(this.#ccR, select(v.and(0x40), i64(0), i64(1)));
    this.at = { what: 'kind', size: 64, kind: FlagKind.Raw };
  }
  setStep(size: Size, r: E, delta: 1 | -1): void {
    this.changed = true;
    const { at } = this;
    const untouched = at === null || (at.what === 'step' && at.carryOfState === true);
    const carryOfState = size !== 64 && untouched;
    const cf = carryOfState ? null : this.flag('cf');
    this.#setResult(size, r);
    if (cf) this.#f.set(this.#narrow.c, cf);
    this.at = { what: 'step', size, kind: FlagKind.Explicit, delta, carryOfState };
  }
  setCarried(subtract: boolean, size: Size, r: E, a: E, b: E, c: E): void {
    this.changed = true;
    this.#setResult(size, r);
    this.#setOperands(size, a, b);
    this.#f.set(this.#narrow.c, c);
    this.at = { what: 'carried', size, kind: subtract ? FlagKind.Sub : FlagKind.Add };
  }
  setShift(shift: ShiftKind, size: Size, a: E, c: E, r: E): void {
    this.changed = true;
    this.#setResult(size, r);
    if (size === 64) this.#f.set(this.#ccA, a);
    else this.#f.set(this.#narrow.a, a);
    this.#f.set(this.#narrow.c, c);
    this.at = { what: 'shift', size, kind: FlagKind.Explicit, shift };
  }
  #base(): Whole | null {
    return this.at?.what === 'over' ? this.at.base : this.at;
  }
  setRotate(left: boolean, size: Size, r: E): void {
    this.changed = true;
    const base = this.#base();
    this.#f.set(size === 64 ? this.#over.r64 : this.#over.r32, r);
    this.at = { what: 'over', size, rotate: left ? 'left' : 'right', of: true, base };
  }
  setCarryOverflow(cf: E, of: E | null): void {
    this.changed = true;
    const c = this.#f.let(cf);
    const o = of ?? (this.at?.what === 'over' ? this.flag('of') : null);
    if (o) this.#f.set(this.#over.of, o);
    this.#f.set(this.#over.cf, c);
    this.at = { what: 'over', size: 8, rotate: null, of: o !== null, base: this.#base() };
  }

  // ---- reading

  #wide(v: Local, size: Size): E {
    return (size === 8 ? v.sx8() : size === 16 ? v.sx16() : v).sx();
  }
  #r64(at: Whole): E {
    return at.size === 64 ? this.#ccR : this.#wide(this.#narrow.r, at.size);
  }
  /** An operand of an addition or subtraction in the narrowest form that compares right. */
  #operand(which: 'a' | 'b' | 'r', at: Whole, signed: boolean): E {
    if (at.size === 64) return which === 'a' ? this.#ccA : which === 'b' ? this.#ccB : this.#ccR;
    const v = this.#narrow[which];
    if (at.size === 32) return v;
    if (signed) return at.size === 8 ? v.sx8() : v.sx16();
    return v.and(at.size === 8 ? 0xff : 0xffff);
  }
  #zero(at: Whole): E {
    if (at.what === 'kind' && at.kind === FlagKind.Sub && at.size >= 32)
      return this.#operand('a', at, false).eq(this.#operand('b', at, false));
    return this.#operand('r', at, false).eqz();
  }
  #shiftFlags(at: Whole): { cf: E; of: E } {
    const save = (e: E): Local => this.#f.let(e);
    const { a, c } = this.#narrow;
    const signed = at.shift === 'Sar';
    const wide = save(at.size === 64 ? this.#ccA : signed ? this.#wide(a, at.size) : a.zx());
    return shiftFlags(save, at.shift!, at.size, wide, c);
  }
  #whole(name: FlagName, at: Whole | null): E {
    const f = this.#f;
    if (name === 'zf') return at ? this.#zero(at) : this.#ccR.eqz();
    if (at === null) {
      const state = [this.#kind, this.#ccR, this.#ccA, this.#ccB];
      if (name !== 'cf') return f.call(`kind_${name}`, ...state);
      // Raw and Explicit, which loops with INC and DEC leave behind
      const result = f.let(this.#ccA.lo().and(1));
      f.if(this.#kind.gtU(FlagKind.Explicit), () => f.set(result, f.call('kind_cf', ...state)));
      return result;
    }
    const { c } = this.#narrow;
    if (name === 'sf' && at.kind !== FlagKind.Raw) return this.#operand('r', at, true).ltS(0);
    if (at.what === 'kind' && at.kind !== FlagKind.Raw && at.kind !== FlagKind.Explicit) {
      if (name === 'cf') {
        const value = (which: 'a' | 'b' | 'r') => this.#operand(which, at, false);
        return flagOfKind('cf', at.kind, value('r'), value('a'), value('b'));
      }
      const wide = (which: 'a' | 'b'): E =>
        at.size === 64 ? this.#operand(which, at, true) : this.#wide(this.#narrow[which], at.size);
      return flagOfKind(name, at.kind, f.let(this.#r64(at)), f.let(wide('a')), f.let(wide('b')));
    }
    if (at.kind === FlagKind.Raw) return flagOfKind(name, FlagKind.Raw, this.#ccR, this.#ccA, this.#ccB);
    if (at.what === 'carried') {
      const value = (which: 'a' | 'b' | 'r') => this.#operand(which, at, false);
      const carry = at.kind === FlagKind.Add ? FlagKind.Adc : FlagKind.Sbb;
      if (name === 'cf')
        return select(
          c,
          flagOfKind('cf', carry, value('r'), value('a'), value('b')),
          flagOfKind('cf', at.kind, value('r'), value('a'), value('b')),
        );
      return this.#whole(name, { ...at, what: 'kind' });
    }
    if (name === 'pf') return flagOfKind('pf', FlagKind.Explicit, this.#r64(at), Z, Z);
    if (at.what === 'step') {
      if (name === 'cf') return at.carryOfState ? this.#whole('cf', null) : c;
      const n = f.let(this.#r64(at));
      const min = -(1n << BigInt(at.size - 1));
      if (name === 'of') return at.delta === 1 ? n.eq(min) : n.eq(-min - 1n);
      return at.delta === 1 ? n.lo().and(15).eqz() : n.lo().and(15).eq(15);
    }
    if (at.what === 'shift') return name === 'af' ? i32(1) : this.#shiftFlags(at)[name as 'cf' | 'of'];
    // explicit
    const { a, b } = this.#narrow;
    return name === 'of' ? b.and(1) : a.shrU(name === 'cf' ? 0 : 4).and(1);
  }
  #overFlag(name: 'cf' | 'of', at: Over): E {
    const { cf, of, r32, r64 } = this.#over;
    if (at.rotate) {
      const wide = this.#f.let(at.size === 64 ? r64 : r32.zx());
      return rotateFlags((e) => this.#f.let(e), at.rotate === 'left', at.size, wide)[name];
    }
    if (name === 'cf') return cf;
    return at.of ? of : this.#whole('of', at.base);
  }
  flag(name: FlagName): Local {
    const { at } = this;
    if (at?.what !== 'over') return this.#f.let(this.#whole(name, at));
    return this.#f.let(name === 'cf' || name === 'of' ? this.#overFlag(name, at) : this.#whole(name, at.base));
  }

  /** Condition code 0..15 as i32 0 or 1. */
  condition(cc: number): E {
    const { at } = this;
    const compared = at?.what === 'kind' && at.kind === FlagKind.Sub ? at : null;
    const logic = at?.what === 'kind' && at.kind === FlagKind.Logic ? at : null;
    const both = (signed: boolean): [E, E] => [
      this.#operand('a', compared!, signed),
      this.#operand('b', compared!, signed),
    ];
    const negate = (cc & 1) !== 0;
    const not = (v: E): E => (negate ? v.eqz() : v);
    switch (cc >> 1) {
      case 0:
        return not(this.flag('of'));
      case 1: {
        if (!compared) return not(this.flag('cf'));
        const [a, b] = both(false);
        return negate ? a.geU(b) : a.ltU(b);
      }
      case 2:
        return not(this.#whole('zf', this.#base()));
      case 3: {
        if (!compared) return not(this.flag('cf').or(this.flag('zf')));
        const [a, b] = both(false);
        return negate ? a.gtU(b) : a.leU(b);
      }
      case 4:
        return not(this.flag('sf'));
      case 5:
        return not(this.flag('pf'));
      case 6:
      case 7: {
        const orEqual = cc >> 1 === 7;
        if (compared) {
          const [a, b] = both(true);
          if (orEqual) return negate ? a.gtS(b) : a.leS(b);
          return negate ? a.geS(b) : a.ltS(b);
        }
        if (logic) {
          const r = this.#operand('r', logic, true);
          if (orEqual) return negate ? r.gtS(0) : r.leS(0);
          return negate ? r.geS(0) : r.ltS(0);
        }
        const less = this.flag('sf').xor(this.flag('of'));
        return not(orEqual ? less.or(this.flag('zf')) : less);
      }
      default:
        throw new RangeError(`There is no condition code ${cc}.`);
    }
  }

  // ---- the state's form

  /** Brings what `at` describes into the state's form (in locals), on this path only: `at` stays as it is. */
  settle(): void {
    const { at } = this;
    if (at === null) return;
    this.#f.scope(() => (at.what === 'over' ? this.#settleOver(at) : this.#settleWhole(at)));
  }
  #settleWhole(at: Whole): void {
    const f = this.#f;
    const { a, b, c } = this.#narrow;
    if (at.what === 'step' || at.what === 'shift') {
      const cf = f.let(this.#whole('cf', at));
      const af = f.let(this.#whole('af', at));
      const of = f.let(this.#whole('of', at));
      if (at.size !== 64) f.set(this.#ccR, this.#r64(at));
      f.set(this.#ccA, cf.or(af.shl(4)).zx());
      f.set(this.#ccB, of.zx());
      f.set(this.#kind, FlagKind.Explicit);
      return;
    }
    if (at.size !== 64) f.set(this.#ccR, this.#r64(at));
    if (at.what === 'kind' && at.kind === FlagKind.Explicit) {
      f.set(this.#ccA, a.zx());
      f.set(this.#ccB, b.zx());
    } else if (at.size !== 64 && at.kind !== FlagKind.Logic) {
      f.set(this.#ccA, this.#wide(a, at.size));
      f.set(this.#ccB, this.#wide(b, at.size));
    }
    if (at.what === 'carried')
      f.set(this.#kind, select(c, i32(at.kind === FlagKind.Add ? FlagKind.Adc : FlagKind.Sbb), at.kind));
    else f.set(this.#kind, at.kind);
  }
  #settleOver(at: Over): void {
    const f = this.#f;
    const cf = f.let(this.#overFlag('cf', at));
    const of = f.let(this.#overFlag('of', at));
    const raw = (): void => f.set(this.#ccA, this.#ccA.and(~0x801n).or(cf.or(of.shl(11)).zx()));
    const explicit = (af: E): void => {
      f.set(this.#ccA, cf.or(af.shl(4)).zx());
      f.set(this.#ccB, of.zx());
      f.set(this.#kind, FlagKind.Explicit);
    };
    if (at.base === null) {
      const af = f.let(this.#whole('af', null));
      f.if(this.#kind.eqz(), raw, () => explicit(af));
    } else if (at.base.kind === FlagKind.Raw && at.base.what === 'kind') {
      raw();
      f.set(this.#kind, FlagKind.Raw);
    } else {
      const af = f.let(this.#whole('af', at.base));
      if (at.base.size !== 64) f.set(this.#ccR, this.#r64(at.base));
      explicit(af);
    }
  }
}
