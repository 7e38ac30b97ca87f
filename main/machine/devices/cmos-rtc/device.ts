// The MC146818 real-time clock with its CMOS memory. Its time is the lab's virtual epoch plus virtual time, never the
// wall clock, so that every run sees the same dates.
import { type DeviceClock, NS_PER_SECOND, type ScheduledEvent, nsAtTick, ticksAt } from '../../clock.ts';
import { type IrqLine, type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { toCalendar, toUnixSeconds } from './calendar.ts';
import {
  CmosPort,
  RTC_HZ,
  RegisterA,
  RegisterB,
  RegisterC,
  RtcRegister,
  UPDATE_IN_PROGRESS_NS,
  VALID_RAM_AND_TIME,
} from './registers.ts';
import type { CmosState } from './state.ts';

const INTERRUPTS = RegisterB.PeriodicInterrupt | RegisterB.AlarmInterrupt | RegisterB.UpdateInterrupt;
/** An alarm byte with both top bits set matches every value. */
const ALARM_ANY = 0xc0;

export class CmosRtc implements PortDevice, StatefulDevice<CmosState> {
  readonly ports = [[CmosPort.Index, 2]] as const;
  readonly #clock: DeviceClock;
  readonly #irq: IrqLine;
  readonly #memory = new Uint8Array(128);
  #index = 0;
  #a: number = RegisterA.DividerNormal | 6; // 1024 Hz, as firmware leaves it
  #b: number = RegisterB.Hour24;
  #c = 0;
  #epochSeconds: number;
  #heldSeconds: number | null = null;
  #secondEvent: ScheduledEvent | null = null;
  #periodicEvent: ScheduledEvent | null = null;

  /**
   * @param epochSeconds Unix time at virtual time 0
   * @param ramBytes size of memory, for the memory-size bytes
   */
  constructor(clock: DeviceClock, irq: IrqLine, epochSeconds: number, ramBytes: number) {
    this.#clock = clock;
    this.#irq = irq;
    this.#epochSeconds = Math.floor(epochSeconds);
    const word = (register: number, value: number): void => {
      this.#memory[register] = value & 0xff;
      this.#memory[register + 1] = value >> 8;
    };
    const extendedKiB = Math.min(0xffff, Math.max(0, Math.floor(ramBytes / 1024) - 1024));
    word(RtcRegister.BaseMemoryLow, 640);
    word(RtcRegister.ExtendedMemoryLow, extendedKiB);
    word(RtcRegister.ExtendedMemory2Low, extendedKiB);
    word(RtcRegister.HighMemoryLow, Math.max(0, Math.floor((ramBytes - 16 * 1024 * 1024) / 65_536)));
    this.#memory[RtcRegister.Equipment] = 0x06; // a PS/2 mouse and a coprocessor, no diskette
  }

  portRead(port: number): number {
    return port === CmosPort.Index ? 0xff : this.#read(this.#index);
  }

  portWrite(port: number, _size: number, value: number): void {
    if (port === CmosPort.Index)
      this.#index = value & 0x7f; // bit 7 masks NMI on a PC; nothing here raises one through it
    else this.#write(this.#index, value & 0xff);
  }

  getState(): CmosState {
    return {
      version: 1,
      index: this.#index,
      memory: [...this.#memory],
      a: this.#a,
      b: this.#b,
      c: this.#c,
      epochSeconds: this.#epochSeconds,
      heldSeconds: this.#heldSeconds,
    };
  }

  setState(state: CmosState): void {
    requireVersion('real-time clock', state.version, 1);
    this.#index = state.index;
    this.#memory.set(state.memory);
    this.#a = state.a;
    this.#b = state.b;
    this.#c = state.c;
    this.#epochSeconds = state.epochSeconds;
    this.#heldSeconds = state.heldSeconds;
    this.#irq.set((this.#c & RegisterC.Irq) !== 0);
    this.#arm();
  }

  /** Unix seconds as the clock shows them. */
  #seconds(): number {
    return this.#heldSeconds ?? this.#epochSeconds + Math.floor(this.#clock.now() / NS_PER_SECOND);
  }

  #read(index: number): number {
    const time = toCalendar(this.#seconds());
    switch (index) {
      case RtcRegister.Seconds:
        return this.#encode(time.second);
      case RtcRegister.Minutes:
        return this.#encode(time.minute);
      case RtcRegister.Hours: {
        if (this.#b & RegisterB.Hour24) return this.#encode(time.hour);
        return this.#encode(((time.hour + 11) % 12) + 1) | (time.hour >= 12 ? 0x80 : 0);
      }
      case RtcRegister.DayOfWeek:
        return this.#encode(time.weekday);
      case RtcRegister.DayOfMonth:
        return this.#encode(time.day);
      case RtcRegister.Month:
        return this.#encode(time.month);
      case RtcRegister.Year:
        return this.#encode(time.year % 100);
      case RtcRegister.Century:
        return this.#encode(Math.floor(time.year / 100));
      case RtcRegister.A: {
        const rest = NS_PER_SECOND - (this.#clock.now() % NS_PER_SECOND);
        const updating = (this.#b & RegisterB.Set) === 0 && rest <= UPDATE_IN_PROGRESS_NS;
        return this.#a | (updating ? RegisterA.UpdateInProgress : 0);
      }
      case RtcRegister.B:
        return this.#b;
      case RtcRegister.C: {
        const flags = this.#c;
        this.#c = 0;
        this.#irq.set(false);
        return flags;
      }
      case RtcRegister.D:
        return VALID_RAM_AND_TIME;
      default:
        return this.#memory[index];
    }
  }

  #write(index: number, value: number): void {
    switch (index) {
      case RtcRegister.A:
        this.#a = value & 0x7f;
        this.#arm();
        break;
      case RtcRegister.B: {
        const wasHeld = this.#heldSeconds;
        const set = (value & RegisterB.Set) !== 0;
        if (set && wasHeld === null) this.#heldSeconds = this.#seconds();
        if (!set && wasHeld !== null) {
          this.#heldSeconds = null;
          this.#epochSeconds = wasHeld - Math.floor(this.#clock.now() / NS_PER_SECOND);
        }
        // SET clears the update interrupt's enable (data sheet, register B).
        this.#b = set ? value & ~RegisterB.UpdateInterrupt : value;
        this.#arm();
        break;
      }
      case RtcRegister.C:
      case RtcRegister.D:
        break; // read only
      case RtcRegister.Seconds:
      case RtcRegister.Minutes:
      case RtcRegister.Hours:
      case RtcRegister.DayOfMonth:
      case RtcRegister.Month:
      case RtcRegister.Year:
      case RtcRegister.Century:
        this.#setField(index, value);
        break;
      case RtcRegister.DayOfWeek:
        break; // follows from the date
      default:
        this.#memory[index] = value;
        if (index <= RtcRegister.HoursAlarm) this.#arm();
    }
  }

  #setField(index: number, value: number): void {
    const time = toCalendar(this.#seconds());
    const number = this.#decode(value & (index === RtcRegister.Hours ? 0x7f : 0xff));
    const century = Math.floor(time.year / 100) * 100;
    const hour = this.#b & RegisterB.Hour24 ? number : (number % 12) + (value & 0x80 ? 12 : 0);
    const changed = toUnixSeconds({
      year:
        index === RtcRegister.Year
          ? century + number
          : index === RtcRegister.Century
            ? number * 100 + (time.year % 100)
            : time.year,
      month: index === RtcRegister.Month ? number : time.month,
      day: index === RtcRegister.DayOfMonth ? number : time.day,
      hour: index === RtcRegister.Hours ? hour : time.hour,
      minute: index === RtcRegister.Minutes ? number : time.minute,
      second: index === RtcRegister.Seconds ? number : time.second,
    });
    if (this.#heldSeconds !== null) this.#heldSeconds = changed;
    else this.#epochSeconds += changed - this.#seconds();
  }

  #encode(value: number): number {
    return this.#b & RegisterB.Binary ? value : ((Math.floor(value / 10) << 4) | (value % 10)) & 0xff;
  }

  #decode(value: number): number {
    return this.#b & RegisterB.Binary ? value : (value >> 4) * 10 + (value & 15);
  }

  /** Schedules what the enabled interrupts need: the next second, the next periodic tick. */
  #arm(): void {
    if (this.#secondEvent) this.#clock.cancel(this.#secondEvent);
    if (this.#periodicEvent) this.#clock.cancel(this.#periodicEvent);
    this.#secondEvent = null;
    this.#periodicEvent = null;
    const running = (this.#b & RegisterB.Set) === 0;
    const now = this.#clock.now();
    if (running && this.#b & (RegisterB.AlarmInterrupt | RegisterB.UpdateInterrupt)) {
      const next = (Math.floor(now / NS_PER_SECOND) + 1) * NS_PER_SECOND;
      this.#secondEvent = this.#clock.schedule(next, () => this.#second());
    }
    const rate = this.#a & RegisterA.RateMask;
    if (this.#b & RegisterB.PeriodicInterrupt && rate !== 0) {
      // Data sheet, table 5: rate r gives 32768 >> (r - 1) Hz, and 1 and 2 are the same as 8 and 9.
      const hz = RTC_HZ >> ((rate < 3 ? rate + 7 : rate) - 1);
      const next = nsAtTick(ticksAt(now, hz) + 1, hz);
      this.#periodicEvent = this.#clock.schedule(next, () => this.#flag(RegisterC.Periodic));
    }
  }

  #second(): void {
    const matches = (alarm: number, current: number): boolean => {
      const value = this.#memory[alarm];
      return (value & ALARM_ANY) === ALARM_ANY || value === this.#read(current);
    };
    const alarm =
      matches(RtcRegister.SecondsAlarm, RtcRegister.Seconds) &&
      matches(RtcRegister.MinutesAlarm, RtcRegister.Minutes) &&
      matches(RtcRegister.HoursAlarm, RtcRegister.Hours);
    this.#flag(RegisterC.Update | (alarm ? RegisterC.Alarm : 0));
  }

  #flag(flags: number): void {
    this.#c |= flags;
    if (this.#c & this.#b & INTERRUPTS) {
      this.#c |= RegisterC.Irq;
      this.#irq.set(true);
    }
    this.#arm();
  }
}
