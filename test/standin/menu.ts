/**
 * Electron's Menu: kept and checked, not drawn. A browser's app window has no menu bar; the palette has every command.
 */
import { refuseUnknown, refuseUnknownOptions } from './refuse-unknown.ts';

interface ItemOptions {
  readonly id?: string;
  readonly label?: string;
  readonly type?: string;
  readonly role?: string;
  readonly accelerator?: string;
  readonly click?: (item: unknown, window: unknown, event: unknown) => void;
  readonly submenu?: readonly ItemOptions[];
}

const roles = new Set([
  ...['appMenu', 'windowMenu', 'help', 'close', 'quit', 'about', 'cut', 'copy', 'paste', 'selectAll'],
  ...['resetZoom', 'zoomIn', 'zoomOut', 'togglefullscreen', 'toggleDevTools'],
]);
const modifiers = new Set([
  'CmdOrCtrl',
  'CommandOrControl',
  'Cmd',
  'Ctrl',
  'Control',
  'Command',
  'Alt',
  'Option',
  'Shift',
  'Super',
  'Meta',
]);
const keyName =
  /^([A-Z0-9]|[!-/:-@[-`{-~]|F([1-9]|1\d|2[0-4])|Plus|Space|Tab|Backspace|Delete|Insert|Return|Enter|Up|Down|Left|Right|Home|End|PageUp|PageDown|Escape|Esc)$/;

class MenuItem {
  readonly id: string | undefined;
  readonly label: string;
  readonly type: string;
  readonly role: string | undefined;
  readonly accelerator: string | undefined;
  readonly submenu: Menu | undefined;
  enabled = true;
  readonly #click: ItemOptions['click'];

  constructor(options: ItemOptions) {
    const known = ['id', 'label', 'type', 'role', 'accelerator', 'registerAccelerator', 'click', 'submenu', 'enabled'];
    refuseUnknownOptions('MenuItem', options, known);
    if (options.role !== undefined && !roles.has(options.role)) {
      throw new Error(`The stand-in for Electron does not emulate the menu role ${options.role}.`);
    }
    if (options.accelerator !== undefined) checkAccelerator(options.accelerator);
    this.id = options.id;
    this.label = options.label ?? '';
    this.type = options.type ?? (options.submenu === undefined ? 'normal' : 'submenu');
    this.role = options.role;
    this.accelerator = options.accelerator;
    this.submenu = options.submenu === undefined ? undefined : Menu.buildFromTemplate(options.submenu);
    this.#click = options.click;
  }

  click(): void {
    if (this.enabled) this.#click?.(this, undefined, {});
  }
}

export class Menu {
  static #application: Menu | null = null;
  readonly items: MenuItem[];

  constructor(items: MenuItem[] = []) {
    this.items = items;
  }

  static buildFromTemplate(template: readonly ItemOptions[]): Menu {
    return new Menu(template.map((options) => refuseUnknown('MenuItem', new MenuItem(options))));
  }

  static setApplicationMenu(menu: Menu | null): void {
    Menu.#application = menu;
  }

  static getApplicationMenu(): Menu | null {
    return Menu.#application;
  }

  getMenuItemById(id: string): MenuItem | null {
    for (const item of this.items) {
      const found = item.id === id ? item : (item.submenu?.getMenuItemById(id) ?? null);
      if (found !== null) return found;
    }
    return null;
  }
}

/** Electron refuses to build a menu with an accelerator it cannot read. */
function checkAccelerator(accelerator: string): void {
  const parts = accelerator === '+' ? ['Plus'] : accelerator.split('+');
  const key = parts.pop() ?? '';
  if (!keyName.test(key) || !parts.every((part) => modifiers.has(part))) {
    throw new TypeError(`${accelerator} is not a valid accelerator.`);
  }
}
