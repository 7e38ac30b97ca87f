// The 2-level event channel bitmap in shared_info: 1024 ports for 32-bit guests, 4096 for 64-bit ones
// (Xen common/event_2l.c; public/event_channel.h).

import type { Domain } from '../domain.ts';
import type { EventAbi } from './event-abi.ts';
import type { Port } from './port.ts';

export class TwoLevel implements EventAbi {
  private readonly d: Domain;

  constructor(d: Domain) {
    this.d = d;
  }

  get maxPorts(): number {
    return this.d.shinfo32 ? 1024 : 4096;
  }

  /** Byte address in host memory of the pending bitmap. */
  private get pending(): number {
    return this.d.sharedInfo + 2048;
  }
  private get mask(): number {
    return this.d.sharedInfo + (this.d.shinfo32 ? 2048 + 128 : 2048 + 512);
  }

  setPending(port: number, p: Port): void {
    const m = this.d.mem.u8;
    const byte = this.pending + (port >>> 3);
    const bit = 1 << (port & 7);
    const was = m[byte] & bit;
    if (!was) {
      m[byte] |= bit;
      if ((m[this.mask + (port >>> 3)] & bit) === 0) this.select(port, p);
      this.d.checkPollers(port);
    }
  }

  unmask(port: number, p: Port): void {
    const m = this.d.mem.u8;
    const byte = port >>> 3;
    const bit = 1 << (port & 7);
    if ((m[this.mask + byte] & bit) === 0) return;
    m[this.mask + byte] &= ~bit;
    if (m[this.pending + byte] & bit) this.select(port, p);
  }

  clearPending(port: number): void {
    this.d.mem.u8[this.pending + (port >>> 3)] &= ~(1 << (port & 7));
  }

  isPending(port: number): boolean {
    return (this.d.mem.u8[this.pending + (port >>> 3)] & (1 << (port & 7))) !== 0;
  }

  isMasked(port: number): boolean {
    return (this.d.mem.u8[this.mask + (port >>> 3)] & (1 << (port & 7))) !== 0;
  }

  setPriority(): number {
    return 0;
  }

  private select(port: number, p: Port): void {
    const v = this.d.vcpus[p.vcpu];
    const word = port >>> (this.d.shinfo32 ? 5 : 6);
    const byte = v.info + (this.d.shinfo32 ? 4 : 8) + (word >>> 3);
    const bit = 1 << (word & 7);
    const m = this.d.mem.u8;
    if ((m[byte] & bit) === 0) {
      v.noteInfoWrite();
      m[byte] |= bit;
      v.markEventsPending();
    }
  }
}
