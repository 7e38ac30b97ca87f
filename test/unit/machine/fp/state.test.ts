// Floating-point state as the operating system handles it: availability faults, FXSAVE, FNSAVE, pending exceptions.

import { describe, expect, test } from 'vitest';
import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { F, Seg } from '../../../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import type { Vcpu } from '../../../../main/machine/cpu/vcpu.ts';

const CODE = 0x1000;
const AREA = 0x4000;
const CR0 = 0x33;
const CR4 = 0x600;

function machine(cr0 = CR0, cr4 = CR4): { core: CpuCore; v: Vcpu; mem: HostMemory } {
  const mem = new HostMemory(0x2_0000);
  const core = new CpuCore(mem);
  const v = core.createVcpu();
  core.select(v);
  v.set32(F.cr0, cr0);
  v.set32(F.cr4, cr4);
  v.set32(F.interceptExceptions, 0xffff_ffff);
  v.setSegment(Seg.CS, { selector: 8, base: 0n, limit: 0xffff_ffff, attr: 0xc09b });
  for (const s of [Seg.ES, Seg.SS, Seg.DS])
    v.setSegment(s, { selector: 16, base: 0n, limit: 0xffff_ffff, attr: 0xc093 });
  v.onChanged?.();
  return { core, v, mem };
}
/** Runs instructions one after the other; the vector of the first exception, or -1. */
function run(m: ReturnType<typeof machine>, ...instructions: number[][]): number {
  m.mem.copyIn(CODE, Uint8Array.from(instructions.flat()));
  m.v.rip = BigInt(CODE);
  const exit = m.core.run(m.v, instructions.length);
  return exit.code === ExitCode.Exception ? exit.info0 : -1;
}
const at = (opcode: number[], digit: number, address = AREA): number[] => [
  ...opcode,
  (digit << 3) | 5,
  address & 255,
  (address >> 8) & 255,
  0,
  0,
];

const FNINIT = [0xdb, 0xe3];
const FLD1 = [0xd9, 0xe8];
const FLDZ = [0xd9, 0xee];
const FLDPI = [0xd9, 0xeb];
const FDIVP = [0xde, 0xf9];
const FWAIT = [0x9b];
const ADDPS = [0x0f, 0x58, 0xc1];
const PADDB_MMX = [0x0f, 0xfc, 0xc1];
const EMMS = [0x0f, 0x77];

describe('availability', () => {
  test.each([
    ['x87 with TS', CR0 | 8, CR4, FLD1, 7],
    ['x87 with EM', CR0 | 4, CR4, FLD1, 7],
    ['FWAIT with TS and MP', CR0 | 8, CR4, FWAIT, 7],
    ['FWAIT with TS alone', (CR0 & ~2) | 8, CR4, FWAIT, -1],
    ['MMX with EM', CR0 | 4, CR4, PADDB_MMX, 6],
    ['MMX with TS', CR0 | 8, CR4, PADDB_MMX, 7],
    ['SSE without OSFXSR', CR0, CR4 & ~0x200, ADDPS, 6],
    ['SSE with EM', CR0 | 4, CR4, ADDPS, 6],
    ['SSE with TS', CR0 | 8, CR4, ADDPS, 7],
    ['SSE', CR0, CR4, ADDPS, -1],
  ])('%s', (_name, cr0, cr4, instruction, vector) => {
    expect(run(machine(cr0, cr4), instruction)).toBe(vector);
  });
});

describe('x87 exceptions', () => {
  const unmasked = at([0xd9], 5, AREA); // FLDCW
  const divide = (cr0: number, ...rest: number[][]): { vector: number; m: ReturnType<typeof machine> } => {
    const m = machine(cr0);
    m.mem.view.setUint16(0x1000_0000 + AREA, 0x37b, true); // zero-divide unmasked
    return { vector: run(m, FNINIT, unmasked, FLD1, FLDZ, FDIVP, ...rest), m };
  };
  test('wait for the next waiting instruction', () => {
    expect(divide(CR0).vector).toBe(-1);
    expect(divide(CR0, FWAIT).vector).toBe(16);
    expect(divide(CR0, FLD1).vector).toBe(16);
    expect(divide(CR0, [0xdf, 0xe0]).m.v.regLo(0) & 0x80bf).toBe(0x8084); // FNSTSW AX: B, ES, ZE
  });
  test('are not signalled with CR0.NE clear', () => {
    expect(divide(CR0 & ~0x20, FWAIT).vector).toBe(-1);
  });
  test('are forgotten by FNCLEX', () => {
    expect(divide(CR0, [0xdb, 0xe2], FWAIT).vector).toBe(-1);
  });
});

test('FXSAVE and FXRSTOR keep everything', () => {
  const m = machine();
  for (let n = 0; n < 8; n++) m.v.set64(F.xmm + n * 16, 0x1122_3344_5566_7700n + BigInt(n));
  expect(run(m, FNINIT, FLD1, FLDPI, at([0x0f, 0xae], 0))).toBe(-1);
  const before = m.v.saveState();
  const area = new DataView(m.mem.copyOut(AREA, 512).buffer);
  expect(area.getUint16(0, true)).toBe(0x37f);
  expect(area.getUint16(2, true)).toBe(6 << 11);
  expect(area.getUint8(4)).toBe(0xc0);
  expect(area.getUint16(6, true)).toBe(0x1eb); // FLDPI: D9 EB
  expect(area.getUint32(8, true)).toBe(CODE + 4);
  expect(area.getUint16(12, true)).toBe(8);
  expect(area.getUint32(28, true)).toBe(0xffff);
  expect(area.getBigUint64(32, true)).toBe(0xc90f_daa2_2168_c235n);
  expect(area.getUint16(40, true)).toBe(0x4000);
  expect(area.getBigUint64(160 + 16, true)).toBe(0x1122_3344_5566_7701n);
  expect(run(m, FNINIT, FLDZ, [0x0f, 0x57, 0xc0], at([0x0f, 0xae], 1))).toBe(-1);
  const after = m.v.saveState();
  expect(after.xmm).toEqual(before.xmm);
  expect(after.fpr).toEqual(before.fpr);
  for (const f of ['fpTop', 'fpTags', 'fpStatus', 'fpControl', 'fpIp', 'fpOpcode', 'mxcsr'])
    expect(after.fields[f], f).toBe(before.fields[f]);
});

test('FXSAVE wants 16-byte alignment, and FXRSTOR no reserved bit in MXCSR', () => {
  const m = machine();
  expect(run(m, at([0x0f, 0xae], 0, AREA + 8))).toBe(13);
  expect(run(m, at([0x0f, 0xae], 0))).toBe(-1);
  m.mem.write32(AREA + 24, 0x1_0000);
  expect(run(m, at([0x0f, 0xae], 1))).toBe(13);
});

test('FNSAVE stores registers in stack order and initializes; FRSTOR brings them back', () => {
  const m = machine();
  expect(run(m, FNINIT, FLD1, FLDPI, at([0xdd], 6))).toBe(-1);
  const area = new DataView(m.mem.copyOut(AREA, 108).buffer);
  expect(area.getUint32(0, true)).toBe(0xffff_037f);
  expect(area.getUint32(4, true)).toBe(0xffff_3000);
  expect(area.getUint32(8, true)).toBe(0xffff_0fff); // R7 and R6 valid
  expect(area.getBigUint64(28, true)).toBe(0xc90f_daa2_2168_c235n);
  expect(area.getBigUint64(38, true)).toBe(1n << 63n);
  expect(m.v.get32(F.fpTags)).toBe(0);
  expect(run(m, at([0xdd], 4))).toBe(-1);
  expect(m.v.get32(F.fpTop)).toBe(6);
  expect(m.v.get32(F.fpTags)).toBe(0xc0);
});

test('MMX takes the x87 registers, EMMS gives them back', () => {
  const m = machine();
  expect(run(m, FNINIT, FLD1, PADDB_MMX)).toBe(-1);
  expect(m.v.get32(F.fpTags)).toBe(0xff);
  expect(m.v.get32(F.fpTop)).toBe(0);
  expect(m.v.get32(F.fpr + 8)).toBe(0xffff);
  expect(run(m, EMMS)).toBe(-1);
  expect(m.v.get32(F.fpTags)).toBe(0);
});

test('an unmasked SSE exception raises #XM, or #UD if the system does not know it, and changes MXCSR only', () => {
  for (const [cr4, vector] of [
    [CR4, 19],
    [CR4 & ~0x400, 6],
  ] as const) {
    const m = machine(CR0, cr4);
    m.v.set32(F.mxcsr, 0x1d80); // zero-divide unmasked
    m.v.set64(F.xmm, 0x3f80_0000n);
    m.v.set64(F.xmm + 16, 0n);
    expect(run(m, [0xf3, 0x0f, 0x5e, 0xc1])).toBe(vector); // DIVSS
    expect(m.v.get64(F.xmm)).toBe(0x3f80_0000n);
    expect(m.v.get32(F.mxcsr)).toBe(0x1d84);
  }
});
