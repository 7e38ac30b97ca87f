// Advances the lab: epochs of fixed virtual length, paced to the user's clock or as fast as possible.
// Invariant: the epoch's length depends on the lab alone (never on wall-clock time), so a paced and a free run are the same history.

import type { ClockStatus } from '../../shared/model.ts';
import { NS_PER_SECOND } from '../../shared/units.ts';

/** What the loop drives. */
export interface Clocked {
  /** Length of the next epoch, virtual ns. */
  epochNs(): number;
  /** Runs everything up to `until`; resolves with the time before which nothing can happen without input (at least `until`). */
  runEpoch(until: number): Promise<number>;
  /** Called between epochs: apply what came from outside. */
  betweenEpochs(now: number): Promise<void>;
  /** A speed that the clock does not exceed for now, whatever was chosen; null = none. It changes when things happen, never what happens. */
  slowedTo?(): number | null;
}

/** Longest stretch of virtual time skipped at once when nothing happens and nothing is paced. */
const IDLE_NS = 100_000_000;
/** Longest wait between two looks at the wall clock. */
const SLEEP_MS = 10;

export class ClockLoop {
  #now = 0;
  #running = false;
  #speed = 1;
  #achieved = 0;
  #limited = false;
  /** Pause when this time is reached. */
  #pauseAt = Infinity;
  #stop: (() => boolean) | null = null;
  #loop: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  /** The last sleep was ended by what came from outside. */
  #woken = false;
  readonly #lab: Clocked;
  readonly #changed: () => void;
  readonly #failed: (error: unknown) => void;

  constructor(lab: Clocked, changed: () => void, failed: (error: unknown) => void) {
    this.#lab = lab;
    this.#changed = changed;
    this.#failed = failed;
  }

  get now(): number {
    return this.#now;
  }
  /** Only before the first run: a reopened lab goes on where it was. */
  startAt(now: number): void {
    this.#now = now;
  }
  get status(): ClockStatus {
    const slowed = this.#running ? this.#slowed() : null;
    return {
      now: this.#now,
      running: this.#running,
      speed: this.#speed,
      achieved: this.#achieved,
      limited: this.#limited,
      ...(slowed === null ? {} : { slowed: { speed: slowed, why: 'migration' as const } }),
    };
  }
  /** The speed it is slowed to, when that is slower than the chosen one. */
  #slowed(): number | null {
    const most = this.#lab.slowedTo?.() ?? null;
    return most !== null && (this.#speed === 0 || most < this.#speed) ? most : null;
  }
  /** Virtual seconds per second on the user's clock now; 0 = as fast as possible. */
  #pace(): number {
    return this.#slowed() ?? this.#speed;
  }
  /** Something that the pace depends on has changed. */
  paceChanged(): void {
    this.#wake?.();
    this.#changed();
  }
  setSpeed(speed: number): void {
    this.#speed = speed;
    this.#wake?.();
    this.#changed();
  }
  run(): void {
    this.#pauseAt = Infinity;
    this.#start();
  }
  /** Runs `ns` further, then pauses; resolves when it has. */
  async step(ns: number): Promise<void> {
    this.#pauseAt = this.#now + ns;
    this.#start();
    await this.#loop;
  }
  /** Runs as fast as possible until `stop` holds after an epoch or `limit` more virtual ns have passed; resolves with whether it held. */
  async advance(limit: number, stop: () => boolean): Promise<boolean> {
    this.#speed = 0;
    this.#stop = stop;
    try {
      await this.step(limit);
      return stop();
    } finally {
      this.#stop = null;
    }
  }
  /** Stops after the epoch that is running; resolves then. */
  async pause(): Promise<void> {
    this.#running = false;
    this.#wake?.();
    await this.#loop;
  }
  /** Resolves when the running epoch, if any, has ended and outside input was applied. */
  async settle(): Promise<void> {
    if (!this.#loop) await this.#lab.betweenEpochs(this.#now);
    else this.#wake?.();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    const previous = this.#loop ?? Promise.resolve();
    const loop: Promise<void> = previous
      .then(() => this.#turn())
      .catch((e: unknown) => this.#failed(e))
      .finally(() => {
        if (this.#loop !== loop) return;
        this.#running = false;
        this.#loop = null;
        // what arrived after the last epoch began
        void this.settle();
        this.#changed();
      });
    this.#loop = loop;
    this.#changed();
  }

  async #turn(): Promise<void> {
    /** Wall time at which the lab's time is due. */
    let due = performance.now();
    let windowWall = due;
    let windowVirtual = this.#now;
    let windowBehind = false;
    let epochs = 1;
    while (this.#running) {
      await this.#lab.betweenEpochs(this.#now);
      const from = this.#now;
      const until = Math.min(from + this.#lab.epochNs() * epochs, this.#pauseAt);
      const idleUntil = await this.#lab.runEpoch(until);
      this.#now = until;
      // Nothing can happen before idleUntil: the epochs up to there are one. Paced runs stay responsive to input.
      const speed = this.#pace();
      const most = speed === 0 ? IDLE_NS : SLEEP_MS * 1e6 * speed;
      epochs = Math.max(1, Math.floor((Math.min(idleUntil, until + most) - until) / this.#lab.epochNs()));
      if (speed === 0 && idleUntil === Infinity && this.#pauseAt === Infinity) await this.#sleep(1);
      this.#changed();
      const ended = this.#now >= this.#pauseAt || this.#stop?.() === true;
      if (!ended) due = await this.#keepPace(due, until - from);
      const wall = performance.now();
      if (wall - due > 100) {
        // behind: do not try to catch up later
        windowBehind = true;
        due = wall;
      }
      if (wall - windowWall >= 500) {
        this.#achieved = ((this.#now - windowVirtual) / NS_PER_SECOND / (wall - windowWall)) * 1000;
        this.#limited = speed > 0 && windowBehind && this.#achieved < speed * 0.95;
        windowWall = wall;
        windowVirtual = this.#now;
        windowBehind = false;
      }
      if (ended) {
        this.#running = false;
        this.#pauseAt = Infinity;
      }
    }
    this.#achieved = 0;
    this.#limited = false;
    // a stopped clock leaves nothing half done: what the last epoch asked for happens at its end
    await this.#lab.betweenEpochs(this.#now);
  }

  /**
   * Waits until an epoch of `ns` that followed wall time `before` is due at the pace of now, which may change meanwhile. What comes from
   * outside is applied while it waits.
   * @returns the wall time at which it was due
   */
  async #keepPace(before: number, ns: number): Promise<number> {
    for (;;) {
      const wall = performance.now();
      const pace = this.#pace();
      if (pace === 0) return wall;
      const due = before + ns / pace / 1e6;
      if (due <= wall + 1 || !this.#running) return due;
      await this.#sleep(Math.min(due - wall, SLEEP_MS));
      if (!this.#woken) continue;
      // so little ahead of its time it may be; the next wait makes up for it
      if (due - performance.now() <= SLEEP_MS) return due;
      await this.#lab.betweenEpochs(this.#now);
    }
  }

  /** Sleeps while paced ahead of the wall clock; input wakes it. */
  #sleep(ms: number): Promise<void> {
    this.#woken = false;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = () => {
        this.#woken = true;
        done();
      };
    });
  }
}
