// A vCPU's floating-point state as the 512 bytes of FXSAVE (SDM vol. 1, 10.5.1), which both kinds of vCPU context carry.
// The form with 64-bit instruction and data pointers, as 64-bit FXSAVE writes it.

import { F } from '../../machine/cpu/layout.ts';
import { MXCSR_MASK } from '../../machine/cpu/fpu/registers.ts';
import type { CpuView } from '../../hypervisor/cpu-view.ts';

export const FXSAVE_BYTES = 512;
/** Exception flags, stack fault and condition bits of the status word: what F.fpStatus holds. */
const STATUS_KEPT = 0x477f;
const CONTROL_BITS = 0x1f3f;

export function writeFxsave(cpu: CpuView, out: DataView, at: number): void {
  const top = cpu.u32(F.fpTop) & 7;
  const control = (cpu.u32(F.fpControl) & CONTROL_BITS) | 0x40;
  const flags = cpu.u32(F.fpStatus);
  const pending = (flags & ~control & 0x3f) !== 0;
  out.setUint16(at, control, true);
  out.setUint16(at + 2, flags | (top << 11) | (pending ? 0x8080 : 0), true);
  out.setUint8(at + 4, cpu.u32(F.fpTags) & 0xff);
  out.setUint16(at + 6, cpu.u32(F.fpOpcode), true);
  out.setBigUint64(at + 8, cpu.u64(F.fpIp), true);
  out.setBigUint64(at + 16, cpu.u64(F.fpDp), true);
  out.setUint32(at + 24, cpu.u32(F.mxcsr), true);
  out.setUint32(at + 28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    const physical = F.fpr + ((top + i) & 7) * 16;
    out.setBigUint64(at + 32 + i * 16, cpu.u64(physical), true);
    out.setUint16(at + 40 + i * 16, cpu.u32(physical + 8), true);
  }
  for (let i = 0; i < 32; i++) out.setBigUint64(at + 160 + i * 8, cpu.u64(F.xmm + i * 8), true);
}

export function readFxsave(cpu: CpuView, from: DataView, at: number): void {
  const status = from.getUint16(at + 2, true);
  const top = (status >>> 11) & 7;
  cpu.setU32(F.fpControl, (from.getUint16(at, true) & CONTROL_BITS) | 0x40);
  cpu.setU32(F.fpStatus, status & STATUS_KEPT);
  cpu.setU32(F.fpTop, top);
  cpu.setU32(F.fpTags, from.getUint8(at + 4));
  cpu.setU32(F.fpOpcode, from.getUint16(at + 6, true) & 0x7ff);
  cpu.setU64(F.fpIp, from.getBigUint64(at + 8, true));
  cpu.setU64(F.fpDp, from.getBigUint64(at + 16, true));
  cpu.setU32(F.fpCs, 0);
  cpu.setU32(F.fpDs, 0);
  cpu.setU32(F.mxcsr, from.getUint32(at + 24, true) & MXCSR_MASK);
  for (let i = 0; i < 8; i++) {
    const physical = F.fpr + ((top + i) & 7) * 16;
    cpu.setU64(physical, from.getBigUint64(at + 32 + i * 16, true));
    cpu.setU64(physical + 8, BigInt(from.getUint16(at + 40 + i * 16, true)));
  }
  for (let i = 0; i < 32; i++) cpu.setU64(F.xmm + i * 8, from.getBigUint64(at + 160 + i * 8, true));
}
