// What a time chart is given: named lines of points over lab time.

export interface ChartPoint {
  /** Lab time in nanoseconds. */
  readonly at: number;
  readonly value: number;
}

export interface ChartSeries {
  readonly label: string;
  /** Custom property of the line's colour. */
  readonly colour: string;
  readonly dash?: readonly number[];
  readonly points: readonly ChartPoint[];
}

/**
 * Index of the entry nearest to a value in an ascending list; ties go to the earlier entry.
 * @returns -1 for an empty list
 */
export function nearestIndex(ascending: readonly number[], value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < value) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return ascending.length === 0 ? -1 : 0;
  if (low === ascending.length) return low - 1;
  return value - ascending[low - 1] <= ascending[low] - value ? low - 1 : low;
}

/**
 * The top of an axis: the smallest of 1, 2 or 5 times a power of ten that holds every value, so that the scale steps and
 * does not breathe with each sample.
 */
export function niceCeiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 5, 10]) if (step * power >= value) return step * power;
  return 10 * power;
}

/** What a line does in a range of time, both ends included; undefined where nothing was recorded. */
export function overRange(
  points: readonly ChartPoint[],
  [from, to]: readonly [number, number],
): { readonly least: number; readonly most: number; readonly mean: number; readonly count: number } | undefined {
  const values = points.filter(({ at }) => at >= from && at <= to).map(({ value }) => value);
  if (values.length === 0) return undefined;
  const sum = values.reduce((all, value) => all + value, 0);
  return { least: Math.min(...values), most: Math.max(...values), mean: sum / values.length, count: values.length };
}

/** Lines as comma-separated values, one row a point of time; a line without a point there has an empty field. */
export function seriesCsv(series: readonly ChartSeries[], times: readonly number[]): string {
  const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const byTime = series.map((line) => new Map(line.points.map(({ at, value }) => [at, value])));
  const rows = times.map((at) => [at, ...byTime.map((line) => line.get(at) ?? '')].join(','));
  return `${['lab_time_ns', ...series.map(({ label }) => quoted(label))].join(',')}\n${rows.join('\n')}\n`;
}
