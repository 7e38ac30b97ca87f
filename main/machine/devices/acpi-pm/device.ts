// ACPI fixed hardware: power management timer, power button, soft off, and the reset register. ACPI mode is always on
// (there is no SMI command port).
import { type DeviceClock, type ScheduledEvent, nsAtTick, ticksAt } from '../../clock.ts';
import { type IrqLine, type PortDevice, type StatefulDevice, allOnes, requireVersion } from '../contract.ts';
import {
  PM_BASE,
  PM_ENABLE_WRITABLE,
  PM_TIMER_HZ,
  Pm1,
  Pm1Control,
  PmRegister,
  RESET_PORT,
  ResetControl,
  SLEEP_TYPE_S5,
} from './registers.ts';
import type { AcpiPmState } from './state.ts';

/** What the machine does when the guest asks. */
export interface PowerEvents {
  powerOff(): void;
  reset(): void;
}

const HALF_TIMER = 0x8000_0000;

export class AcpiPm implements PortDevice, StatefulDevice<AcpiPmState> {
  readonly ports = [
    [PM_BASE, PmRegister.Length],
    [RESET_PORT, 1],
  ] as const;
  readonly wide = true;
  readonly #clock: DeviceClock;
  readonly #sci: IrqLine;
  readonly #events: PowerEvents;
  #status = 0;
  #enable = 0;
  #control: number = Pm1Control.SciEnable;
  #resetControl = 0;
  #timerTop = 0;
  #overflow: ScheduledEvent | null = null;

  constructor(clock: DeviceClock, sci: IrqLine, events: PowerEvents) {
    this.#clock = clock;
    this.#sci = sci;
    this.#events = events;
  }

  /** Somebody presses the power button: a guest that listens shuts down. Returns whether one listens. */
  pressPowerButton(): boolean {
    this.#status |= Pm1.PowerButton;
    this.#update();
    return (this.#enable & Pm1.PowerButton) !== 0;
  }

  portRead(port: number, size: number): number {
    if (port === RESET_PORT) return this.#resetControl;
    const offset = port - PM_BASE;
    if (offset >= PmRegister.Timer) {
      return size === 4 ? this.#timer() : (this.#timer() >>> (8 * (offset & 3))) & allOnes(size);
    }
    this.#latchTimer();
    const image = [this.#status & 0xff, this.#status >> 8, this.#enable & 0xff, this.#enable >> 8];
    image.push(this.#control & 0xff, this.#control >> 8, 0, 0);
    let value = 0;
    for (let index = 0; index < size; index++) value |= (image[offset + index] ?? 0) << (8 * index);
    return value >>> 0;
  }

  portWrite(port: number, size: number, value: number): void {
    if (port === RESET_PORT) {
      const rising = value & ~this.#resetControl & ResetControl.Cpu;
      this.#resetControl = value & (ResetControl.System | ResetControl.Cpu | 8);
      if (rising) this.#events.reset();
      return;
    }
    for (let index = 0; index < size; index++) this.#writeByte(port - PM_BASE + index, (value >>> (8 * index)) & 0xff);
    this.#update();
    if (this.#control & Pm1Control.SleepEnable) this.#sleep();
  }

  getState(): AcpiPmState {
    return {
      version: 1,
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      resetControl: this.#resetControl,
      timerTop: this.#timerTop,
    };
  }

  setState(state: AcpiPmState): void {
    requireVersion('ACPI power management', state.version, 1);
    this.#status = state.status;
    this.#enable = state.enable;
    this.#control = state.control;
    this.#resetControl = state.resetControl;
    this.#timerTop = state.timerTop;
    this.#update();
  }

  #timer(): number {
    return ticksAt(this.#clock.now(), PM_TIMER_HZ) % 0x1_0000_0000;
  }

  /** TMR_STS is set whenever the timer's top bit changes. */
  #latchTimer(): void {
    const top = this.#timer() >= HALF_TIMER ? 1 : 0;
    if (top !== this.#timerTop) this.#status |= Pm1.Timer;
    this.#timerTop = top;
  }

  #writeByte(offset: number, byte: number): void {
    this.#latchTimer();
    switch (offset) {
      case PmRegister.Status:
        this.#status &= ~byte;
        break;
      case PmRegister.Status + 1:
        this.#status &= ~(byte << 8);
        break;
      case PmRegister.Enable:
        this.#enable = ((this.#enable & 0xff00) | byte) & PM_ENABLE_WRITABLE;
        break;
      case PmRegister.Enable + 1:
        this.#enable = ((this.#enable & 0xff) | (byte << 8)) & PM_ENABLE_WRITABLE;
        break;
      case PmRegister.Control:
        this.#control = (this.#control & 0xff00) | (byte & 0x06) | Pm1Control.SciEnable;
        break;
      case PmRegister.Control + 1:
        this.#control = (this.#control & 0xff) | (byte << 8);
        break;
    }
  }

  #sleep(): void {
    const type = (this.#control & Pm1Control.TypeMask) >> Pm1Control.TypeShift;
    this.#control &= ~Pm1Control.SleepEnable;
    if (type === SLEEP_TYPE_S5) this.#events.powerOff();
  }

  #update(): void {
    this.#sci.set((this.#status & this.#enable) !== 0);
    if (this.#overflow) this.#clock.cancel(this.#overflow);
    this.#overflow = null;
    if ((this.#enable & Pm1.Timer) === 0) return;
    const ticks = ticksAt(this.#clock.now(), PM_TIMER_HZ);
    const next = (Math.floor(ticks / HALF_TIMER) + 1) * HALF_TIMER;
    this.#overflow = this.#clock.schedule(nsAtTick(next, PM_TIMER_HZ), () => {
      this.#latchTimer();
      this.#update();
    });
  }
}
