// The machine's bus as hypervisor guests see it: whatever the vCPU that runs now may reach. PV guests have nothing behind
// ports or MMIO; an HVM guest has its local APIC and the hypervisor's MSRs.

import type { Bus } from '../machine/cpu/bus.ts';
import { SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, writeSleepControl } from './hvm/sleep.ts';
import type { Host } from './host.ts';
import { hvmMmioRead, hvmMmioWrite, hvmReadMsr, hvmWriteMsr } from './hvm/devices.ts';

export class GuestBus implements Bus {
  private readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  ioRead(port: number, size: number): number {
    const v = this.host.loaded;
    v?.domain.count(v.domain.counters.exits, 'io');
    if ((port === SLEEP_CONTROL_PORT || port === SLEEP_STATUS_PORT) && v?.hvm) return 0;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
  }

  ioWrite(port: number, size: number, value: number): void {
    const v = this.host.loaded;
    if (!v) return;
    v.domain.count(v.domain.counters.exits, 'io');
    if (port === SLEEP_CONTROL_PORT && v.hvm) writeSleepControl(v, value);
    // XEN_HVM_DEBUGCONS_IOPORT
    if (port === 0xe9 && size === 1) v.domain.onConsoleIo?.(Uint8Array.of(value));
  }

  mmioRead(maddr: number, size: number): number {
    const v = this.host.loaded;
    return v?.hvm ? hvmMmioRead(v, maddr, size) : 0xffff_ffff;
  }

  mmioWrite(maddr: number, size: number, value: number): void {
    const v = this.host.loaded;
    if (v?.hvm) hvmMmioWrite(v, maddr, size, value);
  }

  readMsr(_index: number, msr: number): { lo: number; hi: number } | null {
    const v = this.host.loaded;
    return v?.hvm ? hvmReadMsr(v, msr) : null;
  }

  writeMsr(_index: number, msr: number, lo: number, hi: number): boolean {
    const v = this.host.loaded;
    return v?.hvm ? hvmWriteMsr(v, msr, lo, hi) : false;
  }

  interruptPending(): boolean {
    return this.host.loaded?.hvm?.interruptPending() ?? false;
  }

  acknowledgeInterrupt(): number {
    return this.host.loaded!.hvm!.acknowledge();
  }
}
