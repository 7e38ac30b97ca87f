// Whether an HVM vCPU executes 64-bit code: decides the hypercall ABI.

import { F, Seg, SegAttr } from '../../machine/cpu/layout.ts';
import { Efer } from '../abi/constants.ts';
import type { GuestVcpu } from '../vcpu.ts';

export function isLongMode(v: GuestVcpu): boolean {
  return (v.cpu.u32(F.efer) & Efer.LMA) !== 0 && (v.cpu.segAttr(Seg.CS) & SegAttr.L) !== 0;
}
