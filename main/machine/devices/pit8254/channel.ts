// One channel of the 8254: a count that began at a known clock tick, so that its value and its output are functions of
// time and nothing has to happen while nobody looks.
import { PitAccess } from './registers.ts';
import type { PitChannelState } from './state.ts';

export class PitChannel {
  #mode = 3; // as firmware leaves it: the output is high and a kernel's first control word makes no edge
  #access: number = PitAccess.LowHigh;
  #bcd = false;
  #count = 0;
  #startTick: number | null = null;
  #frozen: number | null = null;
  #gate: boolean;
  #writeLow: number | null = null;
  #readHighNext = false;
  #latchedCount: number | null = null;
  #latchedStatus: number | null = null;
  #nullCount = true;

  constructor(gate: boolean) {
    this.#gate = gate;
  }

  get gate(): boolean {
    return this.#gate;
  }

  /** A new mode. The output goes to its initial level and counting waits for a count. */
  control(access: number, mode: number, bcd: boolean): void {
    this.#access = access;
    this.#mode = mode > 5 ? mode & 3 : mode;
    this.#bcd = bcd;
    this.#startTick = null;
    this.#frozen = null;
    this.#writeLow = null;
    this.#readHighNext = false;
    this.#latchedCount = null;
    this.#latchedStatus = null;
    this.#nullCount = true;
  }

  /** A byte of the count. Returns true when the count is complete and the channel has (re)started. */
  write(byte: number, tick: number): boolean {
    switch (this.#access) {
      case PitAccess.Low:
        return this.#load(byte, tick);
      case PitAccess.High:
        return this.#load(byte << 8, tick);
      default: {
        if (this.#writeLow === null) {
          this.#writeLow = byte;
          if (this.#mode === 0) this.#startTick = null; // mode 0: the first byte stops counting
          return false;
        }
        const low = this.#writeLow;
        this.#writeLow = null;
        return this.#load(low | (byte << 8), tick);
      }
    }
  }

  read(tick: number): number {
    if (this.#latchedStatus !== null) {
      const status = this.#latchedStatus;
      this.#latchedStatus = null;
      return status;
    }
    const value = this.#latchedCount ?? this.#encode(this.counter(tick));
    switch (this.#access) {
      case PitAccess.Low:
        this.#latchedCount = null;
        return value & 0xff;
      case PitAccess.High:
        this.#latchedCount = null;
        return value >> 8;
      default: {
        const high = this.#readHighNext;
        this.#readHighNext = !high;
        if (high) this.#latchedCount = null;
        return high ? value >> 8 : value & 0xff;
      }
    }
  }

  latchCount(tick: number): void {
    this.#latchedCount ??= this.#encode(this.counter(tick));
  }

  latchStatus(tick: number): void {
    this.#latchedStatus ??=
      (this.output(tick) ? 0x80 : 0) |
      (this.#nullCount ? 0x40 : 0) |
      (this.#access << 4) |
      (this.#mode << 1) |
      (this.#bcd ? 1 : 0);
  }

  /** The gate input. A rising edge restarts modes 1, 2, 3 and 5; a low level stops modes 0, 2, 3 and 4. */
  setGate(level: boolean, tick: number): void {
    if (level === this.#gate) return;
    const before = this.counter(tick);
    this.#gate = level;
    if (this.#count === 0) return;
    switch (this.#mode) {
      case 0:
      case 4:
        if (!level) {
          if (this.#startTick !== null) this.#frozen = before;
        } else if (this.#frozen !== null) {
          this.#startTick = tick - (this.#count - this.#frozen);
          this.#frozen = null;
        } else if (this.#startTick !== null) {
          this.#startTick = tick;
        }
        break;
      case 2:
      case 3:
        this.#startTick = level ? tick : null;
        break;
      default: // 1 and 5
        if (level) this.#startTick = tick;
    }
  }

  /** The counting element, 0..65535. */
  counter(tick: number): number {
    if (this.#frozen !== null) return this.#frozen & 0xffff;
    if (this.#startTick === null || !this.#gateAllows()) return this.#count & 0xffff;
    const elapsed = Math.max(0, tick - this.#startTick);
    const count = this.#count;
    switch (this.#mode) {
      case 2:
        return (count - (elapsed % count)) & 0xffff;
      case 3:
        // Counts by two, once through for each half of the period.
        return (count - ((2 * elapsed) % count)) & 0xfffe;
      default: {
        const modulus = this.#bcd ? 10_000 : 0x1_0000;
        return ((((count - elapsed) % modulus) + modulus) % modulus) & 0xffff;
      }
    }
  }

  /** The output pin. */
  output(tick: number): boolean {
    const started = this.#startTick !== null;
    const elapsed = started ? Math.max(0, tick - (this.#startTick as number)) : 0;
    const count = this.#count;
    switch (this.#mode) {
      case 0:
        if (this.#frozen !== null) return false;
        return started && this.#gateAllows() && elapsed >= count;
      case 1:
        return !started || elapsed >= count;
      case 2:
        return !started || elapsed % count !== count - 1;
      case 3:
        return !started || elapsed % count < (count + 1) >> 1;
      default: // 4 and 5: low for the one clock at the end
        return !(started && this.#frozen === null && elapsed === count);
    }
  }

  /** Tick of the first rising edge of the output after `tick`, Infinity when it will not rise by itself. */
  nextRise(tick: number): number {
    if (this.#startTick === null || this.#frozen !== null || !this.#gateAllows()) return Infinity;
    const start = this.#startTick;
    const count = this.#count;
    switch (this.#mode) {
      case 0:
      case 1:
        return start + count > tick ? start + count : Infinity;
      case 2:
      case 3: {
        const periods = Math.floor(Math.max(0, tick - start) / count) + 1;
        return start + periods * count;
      }
      default:
        return start + count + 1 > tick ? start + count + 1 : Infinity;
    }
  }

  getState(): PitChannelState {
    return {
      mode: this.#mode,
      access: this.#access,
      bcd: this.#bcd,
      count: this.#count,
      startTick: this.#startTick,
      frozen: this.#frozen,
      gate: this.#gate,
      writeLow: this.#writeLow,
      readHighNext: this.#readHighNext,
      latchedCount: this.#latchedCount,
      latchedStatus: this.#latchedStatus,
      nullCount: this.#nullCount,
    };
  }

  setState(state: PitChannelState): void {
    this.#mode = state.mode;
    this.#access = state.access;
    this.#bcd = state.bcd;
    this.#count = state.count;
    this.#startTick = state.startTick;
    this.#frozen = state.frozen;
    this.#gate = state.gate;
    this.#writeLow = state.writeLow;
    this.#readHighNext = state.readHighNext;
    this.#latchedCount = state.latchedCount;
    this.#latchedStatus = state.latchedStatus;
    this.#nullCount = state.nullCount;
  }

  #gateAllows(): boolean {
    return this.#gate || this.#mode === 1 || this.#mode === 5;
  }

  #load(raw: number, tick: number): boolean {
    const value = this.#bcd ? fromBcd(raw) : raw;
    const count = value === 0 ? (this.#bcd ? 10_000 : 0x1_0000) : value;
    this.#nullCount = false;
    // Modes 2 and 3 finish the running period with the old count; starting over at once differs by less than a period.
    this.#count = count;
    this.#frozen = null;
    if (this.#mode === 1 || this.#mode === 5) return false; // wait for the gate
    // The count is loaded on the clock after the write.
    if (this.#mode === 0 || this.#mode === 4) {
      if (this.#gate) this.#startTick = tick + 1;
      else {
        this.#startTick = tick + 1;
        this.#frozen = count;
      }
    } else {
      this.#startTick = this.#gate ? tick + 1 : null;
    }
    return true;
  }

  #encode(value: number): number {
    return this.#bcd ? toBcd(value % 10_000) : value;
  }
}

function fromBcd(value: number): number {
  return ((value >> 12) & 15) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
}

function toBcd(value: number): number {
  const digit = (place: number): number => Math.floor(value / place) % 10;
  return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1);
}
