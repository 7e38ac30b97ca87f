// The printed shortcut of a command, by its name in the command table.
import { computed } from 'vue';
import type { CommandId } from '../../shared/commands.ts';
import { usePreferences } from '../stores/preferences.ts';
import { keyTable } from './key-table.ts';
import { printAccelerator } from './keys.ts';

/** @returns a function from a command to its key cap; empty for a command without keys */
export function printKeys(mac: boolean): (id: CommandId) => string {
  const { values } = usePreferences();
  const printed = computed(
    () => new Map(keyTable(values.keys).map(({ id, keys }) => [id, keys === '' ? '' : printAccelerator(keys, mac)])),
  );
  return (id) => printed.value.get(id) ?? '';
}
