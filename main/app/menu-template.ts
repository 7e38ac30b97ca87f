/**
 * The native menu, made from the one table of commands plus the items every platform expects.
 *
 * Invariant: no menu item registers a key of the command table: the renderer acts on keys, since a focused console
 * takes every key (on macOS the system always registers them; consoles there use Control, commands use Command).
 */
import type { MenuItemConstructorOptions } from 'electron';
import { commands, type Command, type CommandMenu } from '../../shared/commands.ts';

/**
 * @param platform Node's name of the platform
 * @param run called with the id of a chosen command
 */
export function menuTemplate(platform: string, run: (command: string) => void): MenuItemConstructorOptions[] {
  const separator: MenuItemConstructorOptions = { type: 'separator' };
  const isMac = platform === 'darwin';

  const items = (menu: CommandMenu): MenuItemConstructorOptions[] =>
    (commands as readonly Command[])
      .filter((command) => command.menu === menu)
      .flatMap((command, index) => {
        const item: MenuItemConstructorOptions = {
          id: command.id,
          label: command.label,
          registerAccelerator: false,
          click: () => {
            run(command.id);
          },
          ...(command.keys === undefined ? {} : { accelerator: command.keys }),
        };
        return command.group === true && index > 0 ? [separator, item] : [item];
      });

  const edit: MenuItemConstructorOptions[] = [
    ...items('edit'),
    separator,
    { role: 'cut' },
    { role: 'copy' },
    { role: 'paste' },
    { role: 'selectAll' },
  ];
  const view: MenuItemConstructorOptions[] = [
    ...items('view'),
    separator,
    { role: 'resetZoom' },
    { role: 'zoomIn' },
    { role: 'zoomOut' },
    separator,
    { role: 'togglefullscreen' },
    { role: 'toggleDevTools' },
  ];
  return [
    ...(isMac ? [{ role: 'appMenu' } as MenuItemConstructorOptions] : []),
    { label: 'File', submenu: [...items('file'), separator, isMac ? { role: 'close' } : { role: 'quit' }] },
    { label: 'Edit', submenu: edit },
    { label: 'Domain', submenu: items('domain') },
    { label: 'Lab', submenu: items('lab') },
    { label: 'View', submenu: view },
    ...(isMac ? [{ role: 'windowMenu' } as MenuItemConstructorOptions] : []),
    {
      role: 'help',
      label: 'Help',
      submenu: [...items('help'), ...(isMac ? [] : [separator, { role: 'about' } as const])],
    },
  ];
}
