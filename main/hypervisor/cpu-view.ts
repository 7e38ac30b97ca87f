// A vCPU's registers as the hypervisor sees them: named accessors over the machine's state block (machine/cpu/layout.ts).
// Works whether the vCPU is the one loaded in the core or not, because `base` is asked for on every access.

import { F, GPR, Seg } from '../machine/cpu/layout.ts';
import type { HostMemory } from '../machine/cpu/host-memory.ts';
import type { Vcpu } from '../machine/cpu/vcpu.ts';

/** General register numbers in encoding order. */
export const Reg = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

export { Seg };

export class CpuView {
  readonly mem: HostMemory;
  readonly vcpu: Vcpu;

  constructor(mem: HostMemory, vcpu: Vcpu) {
    this.mem = mem;
    this.vcpu = vcpu;
  }

  private at(offset: number): number {
    return this.vcpu.base + offset;
  }

  u32(offset: number): number {
    return this.mem.u32[this.at(offset) >>> 2];
  }
  setU32(offset: number, value: number): void {
    this.mem.u32[this.at(offset) >>> 2] = value;
  }
  u64(offset: number): bigint {
    return this.mem.u64[this.at(offset) >>> 3];
  }
  setU64(offset: number, value: bigint): void {
    this.mem.u64[this.at(offset) >>> 3] = value;
  }

  reg(i: number): bigint {
    return this.u64(GPR + i * 8);
  }
  setReg(i: number, value: bigint): void {
    this.setU64(GPR + i * 8, value);
  }
  regLo(i: number): number {
    return this.u32(GPR + i * 8);
  }
  regHi(i: number): number {
    return this.u32(GPR + i * 8 + 4);
  }
  setReg32(i: number, value: number): void {
    this.setU32(GPR + i * 8, value);
    this.setU32(GPR + i * 8 + 4, 0);
  }
  /** A signed result in a return register: sign-extended, as a 64-bit guest reads a long. */
  setResult(value: number): void {
    this.setU32(GPR, value | 0);
    this.setU32(GPR + 4, value < 0 ? 0xffffffff : Math.floor(value / 0x1_0000_0000));
  }

  get rip(): bigint {
    return this.u64(F.rip);
  }
  set rip(value: bigint) {
    this.setU64(F.rip, value);
  }
  /** Low half of RIP. */
  get regLoRip(): number {
    return this.u32(F.rip);
  }
  get rsp(): bigint {
    return this.reg(Reg.RSP);
  }
  set rsp(value: bigint) {
    this.setReg(Reg.RSP, value);
  }
  get rflags(): number {
    return this.vcpu.rflags;
  }
  set rflags(value: number) {
    this.vcpu.rflags = value;
  }
  get cpl(): number {
    return this.u32(F.cpl);
  }
  selector(seg: number): number {
    return this.u32(F.selector + seg * 4);
  }
  segBase(seg: number): bigint {
    return this.u64(F.segBase + seg * 8);
  }
  setSegBase(seg: number, value: bigint): void {
    this.setU64(F.segBase + seg * 8, value);
  }
  /** Loads a segment register's visible and hidden parts. */
  setSegment(seg: number, selector: number, base: bigint, limit: number, attr: number): void {
    this.setU32(F.selector + seg * 4, selector);
    this.setU32(F.segAttr + seg * 4, attr);
    this.setU32(F.segLimit + seg * 4, limit);
    this.setU64(F.segBase + seg * 8, base);
  }
  segAttr(seg: number): number {
    return this.u32(F.segAttr + seg * 4);
  }
  segLimit(seg: number): number {
    return this.u32(F.segLimit + seg * 4);
  }
}
