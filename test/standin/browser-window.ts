/**
 * Electron's BrowserWindow: one app window of Chromium.
 *
 * Differences, all of them by need: a window is visible as soon as its page is opened (`show: false` cannot be kept), has
 * the desktop's title bar, and no menu bar.
 */
import { EventEmitter } from 'node:events';
import { sendToBrowser } from './browser.ts';
import { refuseUnknown, refuseUnknownOptions } from './refuse-unknown.ts';
import { publicContents, WebContents } from './web-contents.ts';

interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface WindowOptions extends Partial<Rectangle> {
  readonly webPreferences?: Readonly<Record<string, unknown>>;
  readonly title?: string;
  readonly [option: string]: unknown;
}

const knownOptions = [
  ...[
    'x',
    'y',
    'width',
    'height',
    'minWidth',
    'minHeight',
    'show',
    'title',
    'icon',
    'backgroundColor',
    'autoHideMenuBar',
  ],
  'webPreferences',
];
/** The only values with which a page of ours may run; anything laxer would not be what Electron does here. */
const requiredPreferences: Readonly<Record<string, unknown>> = {
  sandbox: true,
  contextIsolation: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webviewTag: false,
  webSecurity: true,
  allowRunningInsecureContent: false,
  spellcheck: false,
  navigateOnDragDrop: false,
};

const windows = new Map<number, BrowserWindow>();
const hooks = { created: (_contents: WebContents): void => undefined, allClosed: (): void => undefined };
let nextId = 1;

/** For `app`: what it announces about pages and windows. */
export function onWindows(listeners: typeof hooks): void {
  Object.assign(hooks, listeners);
}

export class BrowserWindow extends EventEmitter<Record<string, unknown[]>> {
  readonly id = nextId++;
  readonly webContents: WebContents;
  #bounds: Partial<Rectangle> & { width: number; height: number };
  #state: 'normal' | 'minimized' | 'maximized' | 'fullscreen' = 'normal';
  #title: string;
  #shown = false;
  #destroyed = false;
  #closing = false;
  /** Goes up whenever the window's place is changed from here: what was read before or meanwhile is old then. */
  #changes = 0;
  /** The object that the app sees: unknown names throw. */
  readonly #seen: BrowserWindow;

  constructor(options: WindowOptions = {}) {
    super();
    const preferences = options.webPreferences ?? {};
    refuseUnknownOptions('BrowserWindow', options, knownOptions);
    refuseUnknownOptions('webPreferences', preferences, ['preload', ...Object.keys(requiredPreferences)]);
    for (const [key, value] of Object.entries(requiredPreferences)) {
      if (preferences[key] !== undefined && preferences[key] !== value) {
        throw new Error(`The stand-in for Electron only runs pages with webPreferences.${key}: ${String(value)}.`);
      }
    }
    this.#title = options.title ?? '';
    const { x, y, width = 800, height = 600 } = options;
    this.#bounds = { width, height, ...(x === undefined || y === undefined ? {} : { x, y }) };
    const contents = new WebContents({
      preload: String(preferences['preload']),
      bounds: () => this.#bounds,
      gone: () => {
        this.#end();
      },
    });
    this.webContents = publicContents(contents);
    contents.on('did-finish-load', () => {
      if (!this.#shown) this.emit('ready-to-show');
    });
    contents.on('standin-resize', () => {
      void this.#readBounds();
    });
    windows.set(this.id, this);
    hooks.created(this.webContents);
    this.#seen = refuseUnknown('BrowserWindow', this);
    return this.#seen;
  }

  static getAllWindows(): BrowserWindow[] {
    return [...windows.values()].map((window) => window.#seen);
  }

  static getFocusedWindow(): BrowserWindow | null {
    return BrowserWindow.getAllWindows()[0] ?? null;
  }

  static fromWebContents(contents: unknown): BrowserWindow | null {
    return BrowserWindow.getAllWindows().find((window) => window.webContents === contents) ?? null;
  }

  async loadURL(url: string): Promise<void> {
    await this.webContents.loadURL(url);
    await Promise.all([this.#applyTitle(), this.#readBounds()]);
  }

  show(): void {
    if (this.#shown) return;
    this.#shown = true;
    this.emit('show');
  }

  focus(): void {
    void this.webContents.session().then((session) => session.send('Page.bringToFront').catch(() => undefined));
  }

  close(): void {
    if (this.#destroyed || this.#closing) return;
    let prevented = false;
    this.emit('close', {
      preventDefault: () => {
        prevented = true;
      },
    });
    if (prevented) return;
    this.destroy();
  }

  destroy(): void {
    this.#closing = true;
    void this.webContents.closeTarget();
  }

  isDestroyed(): boolean {
    return this.#destroyed;
  }

  getBounds(): Rectangle {
    return { x: 0, y: 0, ...this.#bounds };
  }

  getNormalBounds(): Rectangle {
    return this.getBounds();
  }

  setBounds(bounds: Partial<Rectangle>): void {
    this.#bounds = { ...this.#bounds, ...bounds };
    const { x: left, y: top, width, height } = this.#bounds;
    void this.#setWindow({ left, top, width, height });
  }

  isMaximized = (): boolean => this.#state === 'maximized';
  isMinimized = (): boolean => this.#state === 'minimized';
  isFullScreen = (): boolean => this.#state === 'fullscreen';

  maximize(): void {
    void this.#setWindow({ windowState: 'maximized' });
  }

  restore(): void {
    void this.#setWindow({ windowState: 'normal' });
  }

  setFullScreen(on: boolean): void {
    void this.#setWindow({ windowState: on ? 'fullscreen' : 'normal' });
  }

  getTitle(): string {
    return this.#title;
  }

  setTitle(title: string): void {
    this.#title = title;
    void this.#applyTitle();
  }

  async #applyTitle(): Promise<void> {
    // The desktop shows the document's title on an app window.
    const session = await this.webContents.session();
    const expression = `document.title = ${JSON.stringify(this.#title)}`;
    await session.send('Runtime.evaluate', { expression }).catch(() => undefined);
  }

  async #setWindow(bounds: Record<string, unknown>): Promise<void> {
    this.#changes += 1;
    const targetId = await this.webContents.targetId();
    const found = await sendToBrowser('Browser.getWindowForTarget', { targetId });
    await sendToBrowser('Browser.setWindowBounds', { windowId: found['windowId'], bounds }).catch(() => undefined);
    this.#changes += 1;
    await this.#readBounds();
  }

  async #readBounds(): Promise<void> {
    if (this.#destroyed) return;
    const asked = this.#changes;
    const targetId = await this.webContents.targetId();
    const found = await sendToBrowser('Browser.getWindowForTarget', { targetId }).catch(() => null);
    if (found === null || asked !== this.#changes) return;
    const { left, top, width, height, windowState } = found['bounds'] as Record<string, number> & {
      windowState: string;
    };
    const before = this.#state;
    this.#state = windowState as typeof before;
    if (this.#state === 'normal') this.#bounds = { x: left, y: top, width: width as number, height: height as number };
    this.emit('resize');
    if (before === this.#state) return;
    if (before === 'maximized') this.emit('unmaximize');
    if (before === 'fullscreen') this.emit('leave-full-screen');
    if (this.#state === 'maximized') this.emit('maximize');
    if (this.#state === 'fullscreen') this.emit('enter-full-screen');
  }

  #end(): void {
    if (this.#destroyed) return;
    // Closed by the person: Electron asks first, here the window is already gone.
    if (!this.#closing) this.emit('close', { preventDefault: () => undefined });
    this.#destroyed = true;
    windows.delete(this.id);
    this.emit('closed');
    if (windows.size === 0) hooks.allClosed();
  }
}
