// One tab stop for a list of things, and arrow keys inside it.

/** Focusable members of a roving list, in document order. */
export function members(list: HTMLElement): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>('[data-roving]')];
}

/**
 * Moves focus inside a list and makes the newly focused member its tab stop.
 * @returns true when the key was one of this list's
 */
export function rove(list: HTMLElement, event: KeyboardEvent, orientation: 'vertical' | 'horizontal'): boolean {
  const forward = orientation === 'vertical' ? 'ArrowDown' : 'ArrowRight';
  const back = orientation === 'vertical' ? 'ArrowUp' : 'ArrowLeft';
  const all = members(list);
  if (all.length === 0) return false;
  const here = all.indexOf(document.activeElement as HTMLElement);
  let to: number;
  if (event.key === forward) to = Math.min(all.length - 1, here + 1);
  else if (event.key === back) to = Math.max(0, here - 1);
  else if (event.key === 'Home') to = 0;
  else if (event.key === 'End') to = all.length - 1;
  else return false;
  event.preventDefault();
  event.stopPropagation();
  all[to].focus();
  return true;
}

/**
 * In a grid drawn by layout: the member nearest to one in a direction, judged by where they are on screen.
 * @param all members; `cell` is the box that stands for one (asking a member that is skipped while out of view would lay it out)
 */
export function neighbour(
  all: readonly HTMLElement[],
  from: HTMLElement,
  key: string,
  cell: (member: HTMLElement) => Element = (member) => member,
): HTMLElement | undefined {
  const at = centre(cell(from));
  let best: HTMLElement | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of all) {
    if (candidate === from) continue;
    const to = centre(cell(candidate));
    const dx = to.x - at.x;
    const dy = to.y - at.y;
    const [along, across] =
      key === 'ArrowRight' ? [dx, dy] : key === 'ArrowLeft' ? [-dx, dy] : key === 'ArrowDown' ? [dy, dx] : [-dy, dx];
    if (along <= 4) continue;
    const distance = along + Math.abs(across) * 3;
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

function centre(element: Element): { x: number; y: number } {
  const box = element.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
}
