// Reports that cost much to draw are drawn less often, so that a full lab leaves the window time for the person: after an update
// that took t, the next waits at least three times t, and it waits until the answer to what the person just did is on screen. Of
// several reports that wait only the newest is applied. Reports that are cheap wait for nothing.

export interface Pace {
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  later(run: () => void, ms: number): void;
  /** Resolves when what was applied is on its way to the screen. */
  settled(): Promise<unknown>;
  /** From when on (on that clock) the person waits for nothing. */
  answeredAt(): number;
}

const REST = 3;
/** An update that takes less disturbs nobody: half of a frame. */
const CHEAP_MS = 8;
/** Somebody who types without a pause still sees the lab go on. */
const PATIENCE_MS = 400;

/** @returns takes a report; applies it now or, in place of older ones, later */
export function paced<T>(apply: (report: T) => void, pace: Pace): (report: T) => void {
  let newest: { report: T } | undefined;
  let busy = false;
  let cost = 0;
  /** Since when the newest report could be drawn but for the person. */
  let held: number | undefined;

  async function run(): Promise<void> {
    if (!newest) {
      busy = false;
      return;
    }
    const now = pace.now();
    held ??= now;
    const wait = cost < CHEAP_MS ? 0 : Math.min(pace.answeredAt(), held + PATIENCE_MS) - now;
    if (wait > 0) {
      pace.later(() => void run(), wait);
      return;
    }
    held = undefined;
    const { report } = newest;
    newest = undefined;
    apply(report);
    await pace.settled();
    cost = pace.now() - now;
    pace.later(() => void run(), REST * cost);
  }

  return (report) => {
    newest = { report };
    if (busy) return;
    busy = true;
    void run();
  };
}
