// Key presses to commands, by the command table. A console takes every key, a text field takes what a text field uses, and
// single keys act only with canvas or tape focused (WCAG 2.2, 2.1.4) and only when the person has not switched them off.
import type { CommandId } from '../../shared/commands.ts';
import { usePreferences } from '../stores/preferences.ts';
import { computed } from 'vue';
import { keyTable } from './key-table.ts';
import { parseAccelerator, matchesChord } from './keys.ts';

/** Keys a text field needs for itself. */
const OF_TEXT = new Set<CommandId>(['edit.undo']);

interface Handlers {
  readonly verbs: { runCommand(id: CommandId): boolean; chooseTab(index: number): void };
  readonly mac: boolean;
  readonly stepTape: (by: 1 | -1) => void;
}

/** @returns how to stop listening */
export function installKeys({ verbs, mac, stepTape }: Handlers): () => void {
  const preferences = usePreferences().values;
  const table = computed(() =>
    keyTable(preferences.keys).flatMap(({ id, keys, single }) =>
      keys === '' ? [] : [{ id, chord: parseAccelerator(keys), canvas: single }],
    ),
  );

  function onKeydown(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing) return;
    const target = event.target as HTMLElement;
    if (target.closest('dialog, [role=menu], .xterm')) return;
    const typing = target.closest('input, textarea, [contenteditable]') !== null;
    const canvas = target.closest('[data-single-keys]') !== null || target === document.body;

    if (event.ctrlKey && event.altKey && /^[1-9]$/.test(event.key)) {
      event.preventDefault();
      verbs.chooseTab(Number(event.key) - 1);
      return;
    }
    const single = canvas && !typing && preferences.singleKeys;
    if (single && event.shiftKey && (event.code === 'Period' || event.code === 'Comma')) {
      event.preventDefault();
      stepTape(event.code === 'Period' ? 1 : -1);
      return;
    }
    const pressable = target.closest('button, a') !== null;
    if (single && event.key === ' ' && !pressable) {
      event.preventDefault();
      verbs.runCommand('clock.toggle');
      return;
    }
    for (const { id, chord, canvas: onlyCanvas } of table.value) {
      if (!matchesChord(event, chord, mac)) continue;
      if (onlyCanvas && !single) continue;
      if (typing && OF_TEXT.has(id)) continue;
      event.preventDefault();
      verbs.runCommand(id);
      return;
    }
  }

  addEventListener('keydown', onKeydown);
  return () => removeEventListener('keydown', onKeydown);
}
