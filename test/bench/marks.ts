/**
 * Reads what a guest prints on its console and turns its marks into times: "B name" begins a measurement, "E checksum" ends it, "DONE" is the
 * end. Linux comes to its shell first, which is a measurement too, and is then given a command to type.
 * Invariant: a time is taken when a mark's line is complete, before anything else is done with it.
 */

/** What a clock says: CPU time of all threads that simulate, and elapsed time, both in milliseconds. */
export interface Instant {
  readonly cpu: number;
  readonly wall: number;
}
export interface Sample {
  /** What the guest computed; repetitions that differ make it `differs`. */
  checksum: string;
  /** Milliseconds of each repetition, in order. */
  cpu: number[];
  wall: number[];
}
export type Column = Record<string, Sample>;

/** What the initial RAM file system of scripts/guests.ts prints when its shell is there. */
export const SHELL_READY = 'bulkhead: shell ready';
/** The row of the time from the start of the machine to its shell. */
export const BOOT = 'boot';

/** CPU time of this process with all its threads. */
export function now(): Instant {
  const { user, system } = process.cpuUsage();
  return { cpu: (user + system) / 1000, wall: performance.now() };
}

/** Rows for which a guest prepares something that is no part of the measurement: nor is what a simulator still does about it in other threads. */
const PREPARED: ReadonlySet<string> = new Set(['cold']);
const IDLE = { milliseconds: 10, share: 0.05, times: 3, patience: 300 } as const;

/** Stands still until the other threads of this process have nothing to do, three seconds at most. */
export function untilIdle(): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let quiet = 0;
  for (let n = 0; n < IDLE.patience && quiet < IDLE.times; n++) {
    const before = now();
    Atomics.wait(cell, 0, 0, IDLE.milliseconds);
    const after = now();
    quiet = after.cpu - before.cpu < IDLE.share * (after.wall - before.wall) ? quiet + 1 : 0;
  }
}

export function addSample(column: Column, name: string, checksum: string, begin: Instant, end: Instant): void {
  const sample = (column[name] ??= { checksum, cpu: [], wall: [] });
  if (sample.checksum !== checksum) sample.checksum = 'differs';
  sample.cpu.push(end.cpu - begin.cpu);
  sample.wall.push(end.wall - begin.wall);
}

export interface Guest {
  /** Its clock's start: that of the machine. */
  readonly start: Instant;
  readonly clock: () => Instant;
  /** A kernel that prints marks at once, or Linux. */
  readonly linux: boolean;
  /** Waits for what other threads of the simulator have to do; without it nothing does. */
  readonly settle?: () => void;
  /** Typed into Linux' shell; without it the shell is the end. */
  readonly command: string | null;
  readonly type: (text: string) => void;
}

export class Marks {
  readonly column: Column = {};
  done = false;
  readonly #guest: Guest;
  #line = '';
  #name = '';
  #begin: Instant;
  /** Linux before its shell, at its prompt, at the command. */
  #phase: 'boot' | 'prompt' | 'marks';

  constructor(guest: Guest) {
    this.#guest = guest;
    this.#begin = guest.start;
    this.#phase = guest.linux ? 'boot' : 'marks';
  }
  /** Takes one character of the console. */
  put(c: string): void {
    if (c !== '\n') {
      this.#line += c;
      if (this.#phase === 'prompt' && this.#line.endsWith('# ')) {
        this.#phase = 'marks';
        this.#guest.type(`${this.#guest.command}\n`);
      }
      return;
    }
    const at = this.#guest.clock();
    const line = this.#line.trim();
    this.#line = '';
    if (this.#phase === 'boot') {
      if (!line.includes(SHELL_READY)) return;
      addSample(this.column, BOOT, 'shell', this.#guest.start, at);
      if (this.#guest.command === null) this.done = true;
      else this.#phase = 'prompt';
      return;
    }
    const [kind, word] = line.split(' ');
    if (kind === 'B') {
      this.#name = word ?? '';
      if (PREPARED.has(this.#name)) this.#guest.settle?.();
      this.#begin = this.#guest.clock();
    } else if (kind === 'E' && this.#name !== '') {
      addSample(this.column, this.#name, word ?? '', this.#begin, at);
      this.#name = '';
    } else if (kind === 'DONE') this.done = true;
  }
}
