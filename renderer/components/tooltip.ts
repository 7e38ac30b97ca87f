// The one tooltip of the window, as a directive: `v-tooltip="'Pause (F9)'"`. It appears on hover and on keyboard focus, can
// be dismissed with Escape without moving focus, and stays while the pointer is over its control (WCAG 2.2, 1.4.13).
// The control carries its own accessible name; the tooltip only shows it, so it is hidden from assistive technology.
import type { Directive } from 'vue';

const DELAY_MS = 500;
const GAP_PX = 6;

let bubble: HTMLElement | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let owner: HTMLElement | undefined;
const texts = new WeakMap<HTMLElement, string>();

function surface(): HTMLElement {
  if (!bubble) {
    bubble = document.createElement('div');
    bubble.className = 'tooltip';
    bubble.popover = 'manual';
    bubble.setAttribute('aria-hidden', 'true');
    document.body.append(bubble);
    document.addEventListener('keydown', (event) => event.key === 'Escape' && hide(), true);
    document.addEventListener('pointerdown', hide, true);
  }
  return bubble;
}

function show(control: HTMLElement): void {
  const text = texts.get(control);
  if (!text || !control.isConnected) return;
  const tip = surface();
  tip.textContent = text;
  tip.showPopover();
  const at = control.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const below = at.bottom + GAP_PX + size.height <= window.innerHeight;
  const left = Math.max(
    GAP_PX,
    Math.min(window.innerWidth - size.width - GAP_PX, at.left + (at.width - size.width) / 2),
  );
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + GAP_PX : at.top - GAP_PX - size.height}px`;
  owner = control;
}

function hide(): void {
  clearTimeout(timer);
  if (owner) bubble?.hidePopover();
  owner = undefined;
}

function onPointerEnter(event: PointerEvent): void {
  if (event.pointerType !== 'mouse') return;
  clearTimeout(timer);
  const control = event.currentTarget as HTMLElement;
  timer = setTimeout(() => show(control), DELAY_MS);
}

function onFocus(event: FocusEvent): void {
  const control = event.currentTarget as HTMLElement;
  if (control.matches(':focus-visible')) show(control);
}

export const vTooltip: Directive<HTMLElement, string | undefined> = {
  mounted(control, { value }) {
    if (value) texts.set(control, value);
    control.addEventListener('pointerenter', onPointerEnter);
    control.addEventListener('pointerleave', hide);
    control.addEventListener('focus', onFocus);
    control.addEventListener('blur', hide);
  },
  updated(control, { value }) {
    if (value) texts.set(control, value);
    else texts.delete(control);
    if (owner === control && bubble && value) bubble.textContent = value;
  },
  unmounted(control) {
    if (owner === control) hide();
  },
};
