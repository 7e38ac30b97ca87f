// Reading a chart along its axis: what is pointed at, a place that is pinned, and a range; with the pointer and with the same keys
// everywhere. Places are values of the axis (lab time, a round), so that they stay where they are while the chart goes on.
import { computed, ref } from 'vue';
import type { ComputedRef, Ref } from 'vue';
import { nearestIndex } from './series.ts';

export type Range = readonly [from: number, to: number];

export interface Reading {
  /** What is read now: the place pointed at, else the pinned one. */
  readonly at: ComputedRef<number | undefined>;
  readonly pinned: Ref<number | undefined>;
  readonly range: Ref<Range | undefined>;
  readonly onDown: (event: PointerEvent) => void;
  readonly onMove: (event: PointerEvent) => void;
  readonly onUp: (event: PointerEvent) => void;
  readonly onLeave: () => void;
  /** @returns true when the key was one of the chart's */
  readonly onKey: (event: KeyboardEvent) => boolean;
}

/** Further than this the pointer drags a range; nearer it was a click. */
const DRAG_PX = 4;

/**
 * The place a key leads to.
 * @param places ascending, at least one
 * @param here undefined before anything was read: then reading begins at the end that the key comes from
 * @returns undefined for a key that does not move
 */
export function placeAfter(places: readonly number[], here: number | undefined, key: string): number | undefined {
  const last = places.length - 1;
  const index = here === undefined ? undefined : nearestIndex(places, here);
  if (key === 'ArrowRight') return places[Math.min(last, (index ?? -1) + 1)];
  if (key === 'ArrowLeft') return places[Math.max(0, (index ?? last + 1) - 1)];
  if (key === 'Home') return places[0];
  return key === 'End' ? places[last] : undefined;
}

/** The range after its cursor went from one place to another: the other end stays. */
export function extended(range: Range | undefined, from: number, to: number): Range {
  const anchor = range ? (range[0] === from ? range[1] : range[0]) : from;
  return [Math.min(anchor, to), Math.max(anchor, to)];
}

/**
 * Call in setup.
 * @param places what can be read, ascending
 * @param valueAt the axis's value under a horizontal position in the plot, px
 */
export function useReading(places: () => readonly number[], valueAt: (px: number) => number | undefined): Reading {
  const hovered = ref<number>();
  const pinned = ref<number>();
  const range = ref<Range>();
  let held: { px: number; at: number } | undefined;

  function placeAt(px: number): number | undefined {
    const value = valueAt(px);
    const list = places();
    return value === undefined || list.length === 0 ? undefined : list[nearestIndex(list, value)];
  }

  return {
    at: computed(() => hovered.value ?? pinned.value),
    pinned,
    range,
    onDown(event) {
      const at = placeAt(event.offsetX);
      if (event.button !== 0 || at === undefined) return;
      held = { px: event.offsetX, at };
      (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    },
    onMove(event) {
      const at = placeAt(event.offsetX);
      hovered.value = at;
      if (!held || at === undefined || Math.abs(event.offsetX - held.px) <= DRAG_PX) return;
      range.value = [Math.min(held.at, at), Math.max(held.at, at)];
    },
    onUp(event) {
      const clicked = held !== undefined && Math.abs(event.offsetX - held.px) <= DRAG_PX;
      if (clicked) {
        pinned.value = held!.at === pinned.value ? undefined : held!.at;
        range.value = undefined;
      }
      held = undefined;
    },
    onLeave() {
      hovered.value = undefined;
    },
    onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return false;
      if (event.key === 'Escape' && (range.value ?? pinned.value) !== undefined) {
        if (range.value) range.value = undefined;
        else pinned.value = undefined;
        return true;
      }
      const list = places();
      const to = list.length === 0 ? undefined : placeAfter(list, pinned.value, event.key);
      if (to === undefined) return false;
      if (event.shiftKey) range.value = extended(range.value, pinned.value ?? to, to);
      pinned.value = to;
      return true;
    },
  };
}

/** A pinned place and a range as they lie over a plot. */
export function drawReading(
  context: CanvasRenderingContext2D,
  { at, range }: { at: number | undefined; range: Range | undefined },
  plot: { top: number; bottom: number; x: (value: number) => number },
  ink: string,
): void {
  const height = plot.bottom - plot.top;
  context.save();
  context.fillStyle = ink;
  if (range) {
    const [left, right] = [plot.x(range[0]), plot.x(range[1])];
    context.globalAlpha = 0.12;
    context.fillRect(left, plot.top, right - left, height);
    context.globalAlpha = 1;
    context.fillRect(left, plot.top, 1, height);
    context.fillRect(right - 1, plot.top, 1, height);
  }
  if (at !== undefined) context.fillRect(plot.x(at) - 1, plot.top, 2, height);
  context.restore();
}
