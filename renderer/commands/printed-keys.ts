// The printed shortcut of a command, by its name in the command table.
import { commands } from '../../shared/commands.ts';
import type { CommandId } from '../../shared/commands.ts';
import { printAccelerator } from './keys.ts';

/** @returns a function from a command to its key cap; empty for a command without keys */
export function printKeys(mac: boolean): (id: CommandId) => string {
  const printed = new Map<string, string>();
  for (const command of commands) if ('keys' in command) printed.set(command.id, printAccelerator(command.keys, mac));
  return (id) => printed.get(id) ?? '';
}
