// Dragging with pointer events (never the browser's own drag and drop, which has no keyboard, no touch and cannot be
// cancelled everywhere). A drag is always a second way: the same verb exists in menus, palette and shortcuts.
import { shallowRef } from 'vue';

const THRESHOLD_PX = 5;

export interface DragPayload {
  readonly kind: 'template' | 'domain' | 'saved';
  /** Of the template; uuid of the domain; path of the saved file. */
  readonly id: string;
  readonly label: string;
}

export interface Drag {
  readonly payload: DragPayload;
  readonly x: number;
  readonly y: number;
  /** Name of the host under the pointer (the `data-drop-host` of an element). */
  readonly host: string | undefined;
}

/** The drag in progress; undefined when nothing is held. */
export const drag = shallowRef<Drag>();

function hostAt(x: number, y: number): string | undefined {
  return document.elementFromPoint(x, y)?.closest<HTMLElement>('[data-drop-host]')?.dataset.dropHost;
}

/**
 * Call from `pointerdown`. The drag begins once the pointer has moved a few pixels, so that a click stays a click.
 * @param drop called with the host on which the payload was let go; not called when the drag is cancelled (Escape, or let go elsewhere)
 */
export function beginDrag(down: PointerEvent, payload: DragPayload, drop: (host: string) => void): void {
  if (down.button !== 0) return;
  const pointer = down.pointerId;

  const move = (event: PointerEvent): void => {
    if (event.pointerId !== pointer) return;
    if (!drag.value && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < THRESHOLD_PX) return;
    event.preventDefault();
    const { clientX: x, clientY: y } = event;
    drag.value = { payload, x, y, host: hostAt(x, y) };
  };
  const up = (event: PointerEvent): void => {
    if (event.pointerId !== pointer) return;
    const held = drag.value;
    end();
    if (!held) return;
    swallowClick();
    const host = hostAt(event.clientX, event.clientY);
    if (host !== undefined) drop(host);
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !drag.value) return;
    event.preventDefault();
    event.stopPropagation();
    end();
    swallowClick();
  };
  const cancel = (): void => end();
  const end = (): void => {
    drag.value = undefined;
    removeEventListener('pointermove', move);
    removeEventListener('pointerup', up);
    removeEventListener('pointercancel', cancel);
    removeEventListener('keydown', key, true);
    removeEventListener('blur', cancel);
  };
  addEventListener('pointermove', move);
  addEventListener('pointerup', up);
  addEventListener('pointercancel', cancel);
  addEventListener('keydown', key, true);
  addEventListener('blur', cancel);
}

/** The browser sends a click after a drag that ends where it began; nobody meant it. */
function swallowClick(): void {
  const swallow = (event: MouseEvent): void => {
    event.stopPropagation();
    event.preventDefault();
  };
  addEventListener('click', swallow, { capture: true, once: true });
  setTimeout(() => removeEventListener('click', swallow, true));
}
