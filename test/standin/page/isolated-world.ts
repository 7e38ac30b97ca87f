/**
 * Injected into an isolated world of the page, before any script of the page: the sandboxed preload environment. It
 * offers the modules that Electron offers to a sandboxed preload script, and runs the app's own preload bundle.
 */
import { decodeClone, encodeClone } from './clone-codec.ts';
import { EXPOSE_FUNCTION } from './main-world.ts';
import { PagePorts, type PortFrame } from './page-ports.ts';
import { createWorldBridge } from './world-bridge.ts';

/** Page -> main process. */
export type FromPage =
  | { op: 'hello'; url: string }
  | { op: 'invoke'; id: number; channel: string; args: unknown[] }
  | { op: 'send'; channel: string; args: unknown[] }
  | { op: 'post'; channel: string; data: Uint8Array; ports: string[] }
  | { op: 'resize' }
  | PortFrame;

/** Main process -> page. */
export type ToPage =
  | { op: 'reply'; id: number; ok: boolean; value: unknown }
  | { op: 'event'; channel: string; args: unknown[] }
  | { op: 'posted'; channel: string; data: Uint8Array; ports: string[] }
  | PortFrame;

export interface IsolatedWorldOptions {
  /** Name of the events between the worlds. */
  secret: string;
  /** Opens the wire to the main process. Known to this world only: the page could read `requestToken` off its own timings. */
  wireToken: string;
  requestToken: string;
  /** Facts of `process` in a sandboxed preload script. */
  process: { platform: string; arch: string; versions: Record<string, string>; type: string };
}

type Listener = (event: unknown, ...args: unknown[]) => void;

export function startIsolatedWorld(
  options: IsolatedWorldOptions,
  preload: (require: (name: string) => unknown, module: { exports: unknown }, process: unknown) => void,
): void {
  // Preload scripts run in the top frame only (nodeIntegrationInSubFrames is off), and only on pages of the app.
  if (window !== window.top || location.protocol === 'about:') return;

  const { secret, wireToken, requestToken } = options;
  const bridge = createWorldBridge(`${secret}:from-isolated`, `${secret}:from-main`);
  const wire = new WebSocket(`ws://${location.host}/__standin/${wireToken}/wire`);
  wire.binaryType = 'arraybuffer';
  const unsent: Uint8Array<ArrayBuffer>[] = [];
  const send = (message: FromPage): void => {
    const bytes = encodeClone(message);
    if (wire.readyState === WebSocket.OPEN) wire.send(bytes);
    else if (wire.readyState === WebSocket.CONNECTING) unsent.push(bytes);
  };
  wire.onopen = () => {
    for (const bytes of unsent.splice(0)) wire.send(bytes);
  };

  const ports = new PagePorts(send, crypto.randomUUID());
  const listeners = new Map<string, Listener[]>();
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void; channel: string }>();
  let nextId = 1;

  const emit = (channel: string, event: unknown, args: unknown[]): void => {
    for (const listener of [...(listeners.get(channel) ?? [])]) listener(event, ...args);
  };

  wire.onmessage = (event) => {
    const message = decodeClone(new Uint8Array(event.data as ArrayBuffer)) as ToPage;
    switch (message.op) {
      case 'reply': {
        const request = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.ok) request?.resolve(message.value);
        else request?.reject(new Error(`Error invoking remote method '${request.channel}': ${String(message.value)}`));
        return;
      }
      case 'event':
        emit(message.channel, { sender: ipcRenderer, ports: [] }, message.args);
        return;
      case 'posted': {
        const arrived = message.ports.map((id) => ports.arrive(id));
        emit(message.channel, { sender: ipcRenderer, ports: arrived }, [decodeClone(message.data, arrived)]);
        return;
      }
      case 'port':
      case 'port-close':
        ports.receive(message);
        return;
    }
  };

  const refuseUnknown = <Api extends object>(name: string, api: Api): Api =>
    new Proxy(api, {
      get(target, key) {
        if (key in target || typeof key === 'symbol' || key === 'then') return Reflect.get(target, key) as unknown;
        throw new Error(`The stand-in for Electron does not emulate ${name}.${key}.`);
      },
    });

  const add = (channel: string, listener: Listener): void => {
    listeners.set(channel, [...(listeners.get(channel) ?? []), listener]);
  };
  const remove = (channel: string, listener: Listener): void => {
    listeners.set(
      channel,
      (listeners.get(channel) ?? []).filter((other) => other !== listener),
    );
  };
  const ipcRenderer = refuseUnknown('ipcRenderer', {
    invoke: (channel: string, ...args: unknown[]) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        send({ op: 'invoke', id, channel, args });
        waiting.set(id, { resolve, reject, channel });
      }),
    send: (channel: string, ...args: unknown[]) => {
      send({ op: 'send', channel, args });
    },
    postMessage: (channel: string, message: unknown, transfer: MessagePort[] = []) => {
      const data = encodeClone(message, transfer);
      send({ op: 'post', channel, data, ports: transfer.map((port) => ports.leave(port)) });
    },
    on: add,
    addListener: add,
    off: remove,
    removeListener: remove,
    once: (channel: string, listener: Listener) => {
      const once: Listener = (event, ...args) => {
        remove(channel, once);
        listener(event, ...args);
      };
      add(channel, once);
    },
  });

  const contextBridge = refuseUnknown('contextBridge', {
    exposeInMainWorld: (key: string, value: unknown) => {
      bridge.call(EXPOSE_FUNCTION, [key, value]);
    },
  });

  const webUtils = refuseUnknown('webUtils', {
    // Chromium tells a page no paths, so the content goes into a file of the same name, whose path is the answer.
    getPathForFile: (file: unknown) => {
      if (!(file instanceof File)) throw new TypeError('getPathForFile takes a File.');
      const request = new XMLHttpRequest();
      request.open('POST', `/__standin/${requestToken}/file?name=${encodeURIComponent(file.name)}`, false);
      request.send(file);
      return request.status === 200 ? request.responseText : '';
    },
  });

  addEventListener('resize', () => {
    send({ op: 'resize' });
  });
  send({ op: 'hello', url: location.href });

  const electron = refuseUnknown('(electron in a preload script)', { contextBridge, ipcRenderer, webUtils });
  const require = (name: string): unknown => {
    if (name === 'electron') return electron;
    throw new Error(`module not found: ${name} (a sandboxed preload script can require only 'electron')`);
  };
  preload(
    require,
    { exports: {} },
    refuseUnknown('process', { ...options.process, env: {}, sandboxed: true, contextIsolated: true }),
  );
}
