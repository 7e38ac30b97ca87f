// A vCPU's registers by name, in the width of its mode, with what they say in words.

import type { RegisterValue } from '../../../shared/inspection-service.ts';
import { F, Seg, SegAttr } from '../../machine/cpu/layout.ts';
import type { Vcpu } from '../../machine/cpu/vcpu.ts';

const NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];
const EFLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0, 'CF'],
  [2, 'PF'],
  [4, 'AF'],
  [6, 'ZF'],
  [7, 'SF'],
  [8, 'TF'],
  [9, 'IF'],
  [10, 'DF'],
  [11, 'OF'],
  [14, 'NT'],
  [16, 'RF'],
  [17, 'VM'],
  [18, 'AC'],
  [19, 'VIF'],
  [20, 'VIP'],
  [21, 'ID'],
];
const CR0 = { PE: 0, MP: 1, EM: 2, TS: 3, ET: 4, NE: 5, WP: 16, AM: 18, NW: 29, CD: 30, PG: 31 };
const CR4 = {
  VME: 0,
  PVI: 1,
  TSD: 2,
  DE: 3,
  PSE: 4,
  PAE: 5,
  MCE: 6,
  PGE: 7,
  PCE: 8,
  OSFXSR: 9,
  OSXMMEXCPT: 10,
  UMIP: 11,
  FSGSBASE: 16,
  OSXSAVE: 18,
  SMEP: 20,
  SMAP: 21,
};
const EFER = { SCE: 0, LME: 8, LMA: 10, NXE: 11 };

const hex = (value: bigint | number, bits: number): string =>
  `0x${BigInt.asUintN(bits, BigInt(value))
    .toString(16)
    .padStart(bits / 4, '0')}`;
const bitNames = (value: number, bits: Record<string, number>): string =>
  Object.entries(bits)
    .filter(([, bit]) => (value >>> bit) & 1)
    .map(([name]) => name)
    .join(' ');

export type CodeWidth = 16 | 32 | 64;

/** Width of the code that a vCPU runs: 64 in 64-bit mode, else by CS.D. */
export function codeWidth(cpu: Vcpu): CodeWidth {
  const attr = cpu.get32(F.segAttr + Seg.CS * 4);
  if (cpu.get32(F.efer) & 0x400 && attr & SegAttr.L) return 64;
  return attr & SegAttr.DB ? 32 : 16;
}

/** Names of the flags set in EFLAGS, and the I/O privilege level. */
function flagNames(flags: number): string {
  const set = EFLAGS.filter(([bit]) => (flags >>> bit) & 1).map(([, name]) => name);
  const iopl = (flags >>> 12) & 3;
  return [...set, ...(iopl ? [`IOPL ${iopl}`] : [])].join(' ');
}

function segmentNote(cpu: Vcpu, n: number): string {
  const { base, limit, attr } = cpu.segment(n);
  if (attr & SegAttr.Unusable) return 'unusable';
  const what = !(attr & SegAttr.NotSystem)
    ? 'system'
    : attr & SegAttr.Code
      ? `${attr & SegAttr.L ? 64 : attr & SegAttr.DB ? 32 : 16}-bit code`
      : 'data';
  return `base 0x${base.toString(16)} limit 0x${limit.toString(16)} ${what} DPL ${(attr >>> SegAttr.DplShift) & 3}${attr & SegAttr.Present ? '' : ' not present'}`;
}

/** @param debug DR0 to DR7 as the guest sees them, where that is not what the processor holds */
export function registerValues(cpu: Vcpu, debug: BigUint64Array | null): RegisterValue[] {
  const wide = codeWidth(cpu) === 64;
  const bits = wide ? 64 : 32;
  const values: RegisterValue[] = [];
  const add = (group: RegisterValue['group'], name: string, value: bigint | number, size: number, note = ''): void =>
    void values.push({ name, value: hex(value, size), group, note });
  for (let n = 0; n < (wide ? 16 : 8); n++)
    add('general', n < 8 ? `${wide ? 'r' : 'e'}${NAMES[n]!}`.toUpperCase() : `R${n}`, cpu.getReg(n), bits);
  add('general', wide ? 'RIP' : 'EIP', cpu.rip, bits);
  add('general', wide ? 'RFLAGS' : 'EFLAGS', cpu.rflags, bits, flagNames(cpu.rflags));
  SEGMENTS.forEach((name, n) => add('segment', name, cpu.segment(n).selector, 16, segmentNote(cpu, n)));
  for (const [name, base, limit] of [
    ['GDTR', F.gdtBase, F.gdtLimit],
    ['IDTR', F.idtBase, F.idtLimit],
  ] as const)
    add('segment', name, cpu.get64(base), bits, `limit 0x${cpu.get32(limit).toString(16)}`);
  add('control', 'CR0', cpu.get32(F.cr0), bits, bitNames(cpu.get32(F.cr0), CR0));
  add('control', 'CR2', cpu.get64(F.cr2), bits, 'address of the last page fault');
  add('control', 'CR3', cpu.get64(F.cr3), bits, 'page tables');
  add('control', 'CR4', cpu.get32(F.cr4), bits, bitNames(cpu.get32(F.cr4), CR4));
  if (wide) add('control', 'CR8', cpu.get32(F.cr8), 64, 'task priority');
  add('control', 'EFER', cpu.get32(F.efer), 64, bitNames(cpu.get32(F.efer), EFER));
  for (const n of [0, 1, 2, 3, 6, 7]) add('debug', `DR${n}`, debug ? debug[n]! : cpu.get64(F.dr + n * 8), bits);
  const top = cpu.get32(F.fpTop);
  for (let n = 0; n < 8; n++) {
    const physical = (top + n) & 7;
    const value = (BigInt(cpu.get32(F.fpr + physical * 16 + 8) & 0xffff) << 64n) | cpu.get64(F.fpr + physical * 16);
    add('x87', `ST${n}`, value, 80, (cpu.get32(F.fpTags) >>> physical) & 1 ? '' : 'empty');
  }
  add('x87', 'FCW', cpu.get32(F.fpControl), 16);
  add('x87', 'FSW', (cpu.get32(F.fpStatus) & ~0x3800) | (top << 11), 16);
  for (let n = 0; n < (wide ? 16 : 8); n++)
    add('sse', `XMM${n}`, (cpu.get64(F.xmm + n * 16 + 8) << 64n) | cpu.get64(F.xmm + n * 16), 128);
  add('sse', 'MXCSR', cpu.get32(F.mxcsr), 32);
  for (const [name, field] of [
    ['STAR', F.star],
    ['LSTAR', F.lstar],
    ['CSTAR', F.cstar],
    ['SFMASK', F.sfmask],
    ['KERNEL_GS_BASE', F.kernelGsBase],
    ['SYSENTER_CS', F.sysenterCs],
    ['SYSENTER_ESP', F.sysenterEsp],
    ['SYSENTER_EIP', F.sysenterEip],
    ['PAT', F.pat],
    ['TSC_AUX', F.tscAux],
    ['APIC_BASE', F.apicBase],
    ['MISC_ENABLE', F.miscEnable],
  ] as const)
    add('msr', name, cpu.get64(field), 64);
  return values;
}
