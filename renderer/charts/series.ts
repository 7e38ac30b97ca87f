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
