// Reports that cost much to draw are drawn less often, so that a full lab leaves the window time for the person: after an update
// that took t, the next waits at least three times t. Of several reports that wait only the newest is applied.

export interface Pace {
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  later(run: () => void, ms: number): void;
  /** Resolves when what was applied is on its way to the screen. */
  settled(): Promise<unknown>;
}

const REST = 3;

/** @returns takes a report; applies it now or, in place of older ones, later */
export function paced<T>(apply: (report: T) => void, pace: Pace): (report: T) => void {
  let newest: { report: T } | undefined;
  let busy = false;

  async function run(): Promise<void> {
    const taken = newest;
    newest = undefined;
    if (!taken) {
      busy = false;
      return;
    }
    const began = pace.now();
    apply(taken.report);
    await pace.settled();
    pace.later(() => void run(), REST * (pace.now() - began));
  }

  return (report) => {
    newest = { report };
    if (busy) return;
    busy = true;
    void run();
  };
}
