// What the system side of the CPU needs from the rest of the machine. Tests supply small versions of these.

import type { CpuidPolicy } from './cpuid-policy.ts';

/** The part of HostMemory used here. The views never move: the WebAssembly memory does not grow. */
export interface SystemMemory {
  readonly ramBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  /** Writes to machine-physical RAM that also tell the decoder and the dirty log. Device frames are never passed here. */
  write8(maddr: number, value: number): void;
  write16(maddr: number, value: number): void;
  write32(maddr: number, value: number): void;
  /** Says that `length` bytes of RAM at `maddr` have been changed directly. */
  noteWrite(maddr: number, length: number): void;
}

/** What is not RAM, as the system side sees it (a part of Bus). Sizes are 1, 2 or 4 bytes. */
export interface SystemBus {
  ioRead(port: number, size: number): number;
  ioWrite(port: number, size: number, value: number): void;
  mmioRead(maddr: number, size: number): number;
  mmioWrite(maddr: number, size: number, value: number): void;
  readMsr(vcpuIndex: number, msr: number): { lo: number; hi: number } | null;
  writeMsr(vcpuIndex: number, msr: number, lo: number, hi: number): boolean;
}

export interface SystemContext {
  readonly mem: SystemMemory;
  readonly bus: SystemBus;
  /** EFLAGS with the lazy arithmetic flags worked out. */
  readEflags(): number;
  /** Sets the bits of EFLAGS named by `mask`, arithmetic ones included. */
  writeEflags(value: number, mask: number): void;
  /** Empties both TLBs; global pages stay unless `all`. */
  flushTlb(all: boolean): void;
  /** Forgets one linear page, global or not. */
  invlpg(lo: number, hi: number): void;
  /** Cycles of the host's clock so far: what the TSC counts before F.tscOffset. An integer below 2^53. */
  retiredNow(): number;
  /**
   * Second-level translation, asked only while F.nested != 0.
   * Takes a guest-physical page number; returns a machine frame number, or -1 if the access is not mapped.
   */
  nested?(gpaPage: number, write: boolean): number;
  /** Lets the running instruction take that many cycles more. */
  wait?(cycles: number): void;
  /** Called when IF went from 0 to 1: the run loop must look for interrupts after F.shadow has run out. */
  interruptsEnabled?(): void;
  /** The run loop must look at the state before the next instruction: F.pendingDebug, F.nmiPending or RF has been set. */
  boundary?(): void;
  /** The CPUID of the running vCPU. Default: DEFAULT_CPUID. */
  cpuidPolicy?(): CpuidPolicy;
}
