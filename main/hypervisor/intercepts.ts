// What leaves the core for the hypervisor, per kind of guest: all that separates PV from HVM inside the CPU.

import type { Vcpu } from '../machine/cpu/vcpu.ts';
import { F, Intercept } from '../machine/cpu/layout.ts';

/** PV: every exception, every way into a kernel, and CPUID. Privileged instructions fault because the guest is not in ring 0. */
export function interceptPv(vcpu: Vcpu): void {
  vcpu.set32(F.interceptExceptions, 0xffff_ffff);
  vcpu.set32(F.intercepts, Intercept.Cpuid | Intercept.Syscall | Intercept.SoftInt | Intercept.Vmcall);
  vcpu.set32(F.nested, 0);
}

/** HVM: the guest has its own tables; hypercalls and CPUID leave, and physical addresses go through the second level. */
export function interceptHvm(vcpu: Vcpu): void {
  vcpu.set32(F.interceptExceptions, 0);
  vcpu.set32(F.intercepts, Intercept.Cpuid | Intercept.Vmcall);
  vcpu.set32(F.nested, 1);
}
