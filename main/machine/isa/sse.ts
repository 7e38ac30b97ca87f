// SSE data movement: moves of whole registers and of their parts, shuffles, masks, non-temporal stores, prefetch, CLFLUSH.
// Non-temporal and streaming forms are ordinary stores here: memory is always in program order.

import { i64, type E } from '../wasm/expr.ts';
import { instruction, type Instruction } from './instruction.ts';
import type { Semantics } from './semantics.ts';
import {
  V,
  ZERO128,
  inMemory,
  low64,
  operandAddress,
  readDouble,
  readVector,
  requireSse,
  shuffle,
  writeVector,
} from './vector.ts';

const sse = (name: string, encodings: string[], meaning: (s: Semantics) => void): Instruction =>
  instruction(name, encodings, {}, (s) => {
    requireSse(s);
    meaning(s);
  });

const move = (aligned: boolean) => (s: Semantics) => writeVector(s, 0, readVector(s, 1, aligned), aligned);

/** MOVSS, MOVSD: a register keeps its upper part when the source is a register, and gets zeros when it is memory. */
const scalarLoad = (bytes: 4 | 8) => (s: Semantics) => {
  if (bytes === 8) {
    const low = s.let(readDouble(s, 1));
    if (inMemory(s, 1)) s.clearVectorHigh(0);
    s.setVectorLow(0, low);
    if (!inMemory(s, 1) && s.lowIsPlain(1)) s.noteLowPlain(0);
    return;
  }
  const from = operandAddress(s, 1, bytes);
  const v = s.let(from.ld32());
  const to = s.vectorAddress(0);
  if (inMemory(s, 1)) s.f.stV128(to, 0, ZERO128);
  s.f.st32(to, 0, v);
};
/** Stores `bytes` bytes of a register from `offset` on. */
const partStore =
  (bytes: 4 | 8, offset = 0) =>
  (s: Semantics) => {
    if (bytes === 8 && offset === 0) {
      const low = s.let(s.vectorLow(1));
      if (inMemory(s, 0)) s.store(s.address(8, true), 64, low);
      else {
        s.setVectorLow(0, low);
        if (s.lowIsPlain(1)) s.noteLowPlain(0);
      }
      return;
    }
    const from = s.vectorAddress(1);
    if (!inMemory(s, 0)) {
      const to = s.vectorAddress(0);
      if (bytes === 4) s.f.st32(to, 0, from.ld32(offset));
      else s.f.st64(to, 0, from.ld64(offset));
      return;
    }
    s.store(s.address(bytes, true), bytes === 4 ? 32 : 64, bytes === 4 ? from.ld32(offset) : from.ld64(offset));
  };
/** Loads 8 bytes (from `source` of a register operand) to `offset` of the destination. */
const halfLoad = (offset: 0 | 8, source: 0 | 8) => (s: Semantics) => {
  const from = operandAddress(s, 1, 8);
  const v = s.let(from.ld64(inMemory(s, 1) ? 0 : source));
  s.f.st64(s.vectorAddress(0), offset, v);
};

const immediate = (s: Semantics): E => s.let(s.immediate().lo().and(255));
const field = (imm: E, shift: number, mask: number, scale: number): E => imm.shrU(shift).and(mask).shl(scale);

/** Four 32-bit lanes picked by an immediate: the first two from `a`, the others from `b` (addresses). */
function pick32(s: Semantics, a: E, b: E): void {
  const imm = immediate(s);
  const values = [0, 1, 2, 3].map((n) => s.let((n < 2 ? a : b).add(field(imm, n * 2, 3, 2)).ld32()));
  const to = s.vectorAddress(0);
  values.forEach((v, n) => s.f.st32(to, n * 4, v));
}
const pshufWords = (high: boolean) => (s: Semantics) => {
  const from = operandAddress(s, 1, 16);
  const imm = immediate(s);
  const half = high ? 8 : 0;
  const values = [0, 1, 2, 3].map((n) => s.let(from.add(field(imm, n * 2, 3, 1)).ld16u(half)));
  const other = s.let(from.ld64(8 - half));
  const to = s.vectorAddress(0);
  values.forEach((v, n) => s.f.st16(to, half + n * 2, v));
  s.f.st64(to, 8 - half, other);
};

const unpack = (lanes: readonly number[]) => (s: Semantics) => {
  const b = readVector(s, 1);
  const a = readVector(s, 0);
  s.f.stV128(s.vectorAddress(0), 0, shuffle(a, b, lanes));
};
const bytesOf = (size: number, lanes: readonly number[]): number[] =>
  lanes.flatMap((l) => Array.from({ length: size }, (_, k) => l * size + k));

export const sseMoves: Instruction[] = [
  sse('movups', ['NP 0F 10 /r Vx,Wx', 'NP 0F 11 /r Wx,Vx'], move(false)),
  sse('movupd', ['66 0F 10 /r Vx,Wx', '66 0F 11 /r Wx,Vx'], move(false)),
  sse('movaps', ['NP 0F 28 /r Vx,Wx', 'NP 0F 29 /r Wx,Vx'], move(true)),
  sse('movapd', ['66 0F 28 /r Vx,Wx', '66 0F 29 /r Wx,Vx'], move(true)),
  sse('movdqa', ['66 0F 6F /r Vx,Wx', '66 0F 7F /r Wx,Vx'], move(true)),
  sse('movdqu', ['F3 0F 6F /r Vx,Wx', 'F3 0F 7F /r Wx,Vx'], move(false)),
  sse('lddqu', ['F2 0F F0 /r Vx,M'], (s) => s.f.stV128(s.vectorAddress(0), 0, readVector(s, 1, false))),
  sse('movntps', ['NP 0F 2B /r M,Vx'], move(true)),
  sse('movntpd', ['66 0F 2B /r M,Vx'], move(true)),
  sse('movntdq', ['66 0F E7 /r M,Vx'], move(true)),
  sse('movss', ['F3 0F 10 /r Vx,Wd'], scalarLoad(4)),
  sse('movss', ['F3 0F 11 /r Wd,Vx'], partStore(4)),
  sse('movsd', ['F2 0F 10 /r Vx,Wq'], scalarLoad(8)),
  sse('movsd', ['F2 0F 11 /r Wq,Vx'], partStore(8)),
  // the register form of 0F 12 is MOVHLPS, of 0F 16 MOVLHPS
  sse('movlps', ['NP 0F 12 /r Vx,Wq'], halfLoad(0, 8)),
  sse('movlpd', ['66 0F 12 /r Vx,Mq'], halfLoad(0, 0)),
  sse('movlps', ['NP 0F 13 /r Mq,Vx', '66 0F 13 /r Mq,Vx'], partStore(8)),
  sse('movhps', ['NP 0F 16 /r Vx,Wq'], halfLoad(8, 0)),
  sse('movhpd', ['66 0F 16 /r Vx,Mq'], halfLoad(8, 0)),
  sse('movhps', ['NP 0F 17 /r Mq,Vx', '66 0F 17 /r Mq,Vx'], partStore(8, 8)),
  sse('movddup', ['F2 0F 12 /r Vx,Wq'], (s) => {
    const v = s.let(operandAddress(s, 1, 8).ld64());
    const to = s.vectorAddress(0);
    s.f.st64(to, 0, v);
    s.f.st64(to, 8, v);
  }),
  sse('movsldup', ['F3 0F 12 /r Vx,Wx'], (s) => {
    const v = readVector(s, 1);
    s.f.stV128(s.vectorAddress(0), 0, shuffle(v, v, bytesOf(4, [0, 0, 2, 2])));
  }),
  sse('movshdup', ['F3 0F 16 /r Vx,Wx'], (s) => {
    const v = readVector(s, 1);
    s.f.stV128(s.vectorAddress(0), 0, shuffle(v, v, bytesOf(4, [1, 1, 3, 3])));
  }),
  sse('movd', ['66 0F 6E /r Vx,Ey'], (s) => {
    const v = s.let(s.read(1));
    const to = s.vectorAddress(0);
    s.f.st64(to, 0, v.zx());
    s.f.st64(to, 8, i64(0));
  }),
  sse('movd', ['66 0F 7E /r Ey,Vx'], (s) => {
    const from = s.vectorAddress(1);
    s.write(0, s.size === 64 ? from.ld64() : from.ld32());
  }),
  sse('movq', ['F3 0F 7E /r Vx,Wq'], (s) => {
    const v = s.let(low64(operandAddress(s, 1, 8)));
    s.f.stV128(s.vectorAddress(0), 0, v);
  }),
  sse('movq', ['66 0F D6 /r Wq,Vx'], (s) => {
    if (inMemory(s, 0)) return partStore(8)(s);
    const v = s.let(low64(s.vectorAddress(1)));
    s.f.stV128(s.vectorAddress(0), 0, v);
  }),
  sse('movmskps', ['NP 0F 50 /r Gd,Ux'], (s) => s.write(0, readVector(s, 1).v1(V.i32bitmask, 'i32'))),
  sse('movmskpd', ['66 0F 50 /r Gd,Ux'], (s) => s.write(0, readVector(s, 1).v1(V.i64bitmask, 'i32'))),
  sse('pmovmskb', ['66 0F D7 /r Gd,Ux'], (s) => s.write(0, readVector(s, 1).v1(V.i8bitmask, 'i32'))),
  sse(
    'andps',
    ['NP 0F 54 /r Vx,Wx', '66 0F 54 /r Vx,Wx'],
    bitwise((a, b) => a.v(V.and, b)),
  ),
  sse(
    'andnps',
    ['NP 0F 55 /r Vx,Wx', '66 0F 55 /r Vx,Wx'],
    bitwise((a, b) => b.v(V.andnot, a)),
  ),
  sse(
    'orps',
    ['NP 0F 56 /r Vx,Wx', '66 0F 56 /r Vx,Wx'],
    bitwise((a, b) => a.v(V.or, b)),
  ),
  sse('xorps', ['NP 0F 57 /r Vx,Wx', '66 0F 57 /r Vx,Wx'], (s) =>
    s.sameVector() ? s.clearVector(0) : bitwise((a, b) => a.v(V.xor, b))(s),
  ),
  sse('unpcklps', ['NP 0F 14 /r Vx,Wx'], unpack(bytesOf(4, [0, 4, 1, 5]))),
  sse('unpcklpd', ['66 0F 14 /r Vx,Wx'], unpack(bytesOf(8, [0, 2]))),
  sse('unpckhps', ['NP 0F 15 /r Vx,Wx'], unpack(bytesOf(4, [2, 6, 3, 7]))),
  sse('unpckhpd', ['66 0F 15 /r Vx,Wx'], unpack(bytesOf(8, [1, 3]))),
  sse('shufps', ['NP 0F C6 /r Vx,Wx,Ib'], (s) => pick32(s, s.vectorAddress(0), operandAddress(s, 1, 16))),
  sse('shufpd', ['66 0F C6 /r Vx,Wx,Ib'], (s) => {
    const b = operandAddress(s, 1, 16);
    const imm = immediate(s);
    const to = s.vectorAddress(0);
    const lo = s.let(to.add(field(imm, 0, 1, 3)).ld64());
    const hi = s.let(b.add(field(imm, 1, 1, 3)).ld64());
    s.f.st64(to, 0, lo);
    s.f.st64(to, 8, hi);
  }),
  sse('pshufd', ['66 0F 70 /r Vx,Wx,Ib'], (s) => {
    const from = operandAddress(s, 1, 16);
    pick32(s, from, from);
  }),
  sse('pshuflw', ['F2 0F 70 /r Vx,Wx,Ib'], pshufWords(false)),
  sse('pshufhw', ['F3 0F 70 /r Vx,Wx,Ib'], pshufWords(true)),
  sse('pinsrw', ['66 0F C4 /r Vx,Ew,Ib'], (s) => {
    const v = s.let(s.read(1));
    s.f.st16(s.let(s.vectorAddress(0).add(field(immediate(s), 0, 7, 1))), 0, v);
  }),
  sse('pextrw', ['66 0F C5 /r Gd,Ux,Ib'], (s) =>
    s.write(
      0,
      s.let(
        s
          .vectorAddress(1)
          .add(field(immediate(s), 0, 7, 1))
          .ld16u(),
      ),
    ),
  ),
  sse('maskmovdqu', ['66 0F F7 /r Vx,Ux'], (s) => {
    const mask = s.vectorAddress(1);
    const data = s.vectorAddress(0);
    const at = s.let(s.stringDestination(16, true));
    maskedStore(s, at, 16, data, mask);
  }),
  // hints
  instruction('clflush', ['NP 0F AE /7 M'], {}, (s) => void s.loadAddress(s.address(1), 1)),
];

function bitwise(combine: (a: E, b: E) => E): (s: Semantics) => void {
  return (s) => {
    const b = readVector(s, 1);
    s.f.stV128(s.vectorAddress(0), 0, combine(readVector(s, 0), b));
  };
}

/** Writes the bytes of `data` whose mask byte is negative. All `bytes` bytes must be writable, whatever the mask, as on the reference CPU. */
export function maskedStore(s: Semantics, at: E, bytes: number, data: E, mask: E): void {
  const { h, finish } = s.modifyAddress(at, bytes);
  for (let n = 0; n < bytes; n++) s.if(mask.ld8s(n).ltS(0), () => s.f.st8(h, n, data.ld8u(n)));
  finish();
}
