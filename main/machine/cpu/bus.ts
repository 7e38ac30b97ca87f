// What the CPU core reaches that is not RAM. The platform (native machines) or a hypervisor supplies it.
// Sizes are 1, 2 or 4 bytes; an 8-byte access to a device arrives as two of 4, low half first.

export interface Bus {
  ioRead(port: number, size: number): number;
  ioWrite(port: number, size: number, value: number): void;
  mmioRead(maddr: number, size: number): number;
  mmioWrite(maddr: number, size: number, value: number): void;
  /** MSRs that the core does not have itself; null = #GP(0). */
  readMsr(vcpuIndex: number, msr: number): { lo: number; hi: number } | null;
  /** False = #GP(0). */
  writeMsr(vcpuIndex: number, msr: number, lo: number, hi: number): boolean;
  /** A maskable interrupt waits for this vCPU. */
  interruptPending(vcpuIndex: number): boolean;
  /** Takes it: returns its vector, or -1 if it went away. */
  acknowledgeInterrupt(vcpuIndex: number): number;
}

/** A bus with nothing on it: reads give all ones, writes vanish. */
export const EMPTY_BUS: Bus = {
  ioRead: (_port, size) => (size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1),
  ioWrite: () => {},
  mmioRead: (_maddr, size) => (size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1),
  mmioWrite: () => {},
  readMsr: () => null,
  writeMsr: () => false,
  interruptPending: () => false,
  acknowledgeInterrupt: () => -1,
};
