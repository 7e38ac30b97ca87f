// SSE in translated code asks once, at the entry of a region, whether it is usable, MXCSR at its default and PE set: whatever holds, both tiers agree.

import { expect, it } from 'vitest';
import { F, RAM_BASE, STATE } from '../../../../main/machine/cpu/layout.ts';
import { Random } from './programs.ts';
import { CODE, DATA, STACK, TwoTiers, difference } from './two-tiers.ts';

/** Doubles (or pairs of singles) that decide: zeros, exact and inexact ones, the ends of the range, denormals, infinity, NaN. */
const SOME = [
  ...[0n, 1n << 63n, 0x3ff0_0000_0000_0000n, 0xbfe0_0000_0000_0000n, 0x4008_0000_0000_0000n, 0x3fb9_9999_9999_999an],
  ...[
    0x3eb0_c6f7_a0b5_ed8dn,
    0x0010_0000_0000_0000n,
    0x0020_0000_0000_0001n,
    0x7fef_ffff_ffff_ffffn,
    0x0000_0000_0000_0001n,
  ],
  ...[
    0x7ff0_0000_0000_0000n,
    0x7ff8_0000_0000_0000n,
    0x7ff0_0000_0000_0001n,
    0x3f80_0000_3f00_0000n,
    0x4040_0000_3e99_999an,
  ],
];

/** CR0.TS, CR4.OSFXSR and MXCSR at the entry. */
const STATES: readonly (readonly [ts: boolean, osfxsr: boolean, mxcsr: number])[] = [
  ...([0x1f80, 0x1fa0, 0x1fbf, 0x9fa0, 0x7fa0, 0x1fe0, 0x0fa0, 0x0f80, 0x1f20] as const).map(
    (mxcsr) => [false, true, mxcsr] as const,
  ),
  ...[[true, true, 0x1fa0] as const, [false, false, 0x1fa0] as const, [true, false, 0x1f80] as const],
];

/** ADD MUL SUB MIN DIV MAX SQRT in all widths, CMP, COMI, conversions, moves and bit operations among XMM0 to XMM3. */
function instruction(r: Random): number[] {
  const modrm = 0xc0 | (r.below(4) << 3) | r.below(4);
  const prefix = r.pick([[], [0x66], [0xf2], [0xf3]]);
  const arithmetic = [0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f, 0x51];
  return r.pick([
    [...prefix, 0x0f, r.pick(arithmetic), modrm],
    [r.pick([0xf2, 0xf3]), 0x0f, r.pick(arithmetic.slice(0, 3)), modrm],
    [...prefix, 0x0f, 0xc2, modrm, r.below(8)],
    [...r.pick([[], [0x66]]), 0x0f, r.pick([0x2e, 0x2f]), modrm],
    [r.pick([0xf2, 0xf3]), 0x0f, r.pick([0x2a, 0x5a]), modrm],
    [r.pick([0xf2, 0xf3]), 0x0f, r.pick([0x2c, 0x2d]), modrm],
    [0x0f, r.pick([0x28, 0x54, 0x57, 0x14]), modrm],
    // ADDSD XMM, [DATA] by EBX
    [0xf2, 0x0f, 0x58, 0x03 | (r.below(4) << 3)],
  ]);
}

it.each([32, 64] as const)('%i-bit code with every state of MXCSR, CR0 and CR4', (mode) => {
  const r = new Random(0x55e + mode);
  const m = new TwoTiers(mode);
  const { mem } = m.interpreted;
  let entered = 0;
  const vectors = new Set<number>();
  for (let n = 0; n < 10; n++) {
    const code = [0x89, 0xc9].concat(...Array.from({ length: 6 + r.below(9) }, () => instruction(r)));
    for (let register = 0; register < 8; register++) m.vcpu.setReg(register, BigInt(register));
    m.vcpu.setReg(3, BigInt(DATA));
    m.vcpu.setReg(4, BigInt(STACK));
    m.vcpu.rip = BigInt(CODE);
    m.vcpu.set32(F.cr0, 0x8001_0011);
    m.vcpu.set32(F.cr4, mode === 64 ? 0x220 : 0x200);
    m.vcpu.set32(F.mxcsr, 0x1f80);
    m.load(code);
    if (m.entered) entered++;
    for (const [ts, osfxsr, mxcsr] of STATES) {
      const view = new DataView(mem.u8.buffer, mem.u8.byteOffset);
      for (let k = 0; k < 8; k++)
        view.setBigUint64(STATE + F.xmm + k * 8, r.pick(n < 5 ? SOME.slice(0, 6) : SOME), true);
      m.vcpu.set32(F.cr0, ts ? 0x8001_0019 : 0x8001_0011);
      m.vcpu.set32(F.cr4, (mode === 64 ? 0x20 : 0) | (osfxsr ? 0x600 : 0));
      m.vcpu.set32(F.mxcsr, mxcsr);
      for (const budget of [5, 100]) {
        const { interpreted, translated } = m.compare(budget);
        vectors.add(interpreted.vector);
        const what = `${Buffer.from(code).toString('hex')} ts ${ts} osfxsr ${osfxsr} mxcsr ${mxcsr.toString(16)} budget ${budget}`;
        expect(difference(interpreted, translated), what).toBe('');
      }
    }
  }
  expect(entered).toBe(10);
  // #UD at the end of the code or without OSFXSR, #NM with TS, #XM where MXCSR unmasks
  expect([...vectors]).toEqual(expect.arrayContaining([-1, 6, 7, 19]));
});

/** Moves of whole registers and of halves, and arithmetic of doubles, singles and vectors, mixed: some forms keep the low half as a value, some do not. */
function mixed(r: Random, mode: 32 | 64, memory: () => number): number[] {
  const [a, b] = [r.below(mode === 64 ? 16 : 4), r.below(mode === 64 ? 16 : 4)];
  const rex = (rm: number): number[] => {
    const bits = (a & 8 ? 4 : 0) | (rm & 8 ? 1 : 0);
    return bits === 0 ? [] : [0x40 | bits];
  };
  const scalar = [0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f, 0x51, 0x5a, 0x10, 0x11];
  const [prefix, opcode] = r.pick<[number[], number]>([
    ...[...scalar, ...scalar].map((op): [number[], number] => [[0xf2], op]),
    ...scalar.map((op): [number[], number] => [[0xf3], op]),
    ...[0x58, 0x59, 0x28, 0x57, 0x14, 0x15, 0x12, 0x16, 0x10, 0x11].map((op): [number[], number] => [[0x66], op]),
    ...[0x12, 0x16, 0x10, 0x11, 0x54, 0x2f].map((op): [number[], number] => [[], op]),
    ...[
      [[0xf3], 0x7e] as [number[], number],
      [[0x66], 0xd6] as [number[], number],
      [[0x66], 0xef] as [number[], number],
    ],
    ...[[[0xf2], 0x2a] as [number[], number], [[0xf2], 0x2c] as [number[], number]],
  ]);
  // MOVLPD and MOVHPD have no register form; CVTTSD2SI writes ECX only, which says how often a loop goes on if it is anything else
  const toInteger = opcode === 0x2c;
  const memoryOnly = prefix[0] === 0x66 && (opcode === 0x12 || opcode === 0x16);
  if (memoryOnly || (!toInteger && opcode !== 0x2a && r.below(3) === 0))
    return [...prefix, ...rex(0), 0x0f, opcode, 0x40 | ((a & 7) << 3) | 3, memory()];
  if (toInteger) return [0xf2, 0x0f, 0x2c, 0xc0 | (2 << 3) | (b & 3)];
  return [...prefix, ...rex(b), 0x0f, opcode, 0xc0 | ((a & 7) << 3) | (b & 7)];
}

/** PXOR or XORPS of a register with itself, SQRTSD or ADDSD with another. */
function preamble(r: Random): number[] {
  const [a, b] = [r.below(4), r.below(4)];
  const same = 0xc0 | (a << 3) | a;
  return r.pick([
    ...[
      [0x66, 0x0f, 0xef, same],
      [0x0f, 0x57, same],
    ],
    ...[
      [0xf2, 0x0f, 0x51, 0xc0 | (a << 3) | b],
      [0xf2, 0x0f, 0x58, 0xc0 | (a << 3) | b],
    ],
  ]);
}

it.each([32, 64] as const)('%i-bit loops that are left anywhere with XMM registers changed', (mode) => {
  const r = new Random(0xd0b1e + mode);
  const m = new TwoTiers(mode);
  const { mem } = m.interpreted;
  const vectors = new Set<number>();
  let entered = 0;
  m.map((DATA >> 12) + 1, 0);
  for (let n = 0; n < 40; n++) {
    const faults = n % 4 === 3;
    const body = Array.from({ length: 4 + r.below(10) }, () => mixed(r, mode, () => 16 * r.below(7))).flat();
    // ADD EBX, 16 lets accesses run into a page that is not there; SUB ECX, 1; JNZ
    const step = [0x83, 0xc3, 0x10, 0x83, 0xe9, 0x01];
    const length = body.length + step.length + 6;
    // in front of the loop some registers become zero or are seen to be plain: what is known at its head
    const before = r.below(4) === 0 ? [] : Array.from({ length: 4 }, () => preamble(r)).flat();
    const code = [...before, ...body, ...step, 0x0f, 0x85, ...new Uint8Array(Int32Array.of(-length).buffer)];
    for (let register = 0; register < 8; register++) m.vcpu.setReg(register, BigInt(register));
    m.vcpu.setReg(1, 6n);
    m.vcpu.setReg(3, BigInt(faults ? DATA + 4096 - 160 : DATA + 256));
    m.vcpu.setReg(4, BigInt(STACK));
    m.vcpu.rip = BigInt(CODE);
    m.vcpu.set32(F.cr4, mode === 64 ? 0x620 : 0x600);
    const view = new DataView(mem.u8.buffer, mem.u8.byteOffset);
    const values = n % 2 === 0 ? SOME.slice(0, 6) : SOME;
    for (let k = 0; k < 32; k++) view.setBigUint64(STATE + F.xmm + k * 8, r.pick(values), true);
    for (let k = 0; k < 512; k++) view.setBigUint64(RAM_BASE + DATA + k * 8, r.pick(values), true);
    m.vcpu.set32(F.mxcsr, n % 3 === 0 ? 0x1f80 : 0x1fa0);
    m.load(code, 30);
    if (m.entered) entered++;
    for (const budget of [1, 3, 7, 12, 20, 31, 1000]) {
      const { interpreted, translated } = m.compare(budget);
      vectors.add(interpreted.vector);
      const what = `${Buffer.from(code).toString('hex')} budget ${budget}`;
      expect(difference(interpreted, translated), what).toBe('');
    }
  }
  expect(entered).toBeGreaterThan(30);
  // left by a budget, at the code's end, by a page that is not there
  expect([...vectors]).toEqual(expect.arrayContaining([-1, 6, 14]));
});

it.each([32, 64] as const)('%i-bit loops that rely on plain numbers, entered with anything', (mode) => {
  const m = new TwoTiers(mode);
  const view = new DataView(m.interpreted.mem.u8.buffer, m.interpreted.mem.u8.byteOffset);
  // MULSD XMM0, XMM2; ADDSD XMM1, XMM0; SUB ECX, 1; JNZ: alone, behind ADDSD XMM1, XMM2, and twice in a loop around it
  const inner = [0xf2, 0x0f, 0x59, 0xc2, 0xf2, 0x0f, 0x58, 0xc8, 0x83, 0xe9, 1, 0x75, 0xf3];
  const outer = [0xb9, 3, 0, 0, 0, 0x83, 0xea, 1, 0x75, 0xe9];
  let entered = 0;
  for (const code of [inner, [0xf2, 0x0f, 0x58, 0xca, ...inner], [...inner, ...outer]])
    for (const first of SOME)
      for (const second of SOME) {
        for (let register = 0; register < 8; register++) m.vcpu.setReg(register, 3n);
        m.vcpu.setReg(4, BigInt(STACK));
        m.vcpu.rip = BigInt(CODE);
        m.vcpu.set32(F.cr4, mode === 64 ? 0x620 : 0x600);
        m.vcpu.set32(F.mxcsr, 0x1fa0);
        [first, 0n, second, 0n, 0x3ff8_0000_0000_0000n, 0n].forEach((v, k) =>
          view.setBigUint64(STATE + F.xmm + k * 8, v, true),
        );
        m.load(code, 40);
        if (m.entered) entered++;
        const { interpreted, translated } = m.compare(100);
        expect(difference(interpreted, translated), `${code.length} bytes, ${first} and ${second}`).toBe('');
      }
  expect(entered).toBeGreaterThan(500);
});

/** What IEEE 754 says of operands in the middle of the range whose result is at an end of it; both tiers share their quick way, so it is written out. */
const ENDS: readonly (readonly [opcode: number, a: bigint, b: bigint, result: bigint, raised: number])[] = [
  // overflow; underflow, the exact quotient being just above 2^-1024; the least that is no underflow
  [0x59, 0x5fff_ffff_ffff_ffffn, 0x5fff_ffff_ffff_ffffn, 0x7ff0_0000_0000_0000n, 0x08],
  [0x5e, 0x2000_0000_0000_0001n, 0x5fff_ffff_ffff_ffffn, 0x0004_0000_0000_0000n, 0x10],
  [0x59, 0x2000_0000_0000_0001n, 0x2000_0000_0000_0001n, 0x0010_0000_0000_0002n, 0],
];
const ENDS_OF_SINGLES: typeof ENDS = [
  [0x59, 0x5fff_ffffn, 0x5fff_ffffn, 0x7f80_0000n, 0x08],
  [0x5e, 0x2000_0001n, 0x5fff_ffffn, 0x0020_0000n, 0x10],
  [0x59, 0x2000_0001n, 0x2000_0001n, 0x0080_0002n, 0],
];

it.each([32, 64] as const)('%i-bit code at the ends of the range, from operands far from them', (mode) => {
  const m = new TwoTiers(mode);
  const memory = m.interpreted.mem.u8;
  const view = new DataView(memory.buffer, memory.byteOffset);
  for (const [prefix, bytes, lanes] of [
    [[0xf2], 8, 1] as const,
    [[0x66], 8, 2] as const,
    [[0xf3], 4, 1] as const,
    [[], 4, 4] as const,
  ])
    for (const [opcode, a, b, result, raised] of bytes === 8 ? ENDS : ENDS_OF_SINGLES) {
      const put = (at: number, v: bigint): void =>
        bytes === 8 ? view.setBigUint64(at, v, true) : view.setUint32(at, Number(v), true);
      for (let at = 0; at < 16; at += bytes) {
        put(STATE + F.xmm + at, a);
        put(STATE + F.xmm + 16 + at, b);
      }
      const code = [0x89, 0xc9, ...prefix, 0x0f, opcode, 0xc1];
      m.vcpu.rip = BigInt(CODE);
      m.vcpu.set32(F.cr4, mode === 64 ? 0x620 : 0x600);
      m.vcpu.set32(F.mxcsr, 0x1fa0);
      m.load(code);
      expect(m.entered).toBe(true);
      const { interpreted, translated } = m.compare(100);
      for (const { mxcsr, vectors } of [interpreted, translated]) {
        const got = new DataView(vectors.buffer, vectors.byteOffset);
        const values = Array.from({ length: 16 / bytes }, (_, n) =>
          bytes === 8 ? got.getBigUint64(n * 8, true) : BigInt(got.getUint32(n * 4, true)),
        );
        expect(values, Buffer.from(code).toString('hex')).toEqual(values.map((_, n) => (n < lanes ? result : a)));
        expect(mxcsr, Buffer.from(code).toString('hex')).toBe(0x1fa0 | raised);
      }
    }
});
