// The local APIC's timer: one-shot or periodic, counting down from the initial count at the divided clock.
// Invariant: the current count is a function of time; at most one event is scheduled.
import { type DeviceClock, type ScheduledEvent, nsAtTick, ticksAt } from '../../clock.ts';
import { APIC_TIMER_HZ } from './registers.ts';

export class ApicTimer {
  readonly #clock: DeviceClock;
  readonly #expired: () => void;
  #event: ScheduledEvent | null = null;
  #initial = 0;
  #divideConfiguration = 0;
  #periodic = false;
  #start = 0;
  #running = false;

  /** @param expired called each time the count reaches zero */
  constructor(clock: DeviceClock, expired: () => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  get initialCount(): number {
    return this.#initial;
  }

  get divideConfiguration(): number {
    return this.#divideConfiguration;
  }

  get start(): number {
    return this.#start;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Writing the initial count starts the timer; 0 stops it. */
  writeInitialCount(count: number): void {
    this.#initial = count >>> 0;
    this.#start = this.#clock.now();
    this.#running = this.#initial !== 0;
    this.#arm();
  }

  writeDivideConfiguration(value: number): void {
    const rest = this.currentCount();
    this.#divideConfiguration = value & 0xb;
    if (!this.#running) return;
    // The count goes on from where it is, at the new rate.
    this.#start = this.#clock.now() - this.#nanoseconds(this.#initial - rest);
    this.#arm();
  }

  setPeriodic(periodic: boolean): void {
    if (periodic === this.#periodic) return;
    this.#periodic = periodic;
    this.#arm();
  }

  currentCount(): number {
    if (!this.#running) return 0;
    const elapsed = this.#elapsed();
    if (elapsed < this.#initial) return this.#initial - elapsed;
    return this.#periodic ? this.#initial - (elapsed % this.#initial) : 0;
  }

  stop(): void {
    this.#running = false;
    this.#initial = 0;
    this.#arm();
  }

  reset(): void {
    this.#divideConfiguration = 0;
    this.#periodic = false;
    this.stop();
  }

  restore(initial: number, divideConfiguration: number, periodic: boolean, start: number, running: boolean): void {
    this.#initial = initial;
    this.#divideConfiguration = divideConfiguration;
    this.#periodic = periodic;
    this.#start = start;
    this.#running = running;
    this.#arm();
  }

  /** SDM volume 3, figure "Divide Configuration Register": bits 0, 1 and 3; 7 means divide by 1. */
  #divisor(): number {
    const code = (this.#divideConfiguration & 3) | ((this.#divideConfiguration & 8) >> 1);
    return code === 7 ? 1 : 2 << code;
  }

  #elapsed(): number {
    return Math.floor(ticksAt(Math.max(0, this.#clock.now() - this.#start), APIC_TIMER_HZ) / this.#divisor());
  }

  #nanoseconds(counts: number): number {
    return nsAtTick(counts * this.#divisor(), APIC_TIMER_HZ);
  }

  #arm(): void {
    if (this.#event) this.#clock.cancel(this.#event);
    this.#event = null;
    if (!this.#running) return;
    const elapsed = this.#elapsed();
    if (!this.#periodic && elapsed >= this.#initial) return;
    const periods = Math.floor(elapsed / this.#initial) + 1;
    const at = this.#start + this.#nanoseconds(periods * this.#initial);
    this.#event = this.#clock.schedule(at, () => this.#fire());
  }

  #fire(): void {
    if (!this.#periodic) this.#running = false;
    this.#expired();
    this.#arm();
  }
}
