// A 16550A serial port. Bytes leave at once (the transmitter is always empty again when the write has happened) and
// the outside waits while the receive FIFO is full, as with hardware flow control, so that no byte is ever lost.
import type { DeviceClock, ScheduledEvent } from '../../clock.ts';
import { NS_PER_SECOND } from '../../clock.ts';
import { type IrqLine, type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { BAUD_BASE, FIFO_BYTES, Fcr, Ier, Iir, Lcr, Lsr, Mcr, Msr, UartRegister, triggerLevels } from './registers.ts';
import type { UartState } from './state.ts';

/** Modem lines of a terminal that is there and ready. */
const TERMINAL_READY = Msr.Cts | Msr.Dsr | Msr.Dcd;

export class Uart16550 implements PortDevice, StatefulDevice<UartState> {
  readonly ports: readonly (readonly [number, number])[];
  readonly #base: number;
  readonly #clock: DeviceClock;
  readonly #irq: IrqLine;
  readonly #transmit: (byte: number) => void;

  #ier = 0;
  #lcr = 0;
  #mcr = 0;
  #msr: number = TERMINAL_READY;
  #scratch = 0;
  #divisor = 12; // 9600 baud
  #fifoEnabled = false;
  #trigger = 0;
  #overrun = false;
  #transmitPending = false;
  #timeoutPending = false;
  #timeout: ScheduledEvent | null = null;
  #fifo: number[] = [];
  #waiting: number[] = [];

  /**
   * @param base first of eight ports (COM1: 0x3f8)
   * @param transmit receives every byte the guest sends
   */
  constructor(base: number, clock: DeviceClock, irq: IrqLine, transmit: (byte: number) => void) {
    this.#base = base;
    this.#clock = clock;
    this.#irq = irq;
    this.#transmit = transmit;
    this.ports = [[base, 8]];
  }

  /** Bytes arrive from the outside. They enter the FIFO as it has room. */
  receive(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#waiting.push(byte & 0xff);
    this.#refill();
    this.#update();
  }

  /** How many received bytes the guest has not read yet. */
  get unread(): number {
    return this.#fifo.length + this.#waiting.length;
  }

  portRead(port: number): number {
    switch (port - this.#base) {
      case UartRegister.Data: {
        if (this.#lcr & Lcr.DivisorLatch) return this.#divisor & 0xff;
        const byte = this.#fifo.shift() ?? 0;
        this.#timeoutPending = false;
        if ((this.#mcr & Mcr.Loopback) === 0) this.#refill();
        this.#armTimeout();
        this.#update();
        return byte;
      }
      case UartRegister.Ier:
        return this.#lcr & Lcr.DivisorLatch ? this.#divisor >> 8 : this.#ier;
      case UartRegister.IirFcr: {
        const cause = this.#cause();
        if (cause === Iir.TransmitterEmpty) {
          this.#transmitPending = false;
          this.#update();
        }
        return cause | (this.#fifoEnabled ? Iir.FifoEnabled : 0);
      }
      case UartRegister.Lcr:
        return this.#lcr;
      case UartRegister.Mcr:
        return this.#mcr;
      case UartRegister.Lsr: {
        const status =
          Lsr.TransmitHoldingEmpty |
          Lsr.TransmitterEmpty |
          (this.#fifo.length > 0 ? Lsr.DataReady : 0) |
          (this.#overrun ? Lsr.Overrun : 0);
        this.#overrun = false;
        this.#update();
        return status;
      }
      case UartRegister.Msr: {
        if (this.#mcr & Mcr.Loopback) return this.#loopbackModemLines() | (this.#msr & 0x0f);
        const status = this.#msr;
        this.#msr &= 0xf0;
        this.#update();
        return status;
      }
      default:
        return this.#scratch;
    }
  }

  portWrite(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (port - this.#base) {
      case UartRegister.Data:
        if (this.#lcr & Lcr.DivisorLatch) this.#divisor = (this.#divisor & 0xff00) | byte;
        else this.#send(byte);
        break;
      case UartRegister.Ier:
        if (this.#lcr & Lcr.DivisorLatch) {
          this.#divisor = (this.#divisor & 0xff) | (byte << 8);
          break;
        }
        // Enabling the interrupt while the transmitter is empty raises it (data sheet, "Interrupt Enable Register").
        if (byte & Ier.TransmitterEmpty && (this.#ier & Ier.TransmitterEmpty) === 0) this.#transmitPending = true;
        this.#ier = byte & 0x0f;
        break;
      case UartRegister.IirFcr:
        if (((byte & Fcr.Enable) !== 0) !== this.#fifoEnabled || byte & Fcr.ClearReceive) {
          this.#fifo = [];
          this.#timeoutPending = false;
        }
        this.#fifoEnabled = (byte & Fcr.Enable) !== 0;
        this.#trigger = this.#fifoEnabled ? byte >> Fcr.TriggerShift : 0;
        this.#refill();
        break;
      case UartRegister.Lcr:
        this.#lcr = byte;
        break;
      case UartRegister.Mcr: {
        const before = this.#mcr & Mcr.Loopback ? this.#loopbackModemLines() : TERMINAL_READY;
        this.#mcr = byte & 0x1f;
        const after = this.#mcr & Mcr.Loopback ? this.#loopbackModemLines() : TERMINAL_READY;
        this.#modemLinesChanged(before, after);
        break;
      }
      case UartRegister.Scratch:
        this.#scratch = byte;
        break;
    }
    this.#update();
  }

  getState(): UartState {
    return {
      version: 1,
      ier: this.#ier,
      lcr: this.#lcr,
      mcr: this.#mcr,
      msr: this.#msr,
      scratch: this.#scratch,
      divisor: this.#divisor,
      fifoEnabled: this.#fifoEnabled,
      trigger: this.#trigger,
      overrun: this.#overrun,
      transmitPending: this.#transmitPending,
      timeoutPending: this.#timeoutPending,
      timeoutAt: this.#timeout?.pending ? this.#timeout.at : null,
      receiveFifo: [...this.#fifo],
      waiting: [...this.#waiting],
    };
  }

  setState(state: UartState): void {
    requireVersion('serial port (16550)', state.version, 1);
    this.#ier = state.ier;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#msr = state.msr;
    this.#scratch = state.scratch;
    this.#divisor = state.divisor;
    this.#fifoEnabled = state.fifoEnabled;
    this.#trigger = state.trigger;
    this.#overrun = state.overrun;
    this.#transmitPending = state.transmitPending;
    this.#timeoutPending = state.timeoutPending;
    this.#fifo = [...state.receiveFifo];
    this.#waiting = [...state.waiting];
    if (this.#timeout) this.#clock.cancel(this.#timeout);
    this.#timeout = state.timeoutAt === null ? null : this.#clock.schedule(state.timeoutAt, () => this.#timedOut());
    this.#update();
  }

  #send(byte: number): void {
    this.#transmitPending = true;
    if ((this.#mcr & Mcr.Loopback) === 0) {
      this.#transmit(byte);
      return;
    }
    if (this.#fifo.length < this.#capacity()) this.#fifo.push(byte);
    else this.#overrun = true;
    this.#armTimeout();
  }

  #capacity(): number {
    return this.#fifoEnabled ? FIFO_BYTES : 1;
  }

  #refill(): void {
    if (this.#mcr & Mcr.Loopback || this.#waiting.length === 0) return;
    const room = this.#capacity() - this.#fifo.length;
    if (room <= 0) return;
    this.#fifo.push(...this.#waiting.splice(0, room));
    this.#armTimeout();
  }

  /** With bytes below the trigger level, the FIFO asks for attention after four character times without traffic. */
  #armTimeout(): void {
    if (this.#timeout) this.#clock.cancel(this.#timeout);
    this.#timeout = null;
    if (!this.#fifoEnabled || this.#fifo.length === 0) return;
    const bits = 7 + (this.#lcr & Lcr.WordLengthMask) + (this.#lcr & Lcr.StopBits ? 1 : 0);
    const baud = BAUD_BASE / Math.max(1, this.#divisor);
    const wait = Math.ceil((4 * bits * NS_PER_SECOND) / baud);
    this.#timeout = this.#clock.schedule(this.#clock.now() + wait, () => this.#timedOut());
  }

  #timedOut(): void {
    this.#timeoutPending = this.#fifo.length > 0;
    this.#update();
  }

  #loopbackModemLines(): number {
    const mcr = this.#mcr;
    return (
      (mcr & Mcr.Rts ? Msr.Cts : 0) |
      (mcr & Mcr.Dtr ? Msr.Dsr : 0) |
      (mcr & Mcr.Out1 ? Msr.Ri : 0) |
      (mcr & Mcr.Out2 ? Msr.Dcd : 0)
    );
  }

  #modemLinesChanged(before: number, after: number): void {
    const changed = before ^ after;
    if (changed & Msr.Cts) this.#msr |= Msr.DeltaCts;
    if (changed & Msr.Dsr) this.#msr |= Msr.DeltaDsr;
    if (before & ~after & Msr.Ri) this.#msr |= Msr.TrailingRi;
    if (changed & Msr.Dcd) this.#msr |= Msr.DeltaDcd;
  }

  #cause(): number {
    if (this.#ier & Ier.LineStatus && this.#overrun) return Iir.LineStatus;
    if (this.#ier & Ier.ReceivedData && this.#fifo.length > 0) {
      if (this.#fifo.length >= (this.#fifoEnabled ? triggerLevels[this.#trigger] : 1)) return Iir.ReceivedData;
      if (this.#timeoutPending) return Iir.CharacterTimeout;
    }
    if (this.#ier & Ier.TransmitterEmpty && this.#transmitPending) return Iir.TransmitterEmpty;
    if (this.#ier & Ier.ModemStatus && this.#msr & 0x0f) return Iir.ModemStatus;
    return Iir.None;
  }

  /** On a PC, OUT2 connects the interrupt output to the interrupt controller; loopback disconnects it. */
  #update(): void {
    const connected = (this.#mcr & (Mcr.Out2 | Mcr.Loopback)) === Mcr.Out2;
    this.#irq.set(connected && this.#cause() !== Iir.None);
  }
}
