// The common cases of SSE arithmetic as WebAssembly: all exceptions masked, rounding to nearest, no DAZ or FTZ, operands and results that are
// zeros or normal numbers well inside the range. Then WebAssembly's result is the x86's, and the only flag that can arise is PE: it is
// already set (it is sticky), or the operation is seen to have been exact. Everything else goes on to the exact routine.
// Invariant: nothing is changed unless every lane is such a case.

import { E, i32, i64, konst, select } from '../wasm/expr.ts';
import type { Label } from '../wasm/function.ts';
import type { Semantics } from './semantics.ts';
import { inMemory, operandAddress, readDouble } from './vector.ts';

interface Lane {
  bytes: 4 | 8;
  int: 'i32' | 'i64';
  load: (address: E, offset: number) => E;
  store: (s: Semantics, address: E, offset: number, bits: E) => void;
  toFloat: (bits: E) => E;
  toBits: (value: E) => E;
  /** Zero or normal: no denormal, infinity or NaN. */
  plain: (bits: E) => E;
  /** Zero, or normal and not in the lowest binade, where a result may have been tiny before rounding. */
  safe: (bits: E) => E;
  /** A zero (told apart later), or not plain (1), or not safe or hardly (2). */
  outside: (bits: E, lowest: 1 | 2) => E;
  /** Not a zero, of either sign. */
  nonzero: (bits: E) => E;
  /**
   * Has the bit below the sign set for a normal number in the middle half of all exponents: a quarter of their range more brings those, and only those,
   * into the upper half. Several of them and-ed say so of all.
   */
  middle: (bits: E) => E;
}
/** (bits << 1) - lowest < span, unsigned, or a zero. */
const within = (bits: E, t: 'i32' | 'i64', exponentBits: number, lowest: number): E => {
  const width = t === 'i32' ? 32n : 64n;
  const shift = width - BigInt(exponentBits);
  const k = (v: bigint) => konst(t, v);
  const doubled = bits.shl(k(1n));
  const span = (1n << BigInt(exponentBits)) - 1n - BigInt(lowest);
  return doubled.eqz().or(doubled.sub(k(BigInt(lowest) << shift)).ltU(k(span << shift)));
};
/**
 * Zeros, denormals, infinities and NaNs (`lowest` 1); the two lowest binades as well (2). An exponent of ones plus 1 is 0, so what is outside has
 * zeros in all but the lowest one or two bits of that sum: one addition, one test, and constants that are part of the machine's instructions.
 */
const outside = (bits: E, t: 'i32' | 'i64', exponentBits: number, lowest: 1 | 2): E => {
  const high = t === 'i64' ? bits.shrU(32n).lo() : bits;
  const exponentAt = 31 - exponentBits;
  const mask = 0x7fffffff & -(1 << (exponentAt + lowest));
  return high
    .add(1 << exponentAt)
    .and(mask)
    .eqz();
};
const SINGLE: Lane = {
  bytes: 4,
  int: 'i32',
  load: (a, o) => a.ld32(o),
  store: (s, a, o, v) => s.f.st32(a, o, v),
  toFloat: (b) => b.op(0xbe, 'f32'),
  toBits: (v) => v.op(0xbc, 'i32'),
  plain: (b) => within(b, 'i32', 8, 1),
  safe: (b) => within(b, 'i32', 8, 2),
  outside: (b, lowest) => outside(b, 'i32', 8, lowest),
  nonzero: (b) => b.and(0x7fff_ffff).ne(0),
  middle: (b) => b.add(1 << 29),
};
const DOUBLE: Lane = {
  bytes: 8,
  int: 'i64',
  load: (a, o) => a.ld64(o),
  store: (s, a, o, v) => s.f.st64(a, o, v),
  toFloat: (b) => b.op(0xbf, 'f64'),
  toBits: (v) => v.op(0xbd, 'i64'),
  plain: (b) => within(b, 'i64', 11, 1),
  safe: (b) => within(b, 'i64', 11, 2),
  outside: (b, lowest) => outside(b, 'i64', 11, lowest),
  nonzero: (b) => b.and(0x7fff_ffff_ffff_ffffn).ne(0),
  middle: (b) => b.add(1n << 61n),
};
/** Whether the bits of a double are a zero or a normal number (i32 0 or 1). */
export const isPlainDouble = DOUBLE.plain;
const lanesOf = (column: string): { lane: Lane; count: number } => {
  const lane = column === 'np' || column === 'f3' ? SINGLE : DOUBLE;
  return { lane, count: column === 'f3' || column === 'f2' ? 1 : 16 / lane.bytes };
};

/** SSE is available and MXCSR at its default (its flags aside). */
function whenDefault(s: Semantics, body: () => void): void {
  const unusual = s.sseUnusual();
  if (unusual.k === 0n) body();
  else s.if(unusual.eqz(), body);
}
const done = (s: Semantics): void => s.done();

/** Writes the cases that need no routine; falls through when the routine is needed. */
export function fastPath(s: Semantics, opcode: number, column: string): void {
  switch (opcode) {
    case 0x51:
    case 0x58:
    case 0x59:
    case 0x5c:
    case 0x5d:
    case 0x5e:
    case 0x5f:
      return whenDefault(s, () => arithmetic(s, opcode, column));
    case 0xc2:
      return whenDefault(s, () => compareToMask(s, column));
    case 0x2e:
    case 0x2f:
      return whenDefault(s, () => compareToFlags(s, column === '66' ? DOUBLE : SINGLE));
    case 0x2a:
      if (column === 'f2' || column === 'f3') whenDefault(s, () => fromInteger(s, column));
      return;
    case 0x2c:
    case 0x2d:
      if (column === 'f2' || column === 'f3')
        whenDefault(s, () => toInteger(s, column === 'f2' ? DOUBLE : SINGLE, opcode === 0x2c));
      return;
    case 0x5a:
      if (column === 'f2' || column === 'f3') whenDefault(s, () => betweenFormats(s, column === 'f3'));
  }
}

/** Both operands of each lane, what writes the lanes of the destination, and whether operands are known to be plain. */
function operands(
  s: Semantics,
  lane: Lane,
  count: number,
): { a: E[]; b: E[]; write: (lanes: E[]) => void; plain: [a: boolean, b: boolean] } {
  if (lane === DOUBLE && count === 1) {
    const b = s.let(readDouble(s, 1));
    const a = s.let(s.vectorLow(0));
    const plain: [boolean, boolean] = [s.lowIsPlain(0), !inMemory(s, 1) && s.lowIsPlain(1)];
    return { a: [a], b: [b], plain, write: ([v]) => s.setVectorLow(0, v!) };
  }
  const from = operandAddress(s, 1, count === 1 ? lane.bytes : 16);
  const to = s.vectorAddress(0);
  const b = Array.from({ length: count }, (_, n) => s.let(lane.load(from, n * lane.bytes)));
  const a = Array.from({ length: count }, (_, n) => s.let(lane.load(to, n * lane.bytes)));
  return {
    a,
    b,
    plain: [false, false],
    write: (lanes) => lanes.forEach((v, n) => lane.store(s, to, n * lane.bytes, v)),
  };
}
const all = (conditions: E[]): E => conditions.reduce((sum, c) => sum.and(c));

/** Leaves for `rare` if the bits are `outside` and not even a zero that is welcome (`refused` says whether they are not). */
function insist(s: Semantics, rare: Label, outside: E, refused: () => E): void {
  s.f.if(outside, () => s.f.brIf(rare, refused(), false), undefined, false);
}
function insistPlain(s: Semantics, rare: Label, lane: Lane, bits: E): void {
  insist(s, rare, lane.outside(bits, 1), () => lane.nonzero(bits));
}

function arithmetic(s: Semantics, opcode: number, column: string): void {
  const { lane, count } = lanesOf(column);
  const unary = opcode === 0x51;
  const choice = opcode === 0x5d || opcode === 0x5f;
  const { f } = s;
  const { a, b, plain, write } = operands(s, lane, count);
  const scalar = lane === DOUBLE && count === 1;
  const x = a.map((bits) => s.let(lane.toFloat(bits)));
  const y = b.map((bits) => s.let(lane.toFloat(bits)));
  const unchecked = [...(unary || plain[0] ? [] : a), ...(plain[1] ? [] : b)];
  const results = x.map((_, n) => {
    if (choice) return s.let(select(opcode === 0x5d ? x[n]!.flt(y[n]!) : x[n]!.fgt(y[n]!), a[n]!, b[n]!));
    return s.let(lane.toBits(compute(opcode, x[n]!, y[n]!)));
  });
  // nearly always everything is far from the ends of the range, and PE is set: one test for all of it
  const tested = [...unchecked, ...(choice ? [] : results)].map(lane.middle);
  if (!choice) tested.push(lane.int === 'i64' ? s.sseInexactBit() : s.sseInexactBit().shrU(32n).lo());
  f.block((rare) => {
    const exactly = (): void => {
      for (const bits of unchecked) insistPlain(s, rare, lane, bits);
      if (choice) return;
      results.forEach((bits, n) =>
        insistRight(s, rare, opcode, lane, { bits, a: a[n]!, b: b[n]!, x: x[n]!, y: y[n]! }),
      );
    };
    if (tested.length > 0)
      f.if(
        tested
          .reduce((all, t) => all.and(t))
          .shl(konst(lane.int, 1))
          .geS(konst(lane.int, 0)),
        exactly,
        undefined,
        false,
      );
    write(results);
    if (scalar) {
      if (!inMemory(s, 1)) s.noteLowPlain(1);
      s.noteLowPlain(0);
    }
    done(s);
  });
}

function compute(opcode: number, x: E, y: E): E {
  switch (opcode) {
    case 0x51:
      return y.sqrt();
    case 0x58:
      return x.add(y);
    case 0x5c:
      return x.sub(y);
    case 0x59:
      return x.mul(y);
    default:
      return x.div(y);
  }
}

/** Leaves for `rare` unless the result of plain operands (`bits`, of `a` and `b`, which are `x` and `y` as numbers) is right and raises nothing new. */
function insistRight(
  s: Semantics,
  rare: Label,
  opcode: number,
  lane: Lane,
  { bits, a, b, x, y }: Record<'bits' | 'a' | 'b' | 'x' | 'y', E>,
): void {
  const { f } = s;
  const known = (): E => s.sseInexactKnown();
  /** A result in range needs PE; a zero is right, and exact, unless `underflow` says that it cannot be. */
  const check = (underflow: E | null): void =>
    f.if(
      lane.outside(bits, 2),
      () => f.brIf(rare, underflow ? lane.nonzero(bits).or(underflow) : lane.nonzero(bits), false),
      () => f.brIf(rare, known().eqz(), false),
      false,
    );
  switch (opcode) {
    case 0x51:
      // a negative operand makes a NaN, which is outside; -0 stays
      check(null);
      return;
    case 0x58:
    case 0x5c: {
      insist(s, rare, lane.outside(bits, 2), () => lane.nonzero(bits));
      f.if(
        known().eqz(),
        () => {
          // Knuth's exact error of a sum: zero if nothing was lost
          const y1 = opcode === 0x58 ? y : s.let(y.neg());
          const r = s.let(lane.toFloat(bits));
          const v = s.let(r.sub(x));
          const error = x.sub(r.sub(v)).add(y1.sub(v));
          f.brIf(rare, lane.nonzero(lane.toBits(error)), false);
        },
        undefined,
        false,
      );
      return;
    }
    case 0x59:
      check(lane.nonzero(a).and(lane.nonzero(b)));
      return;
    default:
      f.brIf(rare, lane.nonzero(b).eqz(), false);
      check(lane.nonzero(a));
  }
}

function compareToMask(s: Semantics, column: string): void {
  const { lane, count } = lanesOf(column);
  const { a, b, write } = operands(s, lane, count);
  s.if(all([...a.map(lane.plain), ...b.map(lane.plain)]), () => {
    const imm = s.let(s.immediate().lo());
    const results = a.map((_, n) => {
      const x = s.let(lane.toFloat(a[n]!));
      const y = s.let(lane.toFloat(b[n]!));
      const low = imm.and(3);
      const holds = select(low.eqz(), x.eq(y), select(low.eq(1), x.flt(y), select(low.eq(2), x.fle(y), i32(0))));
      const bit = holds.xor(imm.shrU(2).and(1));
      return s.let(lane.int === 'i32' ? i32(0).sub(bit) : i64(0).sub(bit.zx()));
    });
    write(results);
    done(s);
  });
}

function compareToFlags(s: Semantics, lane: Lane): void {
  const { a, b } = operands(s, lane, 1);
  s.if(lane.plain(a[0]!).and(lane.plain(b[0]!)), () => {
    const x = s.let(lane.toFloat(a[0]!));
    const y = s.let(lane.toFloat(b[0]!));
    s.setArithmeticFlags(s.let(x.flt(y).or(x.eq(y).shl(6))));
    done(s);
  });
}

/** CVTSI2SS and CVTSI2SD: without PE known only what the significand surely holds. */
function fromInteger(s: Semantics, column: 'f2' | 'f3'): void {
  const wide = s.sizeOf(1) === 64;
  const v = s.let(s.read(1));
  const double = column === 'f2';
  const commit = () => {
    // f32.convert_i32_s B2, f32.convert_i64_s B4, f64.convert_i32_s B7, f64.convert_i64_s B9
    if (double) {
      s.setVectorLow(0, s.let(DOUBLE.toBits(v.op(wide ? 0xb9 : 0xb7, 'f64'))));
      s.noteLowPlain(0);
    } else s.f.stF32(s.vectorAddress(0), 0, v.op(wide ? 0xb4 : 0xb2, 'f32'));
    done(s);
  };
  if (double && !wide) return commit();
  const bits = double ? 53n : 24n;
  const t = wide ? 'i64' : 'i32';
  const small = v.add(konst(t, 1n << bits)).leU(konst(t, 2n << bits));
  s.if(small.or(s.sseInexactKnown()), commit);
}

/** CVT(T)SS2SI and CVT(T)SD2SI for results that fit. */
function toInteger(s: Semantics, lane: Lane, truncate: boolean): void {
  const wide = s.size === 64;
  const double = lane === DOUBLE;
  const bits = s.let(double ? readDouble(s, 1) : lane.load(operandAddress(s, 1, 4), 0));
  s.if(lane.plain(bits), () => {
    const x = s.let(lane.toFloat(bits));
    const r = s.let(truncate ? x.trunc() : x.nearest());
    const limit = wide ? 2 ** 63 : 2 ** 31;
    // as a double, every bound is exact; singles are widened for the test (f64.promote_f32 BB)
    const d = s.let(double ? r : r.op(0xbb, 'f64'));
    const fits = d.fge(konst('f64', -limit)).and(d.flt(konst('f64', limit)));
    s.if(fits.and(r.eq(x).or(s.sseInexactKnown().ne(0))), () => {
      // i64.trunc_f64_s B0, i32.trunc_f64_s AA
      s.write(0, s.let(wide ? d.op(0xb0, 'i64') : d.op(0xaa, 'i32')));
      done(s);
    });
  });
}

function betweenFormats(s: Semantics, widen: boolean): void {
  const lane = widen ? SINGLE : DOUBLE;
  const bits = s.let(widen ? lane.load(operandAddress(s, 1, 4), 0) : readDouble(s, 1));
  s.if(lane.plain(bits), () => {
    const x = s.let(lane.toFloat(bits));
    if (widen) {
      s.setVectorLow(0, s.let(DOUBLE.toBits(x.op(0xbb, 'f64'))));
      s.noteLowPlain(0);
      done(s);
      return;
    }
    const r = s.let(x.op(0xb6, 'f32'));
    const rounded = s.let(SINGLE.toBits(r));
    // a zero result of a number that is not zero has underflowed
    const underflowed = rounded.shl(1).eqz().and(bits.shl(1n).eqz().xor(1));
    s.if(
      SINGLE.safe(rounded)
        .and(underflowed.eqz())
        .and(s.sseInexactKnown().ne(0).or(r.op(0xbb, 'f64').eq(x))),
      () => {
        s.f.stF32(s.vectorAddress(0), 0, r);
        done(s);
      },
    );
  });
}
