// The I/O APIC: 24 input pins, each with a redirection entry that turns it into an interrupt message.
// Invariant: a level-triggered entry has at most one message outstanding (remote IRR), until its vector's EOI.
import { type IrqLine, type MmioDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import type { InterruptMessage } from '../local-apic/messages.ts';
import { IO_APIC_PINS, IO_APIC_VERSION, IoApicRegister, IoApicWindow, Redirection } from './registers.ts';
import type { IoApicState } from './state.ts';

export class IoApic implements MmioDevice, StatefulDevice<IoApicState> {
  readonly #send: (message: InterruptMessage) => void;
  readonly #low = new Uint32Array(IO_APIC_PINS).fill(Redirection.Masked);
  readonly #high = new Uint32Array(IO_APIC_PINS);
  #id = 0;
  #select = 0;
  #lines = 0;

  /** @param send puts a message on the interrupt bus */
  constructor(send: (message: InterruptMessage) => void) {
    this.#send = send;
  }

  /** Drives an input pin. `true` means asserted; polarity is the board's business. */
  setLine(pin: number, level: boolean): void {
    const bit = 1 << pin;
    const rising = level && (this.#lines & bit) === 0;
    this.#lines = level ? this.#lines | bit : this.#lines & ~bit;
    if ((this.#low[pin] & Redirection.Level) !== 0 ? level : rising) this.#service(pin);
  }

  line(pin: number): IrqLine {
    return { set: (level) => this.setLine(pin, level) };
  }

  /** A local APIC completed a level-triggered vector. Pins that are still asserted send again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      const low = this.#low[pin];
      if ((low & Redirection.VectorMask) !== vector || (low & Redirection.RemoteIrr) === 0) continue;
      this.#low[pin] = low & ~Redirection.RemoteIrr;
      if (this.#lines & (1 << pin)) this.#service(pin);
    }
  }

  mmioRead(offset: number): number {
    switch (offset & 0xff) {
      case IoApicWindow.Select:
        return this.#select;
      case IoApicWindow.Data:
        return this.#readRegister();
      default:
        return 0;
    }
  }

  mmioWrite(offset: number, _size: number, value: number): void {
    switch (offset & 0xff) {
      case IoApicWindow.Select:
        this.#select = value & 0xff;
        break;
      case IoApicWindow.Data:
        this.#writeRegister(value >>> 0);
        break;
    }
  }

  getState(): IoApicState {
    return {
      version: 1,
      id: this.#id,
      select: this.#select,
      lines: this.#lines,
      entries: Array.from(this.#low, (low, pin) => ({ low, high: this.#high[pin] })),
    };
  }

  setState(state: IoApicState): void {
    requireVersion('I/O APIC', state.version, 1);
    this.#id = state.id;
    this.#select = state.select;
    this.#lines = state.lines;
    state.entries.forEach((entry, pin) => {
      this.#low[pin] = entry.low;
      this.#high[pin] = entry.high;
    });
  }

  #readRegister(): number {
    const register = this.#select;
    if (register === IoApicRegister.Id || register === IoApicRegister.Arbitration) return (this.#id << 24) >>> 0;
    if (register === IoApicRegister.Version) return IO_APIC_VERSION;
    const pin = (register - IoApicRegister.Redirection) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return 0;
    return register & 1 ? this.#high[pin] : this.#low[pin];
  }

  #writeRegister(value: number): void {
    const register = this.#select;
    if (register === IoApicRegister.Id) {
      this.#id = (value >>> 24) & 15;
      return;
    }
    const pin = (register - IoApicRegister.Redirection) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if (register & 1) {
      this.#high[pin] = value & 0xff00_0000;
      return;
    }
    const keep = this.#low[pin] & (Redirection.RemoteIrr | Redirection.DeliveryStatus);
    let low = (value & Redirection.WritableLow) | keep;
    // Making an entry edge triggered clears its remote IRR, which kernels use as an EOI of last resort.
    if ((low & Redirection.Level) === 0) low &= ~Redirection.RemoteIrr;
    this.#low[pin] = low;
    if (low & Redirection.Level && this.#lines & (1 << pin)) this.#service(pin);
  }

  #service(pin: number): void {
    const low = this.#low[pin];
    if (low & Redirection.Masked) return;
    const level = (low & Redirection.Level) !== 0;
    if (level) {
      if (low & Redirection.RemoteIrr) return;
      this.#low[pin] = low | Redirection.RemoteIrr;
    }
    this.#send({
      destination: this.#high[pin] >>> 24,
      logical: (low & Redirection.Logical) !== 0,
      mode: (low >> Redirection.DeliveryShift) & 7,
      vector: low & Redirection.VectorMask,
      level,
    });
  }
}
