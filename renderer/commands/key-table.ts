// Which key each command has now: the command table's, or the person's own for single keys (WCAG 2.2, 2.1.4: they can be
// remapped or switched off). Keys with Ctrl stay as they are.
import { commands } from '../../shared/commands.ts';
import type { CommandId } from '../../shared/commands.ts';

export interface KeyedCommand {
  readonly id: CommandId;
  readonly label: string;
  /** Empty: switched off. */
  readonly keys: string;
  /** Acts only with canvas or tape focused, and may be remapped. */
  readonly single: boolean;
}

/** @param own by command id; an empty string switches the key off */
export function keyTable(own: Readonly<Record<string, string>>): KeyedCommand[] {
  return commands.flatMap((command) => {
    if (!('keys' in command)) return [];
    const single = 'scope' in command;
    return [
      {
        id: command.id,
        label: command.label.replace('…', ''),
        keys: (single ? own[command.id] : undefined) ?? command.keys,
        single,
      },
    ];
  });
}

/** Which other command has that key already; undefined when it is free. */
export function keyTaken(table: readonly KeyedCommand[], id: CommandId, key: string): KeyedCommand | undefined {
  return table.find((entry) => entry.id !== id && entry.keys.toLowerCase() === key.toLowerCase());
}
