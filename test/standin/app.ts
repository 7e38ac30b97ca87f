/**
 * Electron's app: life cycle, paths, single instance.
 */
import { EventEmitter } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { closeBrowser, setBrowserProfile } from './browser.ts';
import { BrowserWindow, onWindows } from './browser-window.ts';
import { refuseUnknown } from './refuse-unknown.ts';
import { endUtilityProcesses, utilityMetrics } from './utility-process.ts';

let appFolder = '';
let manifest: { name: string; productName?: string; version: string } = { name: 'app', version: '0.0.0' };
let ready = false;
let quitting = false;
let lockFile: string | null = null;
/** What a second instance still has to say to the first one before it ends. */
let handover: Promise<void> = Promise.resolve();
const paths = new Map<string, string>();
let announceReady: () => void;
const readiness = new Promise<void>((resolve) => {
  announceReady = resolve;
});

class App extends EventEmitter<Record<string, unknown[]>> {
  /** Never true here: packages hold Electron itself. */
  readonly isPackaged = false;

  whenReady(): Promise<void> {
    return readiness;
  }

  isReady(): boolean {
    return ready;
  }

  getName(): string {
    return manifest.productName ?? manifest.name;
  }

  getVersion(): string {
    return manifest.version;
  }

  getAppPath(): string {
    return appFolder;
  }

  getLocale(): string {
    return Intl.DateTimeFormat().resolvedOptions().locale;
  }

  getPath(name: string): string {
    const known = paths.get(name);
    if (known !== undefined) return known;
    switch (name) {
      case 'home':
        return os.homedir();
      case 'temp':
        return os.tmpdir();
      case 'appData':
        return appData();
      case 'userData':
        return path.join(appData(), this.getName());
      default:
        throw new Error(`The stand-in for Electron does not emulate app.getPath('${name}').`);
    }
  }

  setPath(name: string, value: string): void {
    if (!path.isAbsolute(value)) throw new Error('Path must be absolute');
    paths.set(name, value);
  }

  /** Pages are always sandboxed here. */
  enableSandbox(): void {
    if (ready) throw new Error('enableSandbox must be called before the app is ready.');
  }

  setAboutPanelOptions(_options: object): void {
    // The stand-in has no About panel: the menu that would show it is not shown either.
  }

  getAppMetrics(): { pid: number; type: string; name?: string }[] {
    return [{ pid: process.pid, type: 'Browser' }, ...utilityMetrics()];
  }

  requestSingleInstanceLock(): boolean {
    const folder = this.getPath('userData');
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, 'standin-instance');
    const address =
      process.platform === 'win32'
        ? `\\\\.\\pipe\\bulkhead-${process.pid}`
        : path.join(os.tmpdir(), `bulkhead-${process.pid}.sock`);
    for (;;) {
      try {
        writeFileSync(file, JSON.stringify({ pid: process.pid, address }), { flag: 'wx' });
        break;
      } catch {
        const holder = readHolder(file);
        if (holder !== null && isAlive(holder.pid)) {
          handover = handOver(holder.address);
          return false;
        }
        rmSync(file, { force: true });
      }
    }
    lockFile = file;
    if (process.platform !== 'win32') rmSync(address, { force: true });
    createServer((socket) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      socket.on('error', () => undefined);
      socket.on('end', () => {
        // A second instance that was killed while it spoke has said nothing.
        if (!text.endsWith('\n')) return;
        const { argv, cwd } = JSON.parse(text) as { argv: string[]; cwd: string };
        this.emit('second-instance', {}, argv, cwd, {});
      });
    })
      .listen(address)
      .unref();
    process.once('exit', () => {
      this.releaseSingleInstanceLock();
      if (process.platform !== 'win32') rmSync(address, { force: true });
    });
    return true;
  }

  releaseSingleInstanceLock(): void {
    if (lockFile !== null) rmSync(lockFile, { force: true });
    lockFile = null;
  }

  quit(): void {
    if (quitting) return;
    if (this.#prevented('before-quit')) return;
    quitting = true;
    for (const window of BrowserWindow.getAllWindows()) window.close();
    void this.#finish(0);
  }

  exit(code = 0): void {
    quitting = true;
    void this.#finish(code);
  }

  async #finish(code: number): Promise<void> {
    await closeBrowser().catch(() => undefined);
    await handover;
    this.emit('will-quit', { preventDefault: () => undefined });
    this.emit('quit', {}, code);
    endUtilityProcesses();
    process.exit(code);
  }

  #prevented(event: string): boolean {
    let prevented = false;
    this.emit(event, {
      preventDefault: () => {
        prevented = true;
      },
    });
    return prevented;
  }
}

const instance = new App();
export const app = refuseUnknown('app', instance);

onWindows({
  created: (contents) => {
    instance.emit('web-contents-created', {}, contents);
  },
  allClosed: () => {
    if (quitting) return;
    // Electron quits by itself only when nobody listens.
    if (!instance.emit('window-all-closed')) instance.quit();
  },
});

/** For the launcher: which app this is. */
export function describeApp(folder: string): void {
  appFolder = folder;
  manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as typeof manifest;
}

/** For the launcher: the app's entry has run. */
export function becomeReady(): void {
  setBrowserProfile(instance.getPath('userData'));
  ready = true;
  instance.emit('will-finish-launching');
  instance.emit('ready', {}, {});
  announceReady();
}

function appData(): string {
  const home = os.homedir();
  if (process.platform === 'win32') return process.env['APPDATA'] ?? path.join(home, 'AppData', 'Roaming');
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Application Support');
  return process.env['XDG_CONFIG_HOME'] ?? path.join(home, '.config');
}

function readHolder(file: string): { pid: number; address: string } | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; address: string };
  } catch {
    return null;
  }
}

/** Tells the first instance what this one was started with. */
function handOver(address: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address, () => {
      socket.end(`${JSON.stringify({ argv: process.argv, cwd: process.cwd() })}\n`);
    });
    socket.once('close', () => {
      resolve();
    });
    socket.once('error', (error) => {
      console.error(`The running instance could not be told: ${error.message}`);
      resolve();
    });
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
