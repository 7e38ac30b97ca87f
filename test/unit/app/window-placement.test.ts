/** A window opens where it was left, if a person can still reach it there. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SIZE, MINIMUM_SIZE, placeWindow } from '../../../main/app/window-placement.ts';

const screen = { x: 0, y: 0, width: 1920, height: 1040 };

describe('placeWindow', () => {
  it('opens a first window in the default size, where the desktop puts it', () => {
    expect(placeWindow(null, [screen])).toEqual(DEFAULT_SIZE);
  });

  it('opens where it was', () => {
    const bounds = { x: 100, y: 50, width: 1200, height: 800 };
    expect(placeWindow(bounds, [screen])).toEqual(bounds);
  });

  it('forgets a place on a screen that is gone', () => {
    expect(placeWindow({ x: 2500, y: 50, width: 1200, height: 800 }, [screen])).toEqual({ width: 1200, height: 800 });
  });

  it('keeps a place on a second screen that is still there', () => {
    const second = { x: 1920, y: 0, width: 1280, height: 1024 };
    const bounds = { x: 2000, y: 50, width: 1000, height: 800 };
    expect(placeWindow(bounds, [screen, second])).toEqual(bounds);
  });

  it('forgets a place whose title bar is above or below the screen', () => {
    expect(placeWindow({ x: 0, y: -300, width: 1200, height: 800 }, [screen])).toEqual({ width: 1200, height: 800 });
    expect(placeWindow({ x: 0, y: 1030, width: 1200, height: 800 }, [screen])).toEqual({ width: 1200, height: 800 });
  });

  it('is never larger than the largest screen nor smaller than the layout allows', () => {
    expect(placeWindow({ width: 5000, height: 4000 }, [screen])).toEqual({ width: 1920, height: 1040 });
    expect(placeWindow({ width: 300, height: 300 }, [screen])).toEqual(MINIMUM_SIZE);
  });

  it('does without any known screen', () => {
    expect(placeWindow(null, [])).toEqual(DEFAULT_SIZE);
  });
});
