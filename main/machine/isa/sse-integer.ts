// Packed integer instructions, each for MMX (64 bits, no prefix) and SSE2 (128 bits, prefix 66) from one line.
// A 64-bit operand is the low half of a 128-bit value whose upper half is zero; results are cut to the low half again.

import { E, i32, i64, select } from '../wasm/expr.ts';
import { instruction, type Instruction, type Options } from './instruction.ts';
import type { Semantics } from './semantics.ts';
import { maskedStore } from './sse.ts';
import {
  V,
  ZERO128,
  enterMmx,
  inMemory,
  low32,
  low64,
  operandAddress,
  readLow,
  readVector,
  requireMmx,
  requireSse,
  shuffle,
  vectorConstant,
  writeMmx,
} from './vector.ts';

const REGISTER = { registerOnly: true } as const;

type Binary = (s: Semantics, a: E, b: E, bytes: 8 | 16) => E;

const mmxRow = (
  name: string,
  encodings: string[],
  meaning: (s: Semantics) => void,
  options: Options = {},
): Instruction =>
  instruction(name, encodings, options, (s) => {
    requireMmx(s);
    meaning(s);
    enterMmx(s);
  });
const sseRow = (name: string, encodings: string[], meaning: (s: Semantics) => void): Instruction =>
  instruction(name, encodings, {}, (s) => {
    requireSse(s);
    meaning(s);
  });

const sse2 = (name: string, opcode: string, compute: Binary): Instruction =>
  sseRow(name, [`66 0F ${opcode} /r Vx,Wx`], (s) => {
    if (name === 'pxor' && s.sameVector()) {
      s.clearVector(0);
      return;
    }
    const b = readVector(s, 1);
    s.f.stV128(s.vectorAddress(0), 0, compute(s, readVector(s, 0), b, 16));
  });
const mmx = (name: string, opcode: string, compute: Binary, bytes: 4 | 8 = 8): Instruction =>
  mmxRow(name, [`NP 0F ${opcode} /r Nq,${bytes === 4 ? 'Qd' : 'Qq'}`], (s) => {
    const b = bytes === 4 ? s.let(low32(operandAddress(s, 1, 4))) : readLow(s, 1);
    writeMmx(s, 0, s.let(compute(s, s.let(low64(s.vectorAddress(0))), b, 8)));
  });
/** Both forms of a lane-by-lane operation. */
const both = (name: string, opcode: string, compute: Binary): Instruction[] => [
  mmx(name, opcode, compute),
  sse2(name, opcode, compute),
];
const plain = (name: string, opcode: string, code: number): Instruction[] =>
  both(name, opcode, (_s, a, b) => a.v(code, b));

const range = (n: number, from = 0, step = 1): number[] => Array.from({ length: n }, (_, k) => from + k * step);
const spread = (size: number, lanes: readonly number[]): number[] => lanes.flatMap((l) => range(size, l * size));

/** Interleaves lanes of `size` bytes from the low or high halves. */
const interleave =
  (size: number, high: boolean): Binary =>
  (_s, a, b, bytes) => {
    const count = bytes / size;
    const first = high ? count / 2 : 0;
    const lanes = range(count / 2, first).flatMap((l) => [l, l + 16 / size]);
    const order = spread(size, lanes);
    return shuffle(a, b, [...order, ...range(16 - order.length)]);
  };
/** The MMX form reads only the 32 bits of memory that it uses. */
const unpackLow = (name: string, opcode: string, size: number): Instruction[] => [
  mmx(name, opcode, interleave(size, false), 4),
  sse2(name, opcode, interleave(size, false)),
];
/** Narrowing: lanes of a, then lanes of b. */
const pack =
  (code: number): Binary =>
  (s, a, b, bytes) => {
    if (bytes === 16) return a.v(code, b);
    const joined = s.let(shuffle(a, b, [...range(8), ...range(8, 16)]));
    return joined.v(code, joined);
  };

/** Shifts by a count in a 64-bit operand or an immediate: counts beyond the lane give zeros, or the sign for arithmetic shifts. */
const shiftBy = (s: Semantics, a: E, count: E, bits: number, code: number, arithmetic: boolean): E => {
  const c = s.let(count);
  const over = c.geU(BigInt(bits));
  if (arithmetic) return a.v(code, select(over, i32(bits - 1), c.lo()));
  const shifted = s.let(a.v(code, c.lo()));
  return select(over, ZERO128, shifted);
};

function shift(
  name: string,
  opcode: string,
  group: string,
  digit: number,
  bits: number,
  code: number,
  arithmetic = false,
): Instruction[] {
  return [
    ...both(name, opcode, (s, a, b) => shiftBy(s, a, b.lane(V.extract64, 0, 'i64'), bits, code, arithmetic)),
    mmxRow(
      name,
      [`NP 0F ${group} /${digit} Qq,Ib`],
      (s) => {
        const a = s.let(low64(s.vectorAddress(0)));
        writeMmx(s, 0, s.let(shiftBy(s, a, s.immediate().and(255n), bits, code, arithmetic)));
      },
      REGISTER,
    ),
    sseRow(name, [`66 0F ${group} /${digit} Ux,Ib`], (s) => {
      const a = readVector(s, 0);
      s.f.stV128(s.vectorAddress(0), 0, shiftBy(s, a, s.immediate().and(255n), bits, code, arithmetic));
    }),
  ];
}
const IOTA = vectorConstant(range(16));
/** PSLLDQ, PSRLDQ: an index beyond the vector picks zero. */
const shiftBytes = (name: string, digit: number, left: boolean): Instruction =>
  sseRow(name, [`66 0F 73 /${digit} Ux,Ib`], (s) => {
    const count = s.let(s.immediate().lo().and(255));
    const limited = s.let(select(count.gtU(16), i32(16), count)).v1(V.i8splat);
    const a = readVector(s, 0);
    s.f.stV128(s.vectorAddress(0), 0, a.v(V.swizzle, IOTA.v(left ? V.i8sub : V.i8add, limited)));
  });

/** High 16 bits of products, signed or unsigned. */
const highProduct =
  (low: number, high: number): Binary =>
  (_s, a, b) =>
    shuffle(a.v(low, b), a.v(high, b), spread(2, [1, 3, 5, 7, 9, 11, 13, 15]));
/** Products of the even 32-bit lanes, 64 bits wide. */
const evenProduct: Binary = (s, a, b) => {
  const x = s.let(shuffle(a, a, spread(4, [0, 2, 0, 2])));
  const y = s.let(shuffle(b, b, spread(4, [0, 2, 0, 2])));
  return x.v(V.i64extmulLowU, y);
};
/** Sums of absolute differences of bytes, per half. */
const absoluteDifferences: Binary = (s, a, b) => {
  const difference = s.let(a.v(V.i8subSatU, b).v(V.or, b.v(V.i8subSatU, a)));
  const words = s.let(difference.v1(V.i16extaddU));
  // words of each half added up by moving them down
  const two = s.let(words.v(V.i16add, shuffle(words, ZERO128, spread(2, [1, 8, 3, 8, 5, 8, 7, 8]))));
  const four = s.let(two.v(V.i16add, shuffle(two, ZERO128, spread(2, [2, 8, 8, 8, 6, 8, 8, 8]))));
  return four.v(V.and, vectorConstant([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]));
};

// ---- SSSE3

const both3 = (name: string, opcode: string, compute: Binary): Instruction[] => [
  mmxRow(name, [`NP 0F 38 ${opcode} /r Nq,Qq`], (s) => {
    const b = readLow(s, 1);
    writeMmx(s, 0, s.let(compute(s, s.let(low64(s.vectorAddress(0))), b, 8)));
  }),
  sseRow(name, [`66 0F 38 ${opcode} /r Vx,Wx`], (s) => {
    const b = readVector(s, 1);
    s.f.stV128(s.vectorAddress(0), 0, compute(s, readVector(s, 0), b, 16));
  }),
];
/** Even and odd lanes of a followed by b, combined. */
const pairs =
  (size: 2 | 4, code: number): Binary =>
  (s, a, b, bytes) => {
    const n = bytes / size;
    const pick = (odd: number) => {
      const lanes = [...range(n / 2, odd, 2), ...range(n / 2, 16 / size + odd, 2)];
      return spread(size, [...lanes, ...lanes]).slice(0, 16);
    };
    return s.let(shuffle(a, b, pick(0))).v(code, shuffle(a, b, pick(1)));
  };
/** PSIGN: b's sign decides between a, zero and -a. */
const withSign =
  (neg: number, gtS: number, eq: number): Binary =>
  (s, a, b) => {
    const negative = s.let(ZERO128.v(gtS, b));
    const flipped = s.let(bitselect(a.v1(neg), a, negative));
    return flipped.v(V.andnot, b.v(eq, ZERO128));
  };
/** v128.bitselect: bits of `x` where `mask` is one, else of `y`. */
function bitselect(x: E, y: E, mask: E): E {
  return new E('v128', (w) => {
    x.emit(w);
    y.emit(w);
    mask.emit(w);
    w.u8(0xfd);
    w.u32(V.bitselect);
  });
}
const roundedProduct: Binary = (s, a, b) => {
  const half = (code: number) =>
    s.let(a.v(code, b).v(V.i32shrU, i32(14)).v(V.i32add, i32(1).v1(V.i32splat)).v(V.i32shrU, i32(1)));
  return shuffle(half(V.i32extmulLowS), half(V.i32extmulHighS), spread(2, [0, 2, 4, 6, 8, 10, 12, 14]));
};
/** Products of unsigned bytes of a and signed bytes of b, neighbours added with signed saturation. */
const unsignedBySigned: Binary = (s, a, b) => {
  const even = s.let(a.v(V.and, i32(0x00ff).v1(V.i16splat)).v(V.i16mul, b.v(V.i16shl, i32(8)).v(V.i16shrS, i32(8))));
  const odd = s.let(a.v(V.i16shrU, i32(8)).v(V.i16mul, b.v(V.i16shrS, i32(8))));
  return even.v(V.i16addSatS, odd);
};
const shuffleBytes: Binary = (s, a, b, bytes) => {
  // bit 7 gives zero: an index of 128 and more is out of range for swizzle as well
  const index = s.let(b.v(V.and, i32(0x80 | (bytes - 1)).v1(V.i8splat)));
  return a.v(V.swizzle, index);
};

export const packedIntegers: Instruction[] = [
  ...unpackLow('punpcklbw', '60', 1),
  ...unpackLow('punpcklwd', '61', 2),
  ...unpackLow('punpckldq', '62', 4),
  ...both('packsswb', '63', pack(V.i8narrowS)),
  ...plain('pcmpgtb', '64', V.i8gtS),
  ...plain('pcmpgtw', '65', V.i16gtS),
  ...plain('pcmpgtd', '66', V.i32gtS),
  ...both('packuswb', '67', pack(V.i8narrowU)),
  ...both('punpckhbw', '68', interleave(1, true)),
  ...both('punpckhwd', '69', interleave(2, true)),
  ...both('punpckhdq', '6A', interleave(4, true)),
  ...both('packssdw', '6B', pack(V.i16narrowS)),
  sse2('punpcklqdq', '6C', interleave(8, false)),
  sse2('punpckhqdq', '6D', interleave(8, true)),
  ...plain('pcmpeqb', '74', V.i8eq),
  ...plain('pcmpeqw', '75', V.i16eq),
  ...plain('pcmpeqd', '76', V.i32eq),
  ...shift('psrlw', 'D1', '71', 2, 16, V.i16shrU),
  ...shift('psraw', 'E1', '71', 4, 16, V.i16shrS, true),
  ...shift('psllw', 'F1', '71', 6, 16, V.i16shl),
  ...shift('psrld', 'D2', '72', 2, 32, V.i32shrU),
  ...shift('psrad', 'E2', '72', 4, 32, V.i32shrS, true),
  ...shift('pslld', 'F2', '72', 6, 32, V.i32shl),
  ...shift('psrlq', 'D3', '73', 2, 64, V.i64shrU),
  ...shift('psllq', 'F3', '73', 6, 64, V.i64shl),
  shiftBytes('psrldq', 3, false),
  shiftBytes('pslldq', 7, true),
  ...plain('paddq', 'D4', V.i64add),
  ...plain('pmullw', 'D5', V.i16mul),
  ...plain('psubusb', 'D8', V.i8subSatU),
  ...plain('psubusw', 'D9', V.i16subSatU),
  ...plain('pminub', 'DA', V.i8minU),
  ...plain('pand', 'DB', V.and),
  ...plain('paddusb', 'DC', V.i8addSatU),
  ...plain('paddusw', 'DD', V.i16addSatU),
  ...plain('pmaxub', 'DE', V.i8maxU),
  ...both('pandn', 'DF', (_s, a, b) => b.v(V.andnot, a)),
  ...plain('pavgb', 'E0', V.i8avgrU),
  ...plain('pavgw', 'E3', V.i16avgrU),
  ...both('pmulhuw', 'E4', highProduct(V.i32extmulLowU, V.i32extmulHighU)),
  ...both('pmulhw', 'E5', highProduct(V.i32extmulLowS, V.i32extmulHighS)),
  ...plain('psubsb', 'E8', V.i8subSatS),
  ...plain('psubsw', 'E9', V.i16subSatS),
  ...plain('pminsw', 'EA', V.i16minS),
  ...plain('por', 'EB', V.or),
  ...plain('paddsb', 'EC', V.i8addSatS),
  ...plain('paddsw', 'ED', V.i16addSatS),
  ...plain('pmaxsw', 'EE', V.i16maxS),
  ...plain('pxor', 'EF', V.xor),
  ...both('pmuludq', 'F4', evenProduct),
  ...plain('pmaddwd', 'F5', V.i32dotS),
  ...both('psadbw', 'F6', absoluteDifferences),
  ...plain('psubb', 'F8', V.i8sub),
  ...plain('psubw', 'F9', V.i16sub),
  ...plain('psubd', 'FA', V.i32sub),
  ...plain('psubq', 'FB', V.i64sub),
  ...plain('paddb', 'FC', V.i8add),
  ...plain('paddw', 'FD', V.i16add),
  ...plain('paddd', 'FE', V.i32add),
  // SSSE3
  ...both3('pshufb', '00', shuffleBytes),
  ...both3('phaddw', '01', pairs(2, V.i16add)),
  ...both3('phaddd', '02', pairs(4, V.i32add)),
  ...both3('phaddsw', '03', pairs(2, V.i16addSatS)),
  ...both3('pmaddubsw', '04', unsignedBySigned),
  ...both3('phsubw', '05', pairs(2, V.i16sub)),
  ...both3('phsubd', '06', pairs(4, V.i32sub)),
  ...both3('phsubsw', '07', pairs(2, V.i16subSatS)),
  ...both3('psignb', '08', withSign(V.i8neg, V.i8gtS, V.i8eq)),
  ...both3('psignw', '09', withSign(V.i16neg, V.i16gtS, V.i16eq)),
  ...both3('psignd', '0A', withSign(V.i32neg, V.i32gtS, V.i32eq)),
  ...both3('pmulhrsw', '0B', roundedProduct),
  ...both3('pabsb', '1C', (_s, _a, b) => b.v1(V.i8abs)),
  ...both3('pabsw', '1D', (_s, _a, b) => b.v1(V.i16abs)),
  ...both3('pabsd', '1E', (_s, _a, b) => b.v1(V.i32abs)),
  mmxRow('palignr', ['NP 0F 3A 0F /r Nq,Qq,Ib'], (s) => {
    const b = readLow(s, 1);
    const a = s.let(low64(s.vectorAddress(0)));
    const joined = s.let(shuffle(b, a, [...range(8), ...range(8, 16)]));
    const count = s.let(s.immediate().lo().and(255));
    const limited = select(count.gtU(16), i32(16), count).v1(V.i8splat);
    writeMmx(s, 0, s.let(joined.v(V.swizzle, IOTA.v(V.i8add, limited))));
  }),
  sseRow('palignr', ['66 0F 3A 0F /r Vx,Wx,Ib'], (s) => {
    const b = readVector(s, 1);
    const a = readVector(s, 0);
    const count = s.let(s.immediate().lo().and(255));
    const limited = s.let(select(count.gtU(32), i32(32), count));
    // index below 16: from b; 16 to 31: from a; a swizzle gives zero for what is not its own
    const index = s.let(IOTA.v(V.i8add, limited.v1(V.i8splat)));
    s.f.stV128(
      s.vectorAddress(0),
      0,
      b.v(V.swizzle, index).v(V.or, a.v(V.swizzle, index.v(V.i8sub, i32(16).v1(V.i8splat)))),
    );
  }),
];

export const mmxMoves: Instruction[] = [
  mmxRow('movd', ['NP 0F 6E /r Nq,Ey'], (s) => {
    const v = s.let(s.read(1));
    const to = s.vectorAddress(0);
    s.f.st64(to, 0, v.zx());
    s.f.st32(to, 8, 0xffff);
  }),
  mmxRow('movd', ['NP 0F 7E /r Ey,Nq'], (s) => {
    const from = s.vectorAddress(1);
    s.write(0, s.size === 64 ? from.ld64() : from.ld32());
  }),
  mmxRow('movq', ['NP 0F 6F /r Nq,Qq'], (s) => writeMmx(s, 0, readLow(s, 1))),
  mmxRow('movq', ['NP 0F 7F /r Qq,Nq'], (s) => {
    if (inMemory(s, 0)) s.store(s.address(8, true), 64, s.vectorAddress(1).ld64());
    else writeMmx(s, 0, s.let(low64(s.vectorAddress(1))));
  }),
  mmxRow('movntq', ['NP 0F E7 /r Mq,Nq'], (s) => s.store(s.address(8, true), 64, s.vectorAddress(1).ld64())),
  mmxRow(
    'pmovmskb',
    ['NP 0F D7 /r Gd,Q'],
    (s) => s.write(0, s.let(low64(s.vectorAddress(1))).v1(V.i8bitmask, 'i32')),
    REGISTER,
  ),
  mmxRow('pshufw', ['NP 0F 70 /r Nq,Qq,Ib'], (s) => {
    const from = operandAddress(s, 1, 8);
    const imm = s.let(s.immediate().lo());
    const values = [0, 1, 2, 3].map((n) =>
      s.let(
        from
          .add(
            imm
              .shrU(n * 2)
              .and(3)
              .shl(1),
          )
          .ld16u(),
      ),
    );
    const to = s.vectorAddress(0);
    values.forEach((v, n) => s.f.st16(to, n * 2, v));
    s.f.st32(to, 8, 0xffff);
  }),
  mmxRow('pinsrw', ['NP 0F C4 /r Nq,Ew,Ib'], (s) => {
    const v = s.let(s.read(1));
    const to = s.vectorAddress(0);
    s.f.st16(s.let(to.add(s.immediate().lo().and(3).shl(1))), 0, v);
    s.f.st32(to, 8, 0xffff);
  }),
  mmxRow(
    'pextrw',
    ['NP 0F C5 /r Gd,Q,Ib'],
    (s) => s.write(0, s.let(s.vectorAddress(1).add(s.immediate().lo().and(3).shl(1)).ld16u())),
    REGISTER,
  ),
  // the reference CPU has left the x87 stack behind when the store faults
  instruction('maskmovq', ['NP 0F F7 /r Nq,Q'], REGISTER, (s) => {
    requireMmx(s);
    enterMmx(s);
    const mask = s.vectorAddress(1);
    const data = s.vectorAddress(0);
    maskedStore(s, s.let(s.stringDestination(8, true)), 8, data, mask);
  }),
  instruction('movq2dq', ['F3 0F D6 /r Vx,Q'], { registerOnly: true }, (s) => {
    requireSse(s);
    requireMmx(s);
    const v = s.let(s.vectorAddress(1).ld64());
    const to = s.vectorAddress(0);
    s.f.st64(to, 0, v);
    s.f.st64(to, 8, i64(0));
    enterMmx(s);
  }),
  instruction('movdq2q', ['F2 0F D6 /r Nq,Ux'], {}, (s) => {
    requireSse(s);
    requireMmx(s);
    writeMmx(s, 0, s.let(low64(s.vectorAddress(1))));
    enterMmx(s);
  }),
];
