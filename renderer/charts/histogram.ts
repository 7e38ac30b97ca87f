// How long events took, counted in classes that double: 1-2-5 steps of ten between the shortest and the longest.

export interface HistogramClass {
  /** Upper bound, inclusive, in ns. */
  readonly upTo: number;
  readonly count: number;
}

/** Upper bounds 1, 2, 5, 10, 20, 50, … */
function* bounds(): Generator<number> {
  for (let power = 1; ; power *= 10) for (const step of [1, 2, 5]) yield step * power;
}

/** Classes from the first to the last that holds anything, empty ones between them included. */
export function histogram(durations: readonly number[]): HistogramClass[] {
  if (durations.length === 0) return [];
  const sorted = [...durations].sort((a, b) => a - b);
  const classes: HistogramClass[] = [];
  let at = 0;
  for (const upTo of bounds()) {
    const from = at;
    while (at < sorted.length && sorted[at] <= upTo) at += 1;
    if (at > 0) classes.push({ upTo, count: at - from });
    if (at === sorted.length) return classes;
  }
  return classes;
}

/** The smallest value that at least this share of all does not exceed (nearest rank); undefined of nothing. */
export function quantile(values: readonly number[], share: number): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** The classes as CSV: upper bound in ns and count, a line each. */
export function histogramCsv(classes: readonly HistogramClass[]): string {
  return ['up_to_ns,count', ...classes.map(({ upTo, count }) => `${upTo},${count}`)].join('\n') + '\n';
}
