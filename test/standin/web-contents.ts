/**
 * Electron's WebContents: one page in Chromium, driven over the DevTools protocol, talking over its wire.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { WebSocket } from 'ws';
import { openTarget, sendToBrowser, type Bounds, type Target } from './browser.ts';
import { answerInvoke, deliverSend } from './ipc-main.ts';
import { checkedTransfer, type MessagePortMain, type PortMessage } from './message-ports.ts';
import { nativeThemeOnPage } from './native-theme.ts';
import { fromBrowserAddress, registerPage, toBrowserAddress, unregisterPage } from './origin-server.ts';
import { decodeClone, encodeClone } from './page/clone-codec.ts';
import type { FromPage, ToPage } from './page/isolated-world.ts';
import { pageScripts } from './page-scripts.ts';
import { refuseUnknown } from './refuse-unknown.ts';
import { closeAllOf, closeFrom, deliverFrom, mainPorts, moveTo, type PortHolder } from './router.ts';
import { applyPermissions } from './session.ts';

/** As Electron's WebFrameMain, for the top frame. */
export interface FrameMain {
  readonly url: string;
  readonly origin: string;
  readonly parent: null;
}

type WindowOpenHandler = (details: { url: string; frameName: string; features: string }) => {
  action: 'allow' | 'deny';
};

const ISOLATED_WORLD = 'Electron Isolated Context';
let nextId = 1;
let uploads: string | null = null;

export class WebContents extends EventEmitter<Record<string, unknown[]>> implements PortHolder {
  readonly id = nextId++;
  readonly #preload: string;
  readonly #tokens = { wireToken: randomUUID(), requestToken: randomUUID() };
  #target: Promise<Target> | null = null;
  #wire: WebSocket | null = null;
  #url = '';
  #destroyed = false;
  #expectedNavigation = false;
  #windowOpenHandler: WindowOpenHandler = () => ({ action: 'allow' });
  readonly #frame: FrameMain;
  readonly #bounds: () => Bounds;
  readonly #gone: () => void;

  constructor(options: { preload: string; bounds: () => Bounds; gone: () => void }) {
    super();
    this.#preload = options.preload;
    this.#bounds = options.bounds;
    this.#gone = options.gone;
    const currentUrl = (): string => this.#url;
    this.#frame = refuseUnknown('WebFrameMain', {
      get url() {
        return currentUrl();
      },
      get origin() {
        const match = /^[a-z][a-z0-9+.-]*:\/\/[^/]*/.exec(currentUrl());
        return match === null ? 'null' : match[0];
      },
      parent: null,
    });
    registerPage(this.#tokens, {
      connect: (socket) => {
        this.#connect(socket);
      },
      mayOpenWindow: ({ url, target, features }) => this.#mayOpen(url, target, features),
      keepFile,
    });
  }

  get mainFrame(): FrameMain {
    return this.#frame;
  }

  async loadURL(url: string): Promise<void> {
    const address = toBrowserAddress(url);
    this.#target ??= this.#open(new URL(address).origin);
    const { session } = await this.#target;
    this.#expectedNavigation = true;
    const result = await session.send('Page.navigate', { url: address });
    if (typeof result['errorText'] === 'string') throw new Error(`${result['errorText']} loading '${url}'`);
  }

  getURL(): string {
    return this.#url;
  }

  reload(): void {
    this.#expectedNavigation = true;
    void this.session().then((session) => session.send('Page.reload').catch(() => undefined));
  }

  send(channel: string, ...args: unknown[]): void {
    this.#sendFrame({ op: 'event', channel, args });
  }

  postMessage(channel: string, message: unknown, transfer: readonly MessagePortMain[] = []): void {
    const data = encodeClone(message, checkedTransfer(transfer));
    const ports = transfer.map((port) => mainPorts.release(port));
    moveTo(this, ports);
    this.#sendFrame({ op: 'posted', channel, data, ports });
  }

  setWindowOpenHandler(handler: WindowOpenHandler): void {
    this.#windowOpenHandler = handler;
  }

  isDestroyed(): boolean {
    return this.#destroyed;
  }

  deliver(id: string, message: PortMessage): void {
    this.#sendFrame({ op: 'port', id, data: message.data, ports: [...message.ports] });
  }

  deliverClose(id: string): void {
    this.#sendFrame({ op: 'port-close', id });
  }

  /** For this folder: the DevTools session of the page. */
  async session(): Promise<Target['session']> {
    if (this.#target === null) throw new Error('This page has not been loaded yet.');
    return (await this.#target).session;
  }

  /** For this folder: the browser's id of the page. */
  async targetId(): Promise<string> {
    if (this.#target === null) throw new Error('This page has not been loaded yet.');
    return (await this.#target).id;
  }

  /** For BrowserWindow: closes the page's window. */
  async closeTarget(): Promise<void> {
    if (this.#target === null) {
      this.markDestroyed();
      return;
    }
    await sendToBrowser('Target.closeTarget', { targetId: (await this.#target).id }).catch(() => undefined);
  }

  markDestroyed(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#disconnect();
    unregisterPage(this.#tokens);
    this.emit('destroyed');
    this.#gone();
  }

  async #open(origin: string): Promise<Target> {
    const target = await openTarget(origin, this.#bounds(), {
      targetGone: () => {
        this.markDestroyed();
      },
      mayOpen: (url) => this.#mayOpen(url),
    });
    const { session } = target;
    session.on('Page.loadEventFired', () => {
      if (this.#url !== '') this.emit('did-finish-load', {});
    });
    session.on('Inspector.targetCrashed', () => {
      this.#disconnect();
      this.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 1 });
    });
    session.on('Fetch.requestPaused', (params) => {
      void this.#decideNavigation(session, params as unknown as PausedRequest);
    });
    const scripts = await pageScripts(
      {
        secret: randomUUID(),
        ...this.#tokens,
        process: {
          platform: process.platform,
          arch: process.arch,
          type: 'renderer',
          versions: {
            node: process.versions.node,
            electron: process.versions['electron'] ?? '',
            chrome: String((await sendToBrowser('Browser.getVersion', {}))['product']).replace(/^\D*/, ''),
          },
        },
      },
      this.#preload,
    );
    await applyPermissions(origin);
    await Promise.all([
      session.send('Page.enable'),
      session.send('Inspector.enable'),
      session.send('Fetch.enable', { patterns: [{ urlPattern: '*', resourceType: 'Document' }] }),
      session.send('Page.addScriptToEvaluateOnNewDocument', { source: scripts.main }),
      session.send('Page.addScriptToEvaluateOnNewDocument', { source: scripts.isolated, worldName: ISOLATED_WORLD }),
      nativeThemeOnPage(session),
    ]);
    return target;
  }

  async #decideNavigation(session: Target['session'], request: PausedRequest): Promise<void> {
    let prevented = false;
    if (!this.#expectedNavigation) {
      const event = {
        url: fromBrowserAddress(request.request.url),
        preventDefault: () => {
          prevented = true;
        },
      };
      this.emit('will-navigate', event, event.url);
    }
    this.#expectedNavigation = false;
    const { requestId } = request;
    // ERR_ABORTED leaves the page as it is.
    await (
      prevented
        ? session.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' })
        : session.send('Fetch.continueRequest', { requestId })
    ).catch(() => undefined);
  }

  #mayOpen(url: string, frameName = '', features = ''): boolean {
    return this.#windowOpenHandler({ url, frameName, features }).action === 'allow';
  }

  #connect(socket: WebSocket): void {
    this.#disconnect();
    this.#wire = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data: Buffer) => {
      if (this.#wire === socket) this.#receive(decodeClone(data) as FromPage);
    });
    socket.on('close', () => {
      if (this.#wire === socket) this.#disconnect();
    });
    socket.on('error', () => undefined);
  }

  /** The document is gone, and with it every port end that lived in it. */
  #disconnect(): void {
    const wire = this.#wire;
    this.#wire = null;
    wire?.terminate();
    closeAllOf(this);
  }

  #sendFrame(frame: ToPage): void {
    // As in Electron, what is sent while no document listens is lost.
    if (this.#wire !== null && this.#wire.readyState === this.#wire.OPEN) this.#wire.send(encodeClone(frame));
  }

  #receive(frame: FromPage): void {
    switch (frame.op) {
      case 'hello':
        this.#url = fromBrowserAddress(frame.url);
        this.emit('dom-ready', {});
        return;
      case 'resize':
        this.emit('standin-resize');
        return;
      case 'invoke':
        void this.#invoke(frame.id, frame.channel, frame.args);
        return;
      case 'send':
        deliverSend(frame.channel, this.#event([]), frame.args);
        return;
      case 'post': {
        const ports = frame.ports.map((id) => mainPorts.adopt(id));
        deliverSend(frame.channel, this.#event(ports), [decodeClone(frame.data, ports)]);
        return;
      }
      case 'port':
        deliverFrom(frame.id, { data: frame.data, ports: frame.ports });
        return;
      case 'port-close':
        closeFrom(frame.id);
        return;
    }
  }

  async #invoke(id: number, channel: string, args: unknown[]): Promise<void> {
    try {
      this.#sendFrame({ op: 'reply', id, ok: true, value: await answerInvoke(channel, this.#event([]), args) });
    } catch (error) {
      this.#sendFrame({ op: 'reply', id, ok: false, value: String(error) });
    }
  }

  #event(ports: readonly MessagePortMain[]): unknown {
    return refuseUnknown('IpcMainEvent', {
      sender: publicContents(this),
      senderFrame: this.#frame,
      ports,
      processId: 0,
      frameId: 1,
    });
  }
}

interface PausedRequest {
  readonly requestId: string;
  readonly request: { readonly url: string };
}

const publicOf = new WeakMap<WebContents, WebContents>();

/** The object that the app sees: unknown names throw. One per page, so that it can be compared. */
export function publicContents(contents: WebContents): WebContents {
  let seen = publicOf.get(contents);
  if (seen === undefined) publicOf.set(contents, (seen = refuseUnknown('WebContents', contents)));
  return seen;
}

function keepFile(name: string, content: Buffer): string {
  uploads ??= mkdtempSync(path.join(os.tmpdir(), 'bulkhead-files-'));
  const folder = path.join(uploads, randomUUID());
  mkdirSync(folder);
  const file = path.join(folder, path.basename(name));
  writeFileSync(file, content);
  return file;
}
