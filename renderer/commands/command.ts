// What a verb is to the window: one object that the palette, a menu, a button and a shortcut all take, so that a verb is
// called the same, is unavailable for the same reason and does the same wherever it is found.
import type { Component } from 'vue';
import type { MenuAction } from '../composables/menu.ts';

export interface Verb {
  readonly id: string;
  /** Where it stands in the palette: a domain's or host's name, or an area of the app. */
  readonly group: string;
  /** Full title for the palette: "Pause web-01". */
  readonly title: string;
  /** Short label for buttons and menus that already say what they are about: "Pause". */
  readonly label: string;
  readonly icon?: Component;
  /** As it is printed: "Ctrl K". */
  readonly shortcut?: string;
  /** Further words that find it. */
  readonly keywords?: string;
  readonly detail?: string;
  readonly disabledReason?: string;
  readonly danger?: boolean;
  readonly checked?: boolean;
  readonly run: () => void;
  /** Opens a sheet with everything that can be chosen first; the palette's Tab. */
  readonly options?: () => void;
  /** What is chosen there may be what makes it possible: the sheet opens although the verb cannot run as it stands. */
  readonly optionsAnyway?: boolean;
}

export function toMenuAction(verb: Verb): MenuAction {
  const { id, label, icon, shortcut, detail, disabledReason, danger, checked, run } = verb;
  return { kind: 'action', id, label, icon, shortcut, detail, disabledReason, danger, checked, run };
}
