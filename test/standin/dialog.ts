/**
 * Electron's dialog, with what a browser has: its own file chooser for opening, a prompt for saving, an alert for errors.
 */
import type { BrowserWindow } from './browser-window.ts';
import { refuseUnknown, refuseUnknownOptions } from './refuse-unknown.ts';

interface FileDialogOptions {
  readonly title?: string;
  readonly buttonLabel?: string;
  readonly defaultPath?: string;
  readonly filters?: readonly { readonly extensions: readonly string[] }[];
  readonly properties?: readonly string[];
}

const known = ['title', 'buttonLabel', 'defaultPath', 'filters', 'properties'];

export const dialog = refuseUnknown('dialog', {
  async showOpenDialog(
    window: BrowserWindow,
    options: FileDialogOptions,
  ): Promise<{ canceled: boolean; filePaths: string[] }> {
    refuseUnknownOptions('showOpenDialog', options, known);
    refuseProperties(options, ['openFile', 'multiSelections']);
    const session = await window.webContents.session();
    // Chromium's chooser needs a click: `userGesture` stands for it. The paths are told to the debugger only, not to the page.
    const chosen = await session.send('Runtime.evaluate', {
      userGesture: true,
      awaitPromise: true,
      expression: `new Promise((resolve) => {
        const input = document.createElement('input');
        input.type = 'file';
        input.multiple = ${String(options.properties?.includes('multiSelections') ?? false)};
        input.addEventListener('change', () => resolve([...input.files]));
        input.addEventListener('cancel', () => resolve([]));
        input.click();
      })`,
    });
    const list = (chosen['result'] as { objectId: string }).objectId;
    const { result } = (await session.send('Runtime.getProperties', { objectId: list, ownProperties: true })) as {
      result: { name: string; value?: { objectId?: string } }[];
    };
    const filePaths: string[] = [];
    for (const { name, value } of result) {
      if (!/^\d+$/.test(name) || value?.objectId === undefined) continue;
      filePaths.push((await session.send('DOM.getFileInfo', { objectId: value.objectId }))['path'] as string);
    }
    return { canceled: filePaths.length === 0, filePaths };
  },

  async showSaveDialog(
    window: BrowserWindow,
    options: FileDialogOptions,
  ): Promise<{ canceled: boolean; filePath: string }> {
    refuseUnknownOptions('showSaveDialog', options, known);
    refuseProperties(options, ['showOverwriteConfirmation', 'createDirectory']);
    const session = await window.webContents.session();
    const question = `${options.title ?? 'Save'} (full path of the file):`;
    const answer = await session.send('Runtime.evaluate', {
      userGesture: true,
      returnByValue: true,
      expression: `prompt(${JSON.stringify(question)}, ${JSON.stringify(options.defaultPath ?? '')})`,
    });
    const filePath = (answer['result'] as { value?: unknown }).value;
    return typeof filePath === 'string' && filePath !== ''
      ? { canceled: false, filePath }
      : { canceled: true, filePath: '' };
  },

  showErrorBox(title: string, content: string): void {
    console.error(`${title}\n${content}`);
  },
});

function refuseProperties(options: FileDialogOptions, allowed: readonly string[]): void {
  for (const property of options.properties ?? []) {
    if (!allowed.includes(property))
      throw new Error(`The stand-in for Electron does not emulate the dialog property ${property}.`);
  }
}
