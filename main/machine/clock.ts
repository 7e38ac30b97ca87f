// Virtual time: the queue of things that will happen, and exact conversion between nanoseconds and ticks of a clock.
// Invariant: events run in order of time, and of scheduling when times are equal; nothing here reads the wall clock.
// Times are virtual nanoseconds since power-on, whole numbers below 2^53 (104 days).

export const NS_PER_SECOND = 1_000_000_000;

/**
 * Whole ticks of a clock of `hz` that have passed after `ns` nanoseconds (rounded down). Exact for hz up to 9 MHz, or
 * any whole number of MHz up to 9 THz, because the product below stays under 2^53.
 */
export function ticksAt(ns: number, hz: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  const rest = ns - seconds * NS_PER_SECOND;
  if (hz % 1_000_000 === 0) return seconds * hz + Math.floor((rest * (hz / 1_000_000)) / 1000);
  return seconds * hz + Math.floor((rest * hz) / NS_PER_SECOND);
}

/** The first nanosecond at which `ticksAt(ns, hz)` is at least `ticks`: the inverse of ticksAt, rounded up. */
export function nsAtTick(ticks: number, hz: number): number {
  const seconds = Math.floor(ticks / hz);
  const rest = ticks - seconds * hz;
  if (hz % 1_000_000 === 0) return seconds * NS_PER_SECOND + Math.ceil((rest * 1000) / (hz / 1_000_000));
  return seconds * NS_PER_SECOND + Math.ceil((rest * NS_PER_SECOND) / hz);
}

/** Something scheduled. `at` is its time; a cancelled or finished event is not `pending`. */
export interface ScheduledEvent {
  readonly at: number;
  readonly pending: boolean;
}

/** What a device sees of time. */
export interface DeviceClock {
  /** Virtual nanoseconds since power-on. Exact while a vCPU runs: it includes the instructions of the current run. */
  now(): number;
  /** Calls back once at `at` (or as soon as possible when that is past). The callback may schedule again. */
  schedule(at: number, callback: () => void): ScheduledEvent;
  cancel(event: ScheduledEvent): void;
}

interface QueuedEvent extends ScheduledEvent {
  readonly sequence: number;
  readonly callback: () => void;
  pending: boolean;
}

/** A binary heap of events. Cancelled events stay in the heap until they reach its top. */
export class EventQueue {
  readonly #heap: QueuedEvent[] = [];
  #sequence = 0;

  schedule(at: number, callback: () => void): ScheduledEvent {
    const event: QueuedEvent = { at, sequence: this.#sequence++, callback, pending: true };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(event, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
    return event;
  }

  cancel(event: ScheduledEvent): void {
    (event as QueuedEvent).pending = false;
  }

  /** Time of the next event, Infinity when there is none. */
  nextTime(): number {
    const heap = this.#heap;
    while (heap.length > 0 && !heap[0].pending) this.#removeTop();
    return heap.length > 0 ? heap[0].at : Infinity;
  }

  /** Removes and returns the next event whose time is not after `now`; the caller runs its callback. */
  takeDue(now: number): { readonly at: number; readonly callback: () => void } | null {
    if (this.nextTime() > now) return null;
    const event = this.#heap[0];
    this.#removeTop();
    event.pending = false;
    return event;
  }

  #removeTop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

/**
 * A clock that only moves when told: for device tests and for whoever steps devices by hand.
 * `advanceTo` runs what becomes due, at its own time.
 */
export class ManualClock implements DeviceClock {
  readonly #queue = new EventQueue();
  #now = 0;

  now(): number {
    return this.#now;
  }

  schedule(at: number, callback: () => void): ScheduledEvent {
    return this.#queue.schedule(at, callback);
  }

  cancel(event: ScheduledEvent): void {
    this.#queue.cancel(event);
  }

  /** Time of the next event, Infinity when there is none. */
  nextTime(): number {
    return this.#queue.nextTime();
  }

  advanceTo(ns: number): void {
    for (;;) {
      const due = this.#queue.takeDue(ns);
      if (due === null) break;
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = Math.max(this.#now, ns);
  }
}
