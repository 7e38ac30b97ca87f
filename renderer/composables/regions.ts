// F6 goes round the regions of the window, in the order in which they are on screen; each remembers what had focus in it. A part
// that takes every key for itself (a console) is never gone to this way: F6 could not lead out of it again.

const remembered = new WeakMap<HTMLElement, HTMLElement>();
const FOCUSABLE =
  'a[href], button:not([tabindex="-1"]):not(:disabled), input:not(:disabled), textarea, select, [tabindex="0"]';

function regions(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>('[data-region]')].filter(
    (region) => region.getClientRects().length > 0 && region.querySelector(FOCUSABLE),
  );
}

/** Remembers where focus was inside each region. Call once; returns how to stop. */
export function followRegions(): () => void {
  const remember = (event: FocusEvent): void => {
    const target = event.target as HTMLElement;
    const region = target.closest<HTMLElement>('[data-region]');
    if (region && !target.closest('[data-takes-keys]')) remembered.set(region, target);
  };
  document.addEventListener('focusin', remember);
  return () => document.removeEventListener('focusin', remember);
}

/** Moves focus to the next (1) or previous (-1) region. */
export function cycleRegion(direction: 1 | -1): void {
  const all = regions();
  if (all.length === 0) return;
  const here = all.findIndex((region) => region.contains(document.activeElement));
  const next = all[(here + direction + all.length) % all.length] ?? all[0];
  const before = remembered.get(next);
  const target =
    before?.isConnected && next.contains(before) && before.tabIndex >= 0
      ? before
      : (next.querySelector<HTMLElement>('[data-roving][tabindex="0"], [role=tab][tabindex="0"]') ??
        next.querySelector<HTMLElement>(FOCUSABLE));
  target?.focus();
}
