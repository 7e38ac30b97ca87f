// Where things stand on the tape: ticks of the axis, and events as marks whose hit areas never overlap. Events too close to
// tell apart share one mark; a mark carries its label when there is room before the next one.
import { formatTick } from '../format/time.ts';

export interface TapeEvent {
  readonly id: string;
  /** Lab time in nanoseconds. */
  readonly at: number;
  readonly label: string;
}

export interface TapeMark<E extends TapeEvent> {
  readonly x: number;
  readonly events: readonly E[];
  /** Drawn beside the mark; undefined when there is no room (it is still the mark's name). */
  readonly label: string | undefined;
}

export interface TapeTick {
  readonly x: number;
  readonly label: string | undefined;
}

/** WCAG 2.2, 2.5.8: targets are at least 24 px wide, so marks are at least that far apart. */
const MARK_PX = 24;
const TICK_PX = 90;
const LABEL_GAP_PX = 10;
/** A tick's label is not drawn where the tape's end would cut it. */
const TICK_LABEL_PX = 40;
const SECOND = 1e9;
const STEPS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** How much time the tape shows: all of the history and a bit of what comes, in steps so that it does not slide all the time. */
export function tapeSpan(now: number): number {
  let span = 10 * SECOND;
  while (span < now * 1.12) span *= 1.5;
  return span;
}

export function layoutTicks(span: number, width: number): TapeTick[] {
  const perPx = span / Math.max(1, width);
  const step =
    (STEPS_S.find((s) => (s * SECOND) / perPx >= TICK_PX) ?? Math.ceil((TICK_PX * perPx) / SECOND / 3600) * 3600) *
    SECOND;
  const minor = step / 5;
  const decimals = step >= SECOND ? 0 : Math.ceil(-Math.log10(step / SECOND));
  const ticks: TapeTick[] = [];
  for (let i = 0; i * minor <= span; i++) {
    const x = (i * minor) / perPx;
    const major = i % 5 === 0 && i > 0 && x + TICK_LABEL_PX <= width;
    ticks.push({ x, label: major ? formatTick(i * minor, decimals) : undefined });
  }
  return ticks;
}

/**
 * @param events ascending in time
 * @param measure width of a label in px
 */
export function layoutMarks<E extends TapeEvent>(
  events: readonly E[],
  span: number,
  width: number,
  measure: (text: string) => number,
  join: (events: readonly E[]) => string,
): TapeMark<E>[] {
  const groups: { x: number; events: E[] }[] = [];
  for (const event of events) {
    const x = (event.at / span) * width;
    const last = groups.at(-1);
    if (last && x - last.x < MARK_PX) last.events.push(event);
    else groups.push({ x, events: [event] });
  }
  return groups.map(({ x, events: members }, i) => {
    const next = groups[i + 1]?.x ?? width;
    const text = members.length === 1 ? members[0].label : join(members);
    const fits = x + LABEL_GAP_PX + measure(text) + LABEL_GAP_PX <= next;
    return { x, events: members, label: fits ? text : undefined };
  });
}

/** True where the playhead would cross the label beside a mark: the label is not drawn until it has gone on. */
export function labelCrossed(mark: TapeMark<TapeEvent>, playhead: number, measure: (text: string) => number): boolean {
  if (mark.label === undefined) return false;
  const begin = mark.x + LABEL_GAP_PX;
  return playhead > begin && playhead < begin + measure(mark.label) + LABEL_GAP_PX;
}
