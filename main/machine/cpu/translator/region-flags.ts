// The arithmetic flags while a region is written: what the last instruction that set them left behind is only remembered, in its operands'
// own width, and worked out where somebody looks. The state's own form (ccR, ccA, ccB and a kind) is written, to the state itself, at exits and
// where paths join: it lives in no local.
// At the head of a loop they may be either in the state's form or as its last pass left them (loop-flags.ts); a variable says which.
// Invariant: `at` describes the flags at this point of the code; the locals it names are not written until it is replaced.

import { flagOfKind } from '../flag-functions.ts';
import { F, FlagKind, STATE } from '../layout.ts';
import type { Size } from '../../isa/instruction.ts';
import { rotateFlags, shiftFlags, type ShiftKind } from '../../isa/semantics.ts';
import { E, i32, i64, select } from '../../wasm/expr.ts';
import { Local, type FunctionBuilder } from '../../wasm/function.ts';
import { Sources, sameLoopFlags, type LoopFlags, type Source } from './loop-flags.ts';

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
  /** The result is kept, also of a sum or difference. */
  readonly resultKept?: boolean;
  /** Where result and operands are besides. */
  readonly sources?: Sources;
}
/** At the head of a loop: as its passes leave them, or in the state's form. `form` null: in the state's form only. */
interface Either {
  readonly what: 'either';
  readonly head: number;
  readonly form: LoopFlags | null;
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
export type FlagsAt = Whole | Over | Either | null;
export type WholeFlags = Whole;

const Z = i32(0);
const state64 = (field: number): E => Z.ld64(STATE + field);

/** Sums and differences: their result is not kept, it is worked out again where somebody wants it. */
const followsFromOperands = ({ what, kind, resultKept }: Pick<Whole, 'what' | 'kind' | 'resultKept'>): boolean =>
  what === 'kind' && !resultKept && (kind === FlagKind.Add || kind === FlagKind.Sub);

/** Forms that bails find most often; all of them are settled from the same locals of the function. */
export function sharedForms(mode: 32 | 64): readonly WholeFlags[] {
  const byte: WholeFlags[] = [FlagKind.Sub, FlagKind.Logic].map((kind) => ({ what: 'kind', size: 8, kind }));
  const words = mode === 64 ? ([32, 64] as const) : ([32] as const);
  return words.reduce<WholeFlags[]>((forms, size) => {
    const explicit = { size, kind: FlagKind.Explicit };
    for (const kind of [FlagKind.Add, FlagKind.Sub, FlagKind.Logic]) forms.push({ what: 'kind', size, kind });
    for (const shift of ['Shl', 'Shr'] as const) forms.push({ what: 'shift', ...explicit, shift });
    for (const delta of [1, -1] as const)
      for (const carryOfState of [true, false]) forms.push({ what: 'step', ...explicit, delta, carryOfState });
    return forms;
  }, byte);
}
/** The same for two descriptions that are settled alike; null if there may be no shared code for it. */
export function formText(at: FlagsAt): string | null {
  if (at === null || at.what === 'either' || at.what === 'over') return null;
  const { what, kind, size, delta, carryOfState, shift } = at;
  return `${what} ${kind} ${size} ${delta} ${carryOfState} ${shift}`;
}

export class RegionFlags {
  at: FlagsAt = null;
  readonly #f: FunctionBuilder;
  readonly #narrow: { r: Local; a: Local; b: Local; c: Local };
  readonly #wide: { r: Local; a: Local; b: Local };
  readonly #over: { cf: Local; of: Local; r32: Local; r64: Local };
  /** Not 0: `either` is the state's form. */
  readonly #settled: Local;
  readonly #registers: readonly (Local | null)[];
  /** Times each register has been written so far, in the order of the text. */
  readonly #versions = Array<number>(16).fill(0);
  /** Which register a local of the present instruction was read from, by the local's index. */
  readonly #readFrom = new Map<number, Source>();
  /** Heads of loops behind which the flags that came there are looked at, all of them or CF (by INC and DEC). */
  readonly looked = new Set<number>();
  readonly stepped = new Set<number>();

  /** @param registers general registers, as RegionState has them */
  constructor(f: FunctionBuilder, registers: readonly (Local | null)[]) {
    this.#f = f;
    this.#registers = registers;
    this.#narrow = { r: f.local('i32'), a: f.local('i32'), b: f.local('i32'), c: f.local('i32') };
    this.#wide = { r: f.local('i64'), a: f.local('i64'), b: f.local('i64') };
    this.#settled = f.let(i32(1));
    this.#over = { cf: f.local('i32'), of: f.local('i32'), r32: f.local('i32'), r64: f.local('i64') };
  }

  // ---- setting

  #setResult(size: Size, r: E): void {
    if (size === 64) this.#f.set(this.#wide.r, r);
    else this.#f.set(this.#narrow.r, r.lo());
  }
  #setOperands(size: Size, a: E, b: E): void {
    const f = this.#f;
    if (size === 64) {
      f.set(this.#wide.a, a);
      f.set(this.#wide.b, b);
      return;
    }
    f.set(this.#narrow.a, a.lo());
    f.set(this.#narrow.b, b.lo());
  }
  /** Values may read old flags only through locals of their own. */
  setKind(kind: number, size: Size, r: E, a?: E, b?: E): void {
    if (!followsFromOperands({ what: 'kind', kind })) this.#setResult(size, r);
    if (kind === FlagKind.Explicit) {
      this.#f.set(this.#narrow.a, a!);
      this.#f.set(this.#narrow.b, b!);
    } else if (a && b) this.#setOperands(size, a, b);
    const related = kind === FlagKind.Add || kind === FlagKind.Sub || kind === FlagKind.Logic;
    this.at = { what: 'kind', size, kind, ...(related ? { sources: this.#sources(r, a, b) } : {}) };
  }
  setImage(image: E): void {
    const v = this.#f.let(image);
    this.#f.set(this.#wide.a, v.zx());
    this.#f.set(this.#wide.r, select(v.and(0x40), i64(0), i64(1)));
    this.at = { what: 'kind', size: 64, kind: FlagKind.Raw };
  }
  setStep(size: Size, r: E, delta: 1 | -1): void {
    const { at } = this;
    if (at?.what === 'either') this.stepped.add(at.head);
    const whole = at?.what === 'either' ? (at.form?.whole ?? null) : at;
    const carryOfState = whole === null || (whole.what === 'step' && whole.carryOfState === true);
    const cf = carryOfState ? null : this.flag('cf');
    this.#setResult(size, r);
    if (cf) this.#f.set(this.#narrow.c, cf);
    this.at = { what: 'step', size, kind: FlagKind.Explicit, delta, carryOfState, sources: this.#sources(r) };
  }
  setCarried(subtract: boolean, size: Size, r: E, a: E, b: E, c: E): void {
    this.#setResult(size, r);
    this.#setOperands(size, a, b);
    this.#f.set(this.#narrow.c, c);
    this.at = { what: 'carried', size, kind: subtract ? FlagKind.Sub : FlagKind.Add };
  }
  setShift(shift: ShiftKind, size: Size, a: E, c: E, r: E): void {
    this.#setResult(size, r);
    if (size === 64) this.#f.set(this.#wide.a, a);
    else this.#f.set(this.#narrow.a, a);
    this.#f.set(this.#narrow.c, c);
    this.at = { what: 'shift', size, kind: FlagKind.Explicit, shift };
  }
  #base(): Whole | null {
    const at = this.#known();
    return at?.what === 'over' ? at.base : at;
  }
  setRotate(left: boolean, size: Size, r: E): void {
    const base = this.#base();
    this.#f.set(size === 64 ? this.#over.r64 : this.#over.r32, r);
    this.at = { what: 'over', size, rotate: left ? 'left' : 'right', of: true, base };
  }
  setCarryOverflow(cf: E, of: E | null): void {
    const c = this.#f.let(cf);
    const o = of ?? (this.#known()?.what === 'over' ? this.flag('of') : null);
    if (o) this.#f.set(this.#over.of, o);
    this.#f.set(this.#over.cf, c);
    this.at = { what: 'over', size: 8, rotate: null, of: o !== null, base: this.#base() };
  }

  // ---- reading

  #extended(v: E, size: Size): E {
    return (size === 8 ? v.sx8() : size === 16 ? v.sx16() : v).sx();
  }
  #result(at: Whole): E {
    const { r, a, b } = at.size === 64 ? this.#wide : this.#narrow;
    if (!followsFromOperands(at)) return r;
    return at.kind === FlagKind.Add ? a.add(b) : a.sub(b);
  }
  #r64(at: Whole): E {
    return at.size === 64 ? this.#result(at) : this.#extended(this.#result(at), at.size);
  }
  /** An operand of an addition or subtraction in the narrowest form that compares right. */
  #operand(which: 'a' | 'b' | 'r', at: Whole, signed: boolean): E {
    const v = which === 'r' ? this.#result(at) : (at.size === 64 ? this.#wide : this.#narrow)[which];
    if (at.size === 64) return v;
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
    const wide = save(at.size === 64 ? this.#wide.a : signed ? this.#extended(a, at.size) : a.zx());
    return shiftFlags(save, at.shift!, at.size, wide, c);
  }
  #whole(name: FlagName, at: Whole | null): E {
    const f = this.#f;
    if (name === 'zf') return at ? this.#zero(at) : state64(F.ccR).eqz();
    if (at === null) {
      const state = [Z.ld32(STATE + F.ccOp), state64(F.ccR), state64(F.ccA), state64(F.ccB)];
      if (name !== 'cf') return f.call(`kind_${name}`, ...state);
      // Raw and Explicit, which loops with INC and DEC leave behind
      const result = f.let(state64(F.ccA).lo().and(1));
      f.if(Z.ld32(STATE + F.ccOp).gtU(FlagKind.Explicit), () => f.set(result, f.call('kind_cf', ...state)));
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
        at.size === 64 ? this.#operand(which, at, true) : this.#extended(this.#narrow[which], at.size);
      return flagOfKind(name, at.kind, f.let(this.#r64(at)), f.let(wide('a')), f.let(wide('b')));
    }
    if (at.kind === FlagKind.Raw) return flagOfKind(name, FlagKind.Raw, this.#wide.r, this.#wide.a, this.#wide.b);
    if (at.what === 'carried') {
      const value = (which: 'a' | 'b' | 'r') => this.#operand(which, at, false);
      const carry = at.kind === FlagKind.Add ? FlagKind.Adc : FlagKind.Sbb;
      if (name === 'cf')
        return select(
          c,
          flagOfKind('cf', carry, value('r'), value('a'), value('b')),
          flagOfKind('cf', at.kind, value('r'), value('a'), value('b')),
        );
      return this.#whole(name, { ...at, what: 'kind', resultKept: true });
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
    const at = this.#known();
    if (at?.what !== 'over') return this.#f.let(this.#whole(name, at));
    return this.#f.let(name === 'cf' || name === 'of' ? this.#overFlag(name, at) : this.#whole(name, at.base));
  }

  /** Condition code 0..15 as i32 0 or 1. */
  condition(cc: number): E {
    const at = this.#known();
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

  // ---- where values are besides

  beginInstruction(): void {
    this.#readFrom.clear();
    if (this.at !== null && this.at.what !== 'either' && this.at.what !== 'over') this.at.sources?.endInstruction();
  }
  /** A local was read from a general register, as many bits of it as the flags that it makes are about. */
  registerRead(register: number, local: Local): void {
    this.#readFrom.set(local.index, { register, version: this.#versions[register]! });
  }
  /** A general register has been written; `whole`: with at least 32 bits of `v`. */
  registerWritten(register: number, v: E, whole: boolean): void {
    const version = ++this.#versions[register]!;
    const { at } = this;
    if (whole && v instanceof Local && at !== null && at.what !== 'either' && at.what !== 'over')
      at.sources?.resultWritten(v, { register, version });
  }
  #source(v: E | undefined): Source | null {
    if (v === undefined) return null;
    if (v.k !== undefined) return { constant: v.k };
    return v instanceof Local ? (this.#readFrom.get(v.index) ?? null) : null;
  }
  #sources(r: E, a?: E, b?: E): Sources {
    return new Sources(this.#source(r), this.#source(a), this.#source(b), r);
  }
  /** What a pass of a loop leaves behind here, for its next pass; null if only the state's form will do. */
  form(): LoopFlags | null {
    const { at } = this;
    if (at === null || at.what === 'either' || at.what === 'over') return null;
    if (at.what === 'kind' && at.kind === FlagKind.Raw) return null;
    const current = (source: Source | null | undefined): Source | null =>
      source && ('constant' in source || source.version === this.#versions[source.register]) ? source : null;
    const a = current(at.sources?.a);
    const b = current(at.sources?.b);
    return { whole: at, r: a && b ? null : current(at.sources?.r), a, b };
  }

  // ---- either form

  /** On an edge to the head of a loop whose passes leave `form`. */
  endPass(form: LoopFlags): void {
    const mine = this.form();
    const same = mine !== null && sameLoopFlags(mine, form);
    if (!same) this.settle();
    this.#f.set(this.#settled, same ? 0 : 1);
  }
  /** At the head. */
  beginPass(head: number, form: LoopFlags | null): void {
    this.at = { what: 'either', head, form };
  }
  #known(): Whole | Over | null {
    const { at } = this;
    if (at?.what !== 'either') return at;
    this.looked.add(at.head);
    this.settle();
    this.at = null;
    return null;
  }
  /** In front of an instruction that looks at flags, or sets them only sometimes. */
  decide(): void {
    this.#known();
  }
  /** In front of an instruction that writes registers: what is remembered by them is copied. */
  detach(written: ReadonlySet<number>): void {
    const { at } = this;
    if (at?.what !== 'either') return;
    const { head, form } = at;
    if (!form) return;
    const endangered = [form.r, form.a, form.b].some((s) => s && 'register' in s && written.has(s.register));
    if (!endangered) return;
    this.#gather(form);
    this.at = { what: 'either', head, form: { whole: form.whole, r: null, a: null, b: null } };
  }
  /** Puts result and operands where #settleWhole wants them. */
  #gather({ whole, r, a, b }: LoopFlags): void {
    const f = this.#f;
    const wide = whole.size === 64;
    const to = wide ? this.#wide : this.#narrow;
    const value = (s: Source): E => {
      if ('constant' in s) return wide ? i64(s.constant) : i32(s.constant);
      const register = this.#registers[s.register]!;
      return wide ? register : register.lo();
    };
    const sum = whole.kind === FlagKind.Add;
    const binary = followsFromOperands(whole);
    const [x, y] = [a && value(a), b && value(b)];
    const z = r && value(r);
    // two of the three say what the third is
    if (z && !binary) f.set(to.r, z);
    if (x) f.set(to.a, x);
    else if (binary && y && z) f.set(to.a, sum ? z.sub(y) : z.add(y));
    if (y) f.set(to.b, y);
    else if (binary && x && z) f.set(to.b, sum ? z.sub(x) : x.sub(z));
  }
  #settleEither(form: LoopFlags): void {
    this.#f.if(this.#settled.eqz(), () => {
      this.#gather(form);
      this.#settleWhole(form.whole);
    });
  }

  // ---- the state's form

  /** Brings what `at` describes into the state's form, on this path only: `at` stays as it is. */
  settle(): void {
    const { at } = this;
    if (at === null) return;
    this.#f.scope(() => {
      if (at.what === 'over') this.#settleOver(at);
      else if (at.what === 'either') {
        if (at.form) this.#settleEither(at.form);
      } else this.#settleWhole(at);
    });
  }
  #settleWhole(at: Whole): void {
    const f = this.#f;
    const { a, b, c } = this.#narrow;
    if (at.what === 'step' || at.what === 'shift') {
      const cf = f.let(this.#whole('cf', at));
      const af = f.let(this.#whole('af', at));
      const of = f.let(this.#whole('of', at));
      f.st64(Z, STATE + F.ccR, this.#r64(at));
      f.st64(Z, STATE + F.ccA, cf.or(af.shl(4)).zx());
      f.st64(Z, STATE + F.ccB, of.zx());
      f.st32(Z, STATE + F.ccOp, FlagKind.Explicit);
      return;
    }
    f.st64(Z, STATE + F.ccR, this.#r64(at));
    if (at.what === 'kind' && at.kind === FlagKind.Raw) f.st64(Z, STATE + F.ccA, this.#wide.a);
    else if (at.what === 'kind' && at.kind === FlagKind.Explicit) {
      f.st64(Z, STATE + F.ccA, a.zx());
      f.st64(Z, STATE + F.ccB, b.zx());
    } else if (at.kind !== FlagKind.Logic) {
      f.st64(Z, STATE + F.ccA, at.size === 64 ? this.#wide.a : this.#extended(a, at.size));
      f.st64(Z, STATE + F.ccB, at.size === 64 ? this.#wide.b : this.#extended(b, at.size));
    }
    if (at.what === 'carried')
      f.st32(Z, STATE + F.ccOp, select(c, i32(at.kind === FlagKind.Add ? FlagKind.Adc : FlagKind.Sbb), at.kind));
    else f.st32(Z, STATE + F.ccOp, at.kind);
  }
  #settleOver(at: Over): void {
    const f = this.#f;
    const cf = f.let(this.#overFlag('cf', at));
    const of = f.let(this.#overFlag('of', at));
    const raw = (): void =>
      f.st64(
        Z,
        STATE + F.ccA,
        state64(F.ccA)
          .and(~0x801n)
          .or(cf.or(of.shl(11)).zx()),
      );
    const explicit = (af: E): void => {
      f.st64(Z, STATE + F.ccA, cf.or(af.shl(4)).zx());
      f.st64(Z, STATE + F.ccB, of.zx());
      f.st32(Z, STATE + F.ccOp, FlagKind.Explicit);
    };
    if (at.base === null) {
      const af = f.let(this.#whole('af', null));
      f.if(Z.ld32(STATE + F.ccOp).eqz(), raw, () => explicit(af));
    } else if (at.base.kind === FlagKind.Raw && at.base.what === 'kind') {
      f.st64(Z, STATE + F.ccR, this.#wide.r);
      f.st64(Z, STATE + F.ccA, this.#wide.a);
      raw();
      f.st32(Z, STATE + F.ccOp, FlagKind.Raw);
    } else {
      const af = f.let(this.#whole('af', at.base));
      f.st64(Z, STATE + F.ccR, this.#r64(at.base));
      explicit(af);
    }
  }
}
