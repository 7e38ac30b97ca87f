/**
 * Where a window opens: as it was left, if that place still exists on the screens of today.
 */
import type { WindowBounds } from './preferences.ts';

export interface WorkArea {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The size of a first window, in device-independent pixels. */
export const DEFAULT_SIZE = { width: 1440, height: 900 } as const;
/** Below this the layout of the lab view does not fit at 100% zoom. */
export const MINIMUM_SIZE = { width: 800, height: 560 } as const;
/** How much of a remembered window must be on some screen for it to be reachable with the mouse. */
const REACHABLE = { width: 120, height: 48 } as const;

/**
 * The bounds to open with, in device-independent pixels of the desktop.
 *
 * @param remembered the bounds at the last close, or null
 * @param workAreas the usable rectangles of all screens; the first one is the primary screen
 */
export function placeWindow(remembered: WindowBounds | null, workAreas: readonly WorkArea[]): WindowBounds {
  const primary = workAreas[0];
  const largest = primary ?? { x: 0, y: 0, width: DEFAULT_SIZE.width, height: DEFAULT_SIZE.height };
  const wanted = remembered ?? DEFAULT_SIZE;
  const size = {
    width: Math.max(
      MINIMUM_SIZE.width,
      Math.min(wanted.width, Math.max(...workAreas.map((a) => a.width), largest.width)),
    ),
    height: Math.max(
      MINIMUM_SIZE.height,
      Math.min(wanted.height, Math.max(...workAreas.map((a) => a.height), largest.height)),
    ),
  };
  const x = remembered?.x;
  const y = remembered?.y;
  if (x === undefined || y === undefined) return size;
  const reachable = workAreas.some((area) => {
    const shownWidth = Math.min(x + size.width, area.x + area.width) - Math.max(x, area.x);
    const titleShown = y >= area.y && y + REACHABLE.height <= area.y + area.height;
    return shownWidth >= REACHABLE.width && titleShown;
  });
  return reachable ? { x, y, ...size } : size;
}
