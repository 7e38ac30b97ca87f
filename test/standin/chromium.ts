/**
 * Finds an installed Chromium or Chrome and starts it with a profile of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Readable, Writable } from 'node:stream';
import { CdpConnection } from './cdp.ts';

const candidates: Readonly<Record<string, readonly string[]>> = {
  linux: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'microsoft-edge'],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  win32: ['PROGRAMFILES', 'PROGRAMFILES(X86)', 'LOCALAPPDATA'].flatMap((variable) => {
    const folder = process.env[variable];
    return folder === undefined
      ? []
      : [
          path.join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe'),
          path.join(folder, 'Chromium', 'Application', 'chrome.exe'),
          path.join(folder, 'Microsoft', 'Edge', 'Application', 'msedge.exe'),
        ];
  }),
};

/** The browser's executable, or null. BULKHEAD_CHROMIUM names one outright. */
export function findChromium(): string | null {
  const named = process.env['BULKHEAD_CHROMIUM'];
  const names = named === undefined ? (candidates[process.platform] ?? []) : [named];
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  for (const name of names) {
    const files = path.isAbsolute(name) ? [name] : folders.map((folder) => path.join(folder, name));
    const found = files.find(isExecutable);
    if (found !== undefined) return found;
  }
  return null;
}

/** True when there is no screen to show a window on, or none is wanted. */
export function isHeadless(): boolean {
  if (process.env['BULKHEAD_HEADLESS'] === '1') return true;
  return process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY'];
}

export interface ChromiumOptions {
  readonly executable: string;
  /** The profile's folder; made when missing. */
  readonly profile: string;
  /** Address of the first window, which has neither tabs nor address bar. */
  readonly firstPage: string;
  readonly bounds: { readonly x?: number; readonly y?: number; readonly width: number; readonly height: number };
  /** Chromium's --host-resolver-rules. */
  readonly resolverRules: string;
  readonly headless: boolean;
  /** Also opens a DevTools port on the loopback interface, for tests and for looking at a headless window. */
  readonly devtoolsPort: boolean;
}

export interface Chromium {
  readonly process: ChildProcess;
  readonly connection: CdpConnection;
  /** http://127.0.0.1:<port>, or null. */
  readonly devtools: string | null;
}

/** Starts the browser. Rejects when it ends before it answers. */
export async function startChromium(options: ChromiumOptions): Promise<Chromium> {
  mkdirSync(options.profile, { recursive: true });
  const portFile = path.join(options.profile, 'DevToolsActivePort');
  rmSync(portFile, { force: true });
  const { bounds } = options;
  const child = spawn(
    options.executable,
    [
      `--app=${options.firstPage}`,
      '--remote-debugging-pipe',
      ...(options.devtoolsPort ? ['--remote-debugging-port=0'] : []),
      `--user-data-dir=${options.profile}`,
      `--host-resolver-rules=${options.resolverRules}`,
      `--window-size=${bounds.width},${bounds.height}`,
      ...(bounds.x === undefined || bounds.y === undefined ? [] : [`--window-position=${bounds.x},${bounds.y}`]),
      ...(options.headless ? ['--headless=new', '--hide-scrollbars'] : []),
      // Chromium's own sandbox cannot be used by root on Linux.
      ...(process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      // No warning bar about --host-resolver-rules and --no-sandbox inside the app's window.
      '--test-type',
      '--no-first-run',
      '--no-default-browser-check',
      '--disable-sync',
      '--disable-component-update',
      '--disable-background-networking',
      '--disable-extensions',
      '--disable-dev-shm-usage',
      '--password-store=basic',
      '--use-mock-keychain',
      '--disable-features=Translate,MediaRouter',
    ],
    { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] },
  );
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    complaints = (complaints + chunk).slice(-4000);
  });
  const connection = new CdpConnection(child.stdio[3] as Writable, child.stdio[4] as Readable);
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`${options.executable} ended with code ${code}. It said:\n${complaints.trim()}`));
    });
  });
  ended.catch(() => undefined);
  await Promise.race([connection.browser.send('Browser.getVersion'), ended]);
  const devtools = options.devtoolsPort ? await Promise.race([readPort(portFile), ended]) : null;
  return { process: child, connection, devtools };
}

async function readPort(file: string): Promise<string> {
  for (;;) {
    try {
      const port = readFileSync(file, 'utf8').split('\n')[0];
      if (port) return `http://127.0.0.1:${port}`;
    } catch {
      // Not written yet.
    }
    await delay(20);
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
