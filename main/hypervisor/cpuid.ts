// What a guest reads from CPUID: the machine's own answers, less what its kind may not use, plus the hypervisor's leaves
// at 0x40000000 (arch-x86/cpuid.h).

import { cpuidLeaf, DEFAULT_CPUID, FEATURE_EDX } from '../machine/cpu/system/cpuid-policy.ts';
import { timeScale } from './time/pv-clock.ts';
import type { GuestVcpu } from './vcpu.ts';

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** The Xen release whose interface is spoken: 4.17, the one whose public headers decide. */
export const XEN_MAJOR = 4;
export const XEN_MINOR = 17;

const HYPERVISOR_PRESENT = 0x8000_0000;
/** Leaf 1 EDX bits that a PV guest does not see: it has no page-size extensions, global pages, MTRRs or machine check. */
const PV_HIDDEN_EDX =
  FEATURE_EDX.PSE |
  FEATURE_EDX.PGE |
  FEATURE_EDX.MTRR |
  FEATURE_EDX.PSE36 |
  FEATURE_EDX.MCE |
  FEATURE_EDX.MCA |
  FEATURE_EDX.SEP;
const EXT_EDX_RDTSCP = 1 << 27;
const EXT_EDX_1GB = 1 << 26;
const EXT_EDX_LM = 1 << 29;
const EXT_EDX_SYSCALL = 1 << 11;

/** Answers do not change while a vCPU lives, and some guests ask millions of times (as a serialising instruction). */
const answers = new WeakMap<GuestVcpu, Map<number, CpuidResult>>();

export function guestCpuid(v: GuestVcpu, leaf: number, subleaf: number): CpuidResult {
  let known = answers.get(v);
  if (!known) answers.set(v, (known = new Map()));
  // Subleaves are small numbers wherever they matter; others have one answer per leaf anyway.
  const key = leaf * 64 + Math.min(subleaf, 63);
  let r = known.get(key);
  if (!r) known.set(key, (r = compute(v, leaf, Math.min(subleaf, 63))));
  return r;
}

function compute(v: GuestVcpu, leaf: number, subleaf: number): CpuidResult {
  if (leaf >= 0x4000_0000 && leaf < 0x4000_0100) return xenLeaf(v, leaf - 0x4000_0000, subleaf);
  const [eax, ebx, ecx, edx] = cpuidLeaf(DEFAULT_CPUID, leaf, subleaf);
  const r = { eax, ebx, ecx, edx };
  const pv = v.domain.isPv;
  if (leaf === 1) {
    r.ebx = ((ebx & 0x00ff_ffff) | ((v.id * 2) << 24)) >>> 0;
    r.ecx = (ecx | HYPERVISOR_PRESENT) >>> 0;
    if (pv) r.edx &= ~PV_HIDDEN_EDX;
  } else if (leaf === 7 && subleaf === 0) {
    // FSGSBASE needs CR4, which stays the hypervisor's for PV guests.
    if (pv) r.ebx &= ~1;
  } else if (leaf === 0x8000_0001) {
    if (pv) r.edx &= ~(EXT_EDX_1GB | EXT_EDX_RDTSCP);
    if (v.domain.is32) r.edx &= ~(EXT_EDX_LM | EXT_EDX_SYSCALL);
  } else if (leaf === 4) r.eax = (eax & 0x3fff) >>> 0;
  r.edx >>>= 0;
  r.ebx >>>= 0;
  return r;
}

function xenLeaf(v: GuestVcpu, leaf: number, subleaf: number): CpuidResult {
  const none = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const khz = v.domain.host.clockMHz * 1000;
  switch (leaf) {
    case 0: // "XenVMMXenVMM"
      return { eax: 0x4000_0000 + (v.domain.isPv ? 5 : 4), ebx: 0x566e_6558, ecx: 0x6558_4d4d, edx: 0x4d4d_566e };
    case 1:
      return { ...none, eax: (XEN_MAJOR << 16) | XEN_MINOR };
    case 2: // one hypercall page, through MSR 0x40000000; MMU_PT_UPDATE_PRESERVE_AD for PV
      return { eax: 1, ebx: 0x4000_0000, ecx: v.domain.isPv ? 1 : 0, edx: 0 };
    case 3: {
      if (subleaf === 0) return { eax: 2, ebx: 0, ecx: khz, edx: 0 };
      const { mul, shift } = timeScale(khz * 1000);
      if (subleaf === 1) return { eax: 0, ebx: 0, ecx: mul, edx: shift >>> 0 };
      return subleaf === 2 ? { ...none, eax: khz } : none;
    }
    case 4:
      // vCPU id and domain id are given; the APIC and x2APIC are not accelerated.
      return v.domain.isPv ? none : { eax: (1 << 3) | (1 << 4), ebx: v.id, ecx: v.domain.domid, edx: 0 };
    case 5:
      return v.domain.isPv && subleaf === 0 ? { ...none, ebx: 32 } : none;
    default:
      return none;
  }
}
