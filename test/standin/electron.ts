/**
 * What `import ... from 'electron'` gives to the app's main process under the stand-in. A name that is missing here fails
 * the import itself, naming it; a property that is missing throws when it is used.
 */
import { refuseUnknown } from './refuse-unknown.ts';
import { mainPorts } from './router.ts';

export { app } from './app.ts';
export { BrowserWindow } from './browser-window.ts';
export { dialog } from './dialog.ts';
export { ipcMain } from './ipc-main.ts';
export { Menu } from './menu.ts';
export { nativeTheme } from './native-theme.ts';
export { protocol } from './origin-server.ts';
export { session } from './session.ts';
export { screen, shell } from './shell.ts';
export { utilityProcess } from './utility-process.ts';

/** Electron's MessageChannelMain. */
export class MessageChannelMain {
  readonly port1;
  readonly port2;

  constructor() {
    const { port1, port2 } = mainPorts.createChannel();
    this.port1 = port1;
    this.port2 = port2;
    return refuseUnknown('MessageChannelMain', this);
  }
}
