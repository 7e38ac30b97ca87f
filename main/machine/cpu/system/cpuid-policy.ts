// What CPUID says, as data. The default is an Intel Atom D510 (family 6, model 28, stepping 10: an in-order core without
// speculation, as this CPU is), with the features that are implemented here and without those that are not.
// A hypervisor gives each vCPU a policy of its own; what the policy hides, the CPU does not allow either (CR4, EFER).

import type { SystemContext } from './context.ts';
import { PHYSICAL_BITS } from './paging.ts';
import { Cr4, Efer } from './state.ts';

/** EAX, EBX, ECX, EDX of one leaf. */
export type CpuidLeaf = readonly [number, number, number, number];

export interface CpuidPolicy {
  /** Highest leaf of the basic and of the extended range. */
  readonly maxBasic: number;
  readonly maxExtended: number;
  /** Leaves by "leaf" or "leaf:subleaf", in hexadecimal without prefix. Absent leaves read as zero. */
  readonly leaves: Readonly<Record<string, CpuidLeaf>>;
}

/** Features of leaf 1, EDX. */
export const FEATURE_EDX = {
  FPU: 1 << 0,
  DE: 1 << 2,
  PSE: 1 << 3,
  TSC: 1 << 4,
  MSR: 1 << 5,
  PAE: 1 << 6,
  MCE: 1 << 7,
  CX8: 1 << 8,
  APIC: 1 << 9,
  SEP: 1 << 11,
  MTRR: 1 << 12,
  PGE: 1 << 13,
  MCA: 1 << 14,
  CMOV: 1 << 15,
  PAT: 1 << 16,
  PSE36: 1 << 17,
  CLFSH: 1 << 19,
  MMX: 1 << 23,
  FXSR: 1 << 24,
  SSE: 1 << 25,
  SSE2: 1 << 26,
} as const;

/** Features of leaf 1, ECX. */
export const FEATURE_ECX = { SSE3: 1 << 0, SSSE3: 1 << 9, CX16: 1 << 13, POPCNT: 1 << 23 } as const;
/** Features of leaf 7, EBX. */
export const FEATURE_7_EBX = { FSGSBASE: 1 << 0 } as const;
/** Features of leaf 0x80000001. */
export const FEATURE_EXT_EDX = {
  SYSCALL: 1 << 11,
  NX: 1 << 20,
  PAGE1GB: 1 << 26,
  RDTSCP: 1 << 27,
  LM: 1 << 29,
} as const;
export const FEATURE_EXT_ECX = { LAHF: 1 << 0 } as const;

const all = (features: Readonly<Record<string, number>>): number =>
  Object.values(features).reduce((sum, bit) => sum | bit, 0) >>> 0;

/** Four ASCII characters as a register. */
const text = (s: string): number =>
  (s.charCodeAt(0) | (s.charCodeAt(1) << 8) | (s.charCodeAt(2) << 16) | (s.charCodeAt(3) << 24)) >>> 0;

function brand(name: string): Record<string, CpuidLeaf> {
  const padded = name.padEnd(48, '\0');
  const leaves: Record<string, CpuidLeaf> = {};
  for (let leaf = 0; leaf < 3; leaf++) {
    const word = (n: number) => text(padded.slice(leaf * 16 + n * 4, leaf * 16 + n * 4 + 4));
    leaves[(0x8000_0002 + leaf).toString(16)] = [word(0), word(1), word(2), word(3)];
  }
  return leaves;
}

export const DEFAULT_CPUID: CpuidPolicy = {
  maxBasic: 7,
  maxExtended: 0x8000_0008,
  leaves: {
    '0': [7, text('Genu'), text('ntel'), text('ineI')],
    // EBX: CLFLUSH lines of 8 x 8 bytes, one logical processor; the APIC id is filled in when read
    '1': [0x0001_06ca, 0x0001_0800, all(FEATURE_ECX), all(FEATURE_EDX)],
    // Descriptors of an Atom: 24 KiB and 32 KiB first-level, 512 KiB second-level cache, 64-byte prefetch
    '2': [0x4fba_5901, 0x0e30_80c0, 0, 0],
    // Deterministic cache parameters: data 24 KiB/6-way, code 32 KiB/8-way, unified 512 KiB/8-way, lines of 64
    '4:0': [0x0000_0121, 0x0140_003f, 63, 1],
    '4:1': [0x0000_0122, 0x01c0_003f, 63, 1],
    '4:2': [0x0000_0143, 0x01c0_003f, 1023, 1],
    '7:0': [0, all(FEATURE_7_EBX), 0, 0],
    '80000000': [0x8000_0008, 0, 0, 0],
    '80000001': [0, 0, all(FEATURE_EXT_ECX), all(FEATURE_EXT_EDX)],
    ...brand('Intel(R) Atom(TM) CPU D510 (simulated)'),
    '80000006': [0, 0, (512 << 16) | (6 << 12) | 64, 0],
    // The TSC runs at a constant rate in every state (bit 8)
    '80000007': [0, 0, 0, 0x100],
    '80000008': [PHYSICAL_BITS | (48 << 8), 0, 0, 0],
  },
};

export function policyOf(ctx: SystemContext): CpuidPolicy {
  return ctx.cpuidPolicy?.() ?? DEFAULT_CPUID;
}

const NONE: CpuidLeaf = [0, 0, 0, 0];
/** Leaves whose answer depends on ECX. */
const SUBLEAVES = new Set([4, 7, 0xb, 0xd]);

/** A leaf as the policy has it. Leaves beyond the ranges answer as the highest basic leaf (SDM vol. 2, CPUID). */
export function cpuidLeaf(policy: CpuidPolicy, leaf: number, subleaf: number): CpuidLeaf {
  const extended = leaf >= 0x8000_0000;
  const known = extended ? leaf <= policy.maxExtended : leaf <= policy.maxBasic;
  if (!known && leaf >= 0x4000_0000 && leaf < 0x5000_0000) {
    return policy.leaves[leaf.toString(16)] ?? policy.leaves[`${leaf.toString(16)}:${subleaf.toString(16)}`] ?? NONE;
  }
  const wanted = known ? leaf : policy.maxBasic;
  const name = wanted.toString(16);
  return policy.leaves[SUBLEAVES.has(wanted) ? `${name}:${subleaf.toString(16)}` : name] ?? NONE;
}

/** CR4 bits that may be set under a policy. */
export function allowedCr4(policy: CpuidPolicy): number {
  const [, , , edx] = cpuidLeaf(policy, 1, 0);
  const [, ebx7] = policy.maxBasic >= 7 ? cpuidLeaf(policy, 7, 0) : NONE;
  let bits = Cr4.TSD | Cr4.PCE;
  if ((edx & FEATURE_EDX.DE) !== 0) bits |= Cr4.DE;
  if ((edx & FEATURE_EDX.PSE) !== 0) bits |= Cr4.PSE;
  if ((edx & FEATURE_EDX.PAE) !== 0) bits |= Cr4.PAE;
  if ((edx & FEATURE_EDX.MCE) !== 0) bits |= Cr4.MCE;
  if ((edx & FEATURE_EDX.PGE) !== 0) bits |= Cr4.PGE;
  if ((edx & FEATURE_EDX.FXSR) !== 0) bits |= Cr4.OSFXSR;
  if ((edx & FEATURE_EDX.SSE) !== 0) bits |= Cr4.OSXMMEXCPT;
  if ((ebx7 & FEATURE_7_EBX.FSGSBASE) !== 0) bits |= Cr4.FSGSBASE;
  return bits;
}

/** EFER bits that may be set under a policy. LMA is accepted and ignored. */
export function allowedEfer(policy: CpuidPolicy): number {
  const [, , , edx] = cpuidLeaf(policy, 0x8000_0001, 0);
  let bits: number = Efer.LMA;
  if ((edx & FEATURE_EXT_EDX.SYSCALL) !== 0) bits |= Efer.SCE;
  if ((edx & FEATURE_EXT_EDX.LM) !== 0) bits |= Efer.LME;
  if ((edx & FEATURE_EXT_EDX.NX) !== 0) bits |= Efer.NXE;
  return bits;
}
