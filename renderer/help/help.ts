// The one help note of the window: what is shown there, asked for from the panel it is about or from the palette.
import { shallowRef } from 'vue';
import { messages } from '../messages/index.ts';
import type { HelpTopic } from '../messages/en-help.ts';

export interface OpenHelp {
  readonly topic: HelpTopic;
  /** Takes focus back. */
  readonly owner: HTMLElement | undefined;
  /** Place in a tour, from 1; undefined when one topic was asked for. */
  readonly step: number | undefined;
}

/** The topics of the tour, in order. */
export const TOUR = ['lab', 'console', 'memory', 'trace', 'scheduler', 'migrations'] as const;

export const openedHelp = shallowRef<OpenHelp>();

export function openHelp(id: string, owner?: HTMLElement): void {
  const topic = messages.help.topics[id];
  if (topic) openedHelp.value = { topic, owner: owner ?? (document.activeElement as HTMLElement), step: undefined };
}

/** Begins the tour, or goes on with it; ends it after its last topic. */
export function tourStep(step: number): void {
  const topic = messages.help.topics[TOUR[step - 1] ?? ''];
  const owner = openedHelp.value?.owner ?? (document.activeElement as HTMLElement);
  if (topic) openedHelp.value = { topic, owner, step };
  else closeHelp();
}

export function closeHelp(): void {
  const owner = openedHelp.value?.owner;
  openedHelp.value = undefined;
  if (owner?.isConnected) owner.focus();
}
