// What the engine said of a domain over the last minute of lab time, so that lines can be drawn and rates read. Counters are
// kept as they came; rates are differences over lab time and never guessed.

/** One report: counters since creation, at a point of lab time (ns). */
export interface Sample {
  readonly at: number;
  readonly cpuNs: number;
  readonly memoryMiB: number;
}

/** What is reported only of the domain that is looked at. */
export interface DetailedSample extends Sample {
  readonly instructions: number;
  readonly hypercalls: number;
  readonly exits: number;
}

/** A counter of that kind of report. */
export type Counter<S> = Exclude<keyof S, 'at' | 'memoryMiB'> & string;

/** How much lab time the lines show. */
export const SPAN_NS = 60e9;
const SECOND_NS = 1e9;
const LIMIT = 240;
/** Reports closer than this are merged, so that a minute fits whatever the rate of reports is. */
const SPACING_NS = SPAN_NS / LIMIT;

/** Adds a report. The list is a new one, so that whoever draws it notices. A clock that went back starts a new list. */
export function withSample<S extends Sample>(list: readonly S[], sample: S): readonly S[] {
  const last = list.at(-1);
  if (!last) return [sample];
  if (sample.at < last.at || sample.cpuNs < last.cpuNs) return [sample];
  const beforeLast = list.at(-2);
  // The newest entry always is the newest report; it replaces its predecessor while they are close together.
  const close = beforeLast !== undefined && last.at - beforeLast.at < SPACING_NS;
  const kept = close ? list.slice(0, -1) : list.slice();
  const first = kept.findIndex((entry) => entry.at >= sample.at - SPAN_NS - SECOND_NS);
  return [...kept.slice(first < 0 ? kept.length : first), sample];
}

/** Events per second of lab time over the last second (or over what there is of it); 0 when no lab time passed. */
export function rateNow<S extends Sample>(list: readonly S[], counter: Counter<S>): number {
  const last = list.at(-1);
  if (!last) return 0;
  const from = list.findLast((entry) => entry.at <= last.at - SECOND_NS) ?? list[0];
  return rate(from, last, counter);
}

/** The rate between each report and the one before. */
export function rates<S extends Sample>(list: readonly S[], counter: Counter<S>): { at: number; value: number }[] {
  const points: { at: number; value: number }[] = [];
  for (let i = 1; i < list.length; i++) points.push({ at: list[i].at, value: rate(list[i - 1], list[i], counter) });
  return points;
}

function rate<S extends Sample>(from: S, to: S, counter: Counter<S>): number {
  const elapsed = to.at - from.at;
  const grown = (to[counter] as number) - (from[counter] as number);
  return elapsed > 0 ? (grown * SECOND_NS) / elapsed : 0;
}
