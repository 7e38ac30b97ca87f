/** The native menu comes from the one table of commands, and Electron can build it. */
import { describe, expect, it } from 'vitest';
import type { MenuItemConstructorOptions } from 'electron';
import { menuTemplate } from '../../../main/app/menu-template.ts';
import { commands } from '../../../shared/commands.ts';
import { Menu } from '../../standin/menu.ts';

const flatten = (items: readonly MenuItemConstructorOptions[]): MenuItemConstructorOptions[] =>
  items.flatMap((item) => [item, ...flatten((item.submenu as MenuItemConstructorOptions[] | undefined) ?? [])]);

describe.each(['linux', 'win32', 'darwin'])('the menu on %s', (platform) => {
  it('has every command once and registers no key', () => {
    const items = flatten(menuTemplate(platform, () => undefined)).filter((item) => item.id !== undefined);
    expect(items.map((item) => item.id).sort()).toEqual(commands.map((command) => command.id).sort());
    expect(items.every((item) => item.registerAccelerator === false)).toBe(true);
  });

  it('can be built: every accelerator and role is one that Electron knows', () => {
    const chosen: string[] = [];
    const menu = Menu.buildFromTemplate(menuTemplate(platform, (command) => chosen.push(command)) as never);
    for (const { id } of commands) menu.getMenuItemById(id)?.click();
    expect(chosen).toEqual(commands.map((command) => command.id));
  });
});

describe('the table of commands', () => {
  it('has no id and no key twice', () => {
    const ids = commands.map((command) => command.id);
    const keys = commands.flatMap((command) => ('keys' in command ? [command.keys] : []));
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
