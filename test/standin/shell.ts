/**
 * Electron's shell and screen, as far as the app uses them.
 */
import { spawn } from 'node:child_process';
import { isHeadless } from './chromium.ts';
import { refuseUnknown } from './refuse-unknown.ts';

export const shell = refuseUnknown('shell', {
  openExternal(url: string): Promise<void> {
    if (isHeadless()) {
      console.log(`To be opened in a browser: ${url}`);
      return Promise.resolve();
    }
    const [command, ...args] =
      process.platform === 'darwin'
        ? ['open', url]
        : process.platform === 'win32'
          ? ['rundll32', 'url.dll,FileProtocolHandler', url]
          : ['xdg-open', url];
    return new Promise((resolve, reject) => {
      const child = spawn(command as string, args, { stdio: 'ignore', detached: true });
      child.once('error', reject);
      child.once('spawn', () => {
        child.unref();
        resolve();
      });
    });
  },
});

/** The browser is not running yet when a first window is placed: one screen of the commonest size is assumed. */
const display = refuseUnknown('Display', { workArea: { x: 0, y: 0, width: 1920, height: 1040 }, scaleFactor: 1 });

export const screen = refuseUnknown('screen', {
  getPrimaryDisplay: () => display,
  getAllDisplays: () => [display],
});
