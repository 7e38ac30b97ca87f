/**
 * Runs an Electron app on Node and an installed Chromium: `node test/standin/launch.ts <app folder> [arguments]`.
 *
 * The app's main bundle is imported as it is; only the name `electron` leads here.
 */
import { registerHooks } from 'node:module';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { becomeReady, describeApp } from './app.ts';
import { whenDevtools } from './browser.ts';
import { findChromium } from './chromium.ts';
import * as electron from './electron.ts';

const [folder, ...args] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Usage: node test/standin/launch.ts <app folder> [arguments]');
  process.exit(2);
}
if (findChromium() === null) {
  console.error('No Chromium or Chrome was found. Install one, or name its executable in BULKHEAD_CHROMIUM.');
  process.exit(1);
}
const appFolder = path.resolve(folder);
const { main } = JSON.parse(readFileSync(path.join(appFolder, 'package.json'), 'utf8')) as { main: string };

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'electron'
      ? { url: new URL('./electron.ts', import.meta.url).href, format: 'module-typescript', shortCircuit: true }
      : next(specifier, context),
});
Object.defineProperty(process, 'type', { value: 'browser' });
Object.defineProperty(process.versions, 'electron', { value: '0.0.0-standin', enumerable: true });
process.argv = [process.argv[0] as string, appFolder, ...args];

// An error nobody handles ends the app, as it ends Electron's main process in its own dialog.
process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(1);
});

whenDevtools((address) => {
  if (process.connected) process.send?.({ type: 'devtools', address });
  else void printAddress(address);
});

// A test runner that is gone cannot close the app.
process.on('disconnect', () => {
  electron.app.exit(1);
});

// For end-to-end tests: what Playwright's electronApplication.evaluate does.
process.on('message', (message: { type: 'evaluate'; id: number; source: string; argument: unknown }) => {
  void evaluate(message.source, message.argument).then(
    (value) => process.send?.({ type: 'evaluated', id: message.id, value }),
    (error: unknown) => process.send?.({ type: 'evaluated', id: message.id, error: String(error) }),
  );
});

describeApp(appFolder);
await import(pathToFileURL(path.join(appFolder, main)).href);
becomeReady();

async function evaluate(source: string, argument: unknown): Promise<unknown> {
  const callee = new Function(`return (${source})`)() as (api: unknown, argument: unknown) => unknown;
  return await callee(electron, argument);
}

/** With no screen, the window can be seen and used through DevTools. */
async function printAddress(devtools: string): Promise<void> {
  const pages = (await (await fetch(`${devtools}/json/list`)).json()) as { type: string; id: string }[];
  const page = pages.find((entry) => entry.type === 'page');
  const host = new URL(devtools).host;
  console.log('There is no screen, so the window is not shown. Look at it from this machine with Chromium at');
  console.log(`  ${devtools}/devtools/inspector.html?ws=${host}/devtools/page/${page?.id ?? ''}`);
}
