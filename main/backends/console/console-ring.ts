// The console ring's far end: takes what the guest printed, gives it what was typed.

import type { Domain } from '../../hypervisor/domain.ts';
import { frameAddress } from '../../hypervisor/memory/frames.ts';
import { PAGE } from '../../machine/cpu/layout.ts';

const IN_SIZE = 1024;
const OUT = 1024;
const OUT_SIZE = 2048;
const IN_CONS = 3072;
const IN_PROD = 3076;
const OUT_CONS = 3080;
const OUT_PROD = 3084;
/** Typed bytes that wait for a guest that does not read; more are dropped, as a terminal would. */
const MAX_WAITING = 64 * 1024;

export class ConsoleRing {
  private readonly d: Domain;
  private readonly mfn: number;
  private readonly notify: () => void;
  private readonly output: (bytes: Uint8Array) => void;
  private waiting: number[] = [];
  protocolErrors = 0;

  constructor(d: Domain, mfn: number, notify: () => void, output: (bytes: Uint8Array) => void) {
    this.d = d;
    this.mfn = mfn;
    this.notify = notify;
    this.output = output;
  }

  private get base(): number {
    return frameAddress(this.mfn);
  }
  private index(offset: number): number {
    return this.d.mem.view.getUint32(this.base + offset, true);
  }
  private setIndex(offset: number, value: number): void {
    this.d.mem.write32(this.mfn * PAGE + offset, value >>> 0);
  }

  /** The guest rang: take output, refill input. */
  service(): void {
    const prod = this.index(OUT_PROD);
    let cons = this.index(OUT_CONS);
    let count = (prod - cons) >>> 0;
    if (count > OUT_SIZE) {
      this.protocolErrors++;
      cons = (prod - OUT_SIZE) >>> 0;
      count = OUT_SIZE;
    }
    if (count) {
      const bytes = new Uint8Array(count);
      for (let i = 0; i < count; i++) bytes[i] = this.d.mem.u8[this.base + OUT + ((cons + i) & (OUT_SIZE - 1))];
      this.setIndex(OUT_CONS, prod);
      this.output(bytes);
    }
    const filled = this.fill();
    if (count || filled) this.notify();
  }

  /** Someone typed. */
  input(bytes: Uint8Array): void {
    for (const b of bytes) if (this.waiting.length < MAX_WAITING) this.waiting.push(b);
    if (this.fill()) this.notify();
  }

  private fill(): boolean {
    if (!this.waiting.length) return false;
    let prod = this.index(IN_PROD);
    const used = (prod - this.index(IN_CONS)) >>> 0;
    if (used > IN_SIZE) {
      this.protocolErrors++;
      return false;
    }
    const room = Math.min(IN_SIZE - used, this.waiting.length);
    for (let i = 0; i < room; i++) this.d.mem.write8(this.mfn * PAGE + ((prod + i) & (IN_SIZE - 1)), this.waiting[i]);
    this.waiting = this.waiting.slice(room);
    prod = (prod + room) >>> 0;
    this.setIndex(IN_PROD, prod);
    return room > 0;
  }
}
