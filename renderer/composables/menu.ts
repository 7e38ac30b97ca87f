// The one menu of the window. Whoever offers verbs (a tile, a host, the lab's name, the speed) asks for a menu at an anchor;
// `AppMenu.vue` draws it. One menu for all keeps a hundred tiles cheap and the keyboard behaviour the same everywhere.
import type { Component } from 'vue';
import { shallowRef } from 'vue';

export interface MenuAction {
  readonly kind: 'action';
  readonly id: string;
  readonly label: string;
  readonly icon?: Component;
  readonly shortcut?: string;
  readonly detail?: string;
  readonly disabledReason?: string;
  readonly checked?: boolean;
  readonly danger?: boolean;
  readonly run: () => void;
}

export type MenuEntry =
  MenuAction | { readonly kind: 'separator' } | { readonly kind: 'heading'; readonly label: string };

export interface OpenMenu {
  readonly label: string;
  readonly entries: readonly MenuEntry[];
  /** Where to open, in the window's coordinates. */
  readonly at: { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };
  readonly align: 'start' | 'end';
  /** Takes focus back when the menu closes. */
  readonly owner: HTMLElement | undefined;
}

export const openedMenu = shallowRef<OpenMenu>();

/** Opens a menu under an element, or at the pointer when the event came from one. */
export function openMenu(
  source: HTMLElement | MouseEvent,
  label: string,
  entries: readonly MenuEntry[],
  align: 'start' | 'end' = 'start',
): void {
  if (entries.length === 0) return;
  if (source instanceof MouseEvent) {
    const { clientX, clientY } = source;
    const at = { left: clientX, right: clientX, top: clientY, bottom: clientY };
    openedMenu.value = { label, entries, at, align, owner: document.activeElement as HTMLElement };
  } else {
    openedMenu.value = { label, entries, at: source.getBoundingClientRect(), align, owner: source };
  }
}

export function closeMenu(restoreFocus = true): void {
  const owner = openedMenu.value?.owner;
  openedMenu.value = undefined;
  if (restoreFocus && owner?.isConnected) owner.focus();
}
