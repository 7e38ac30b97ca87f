/**
 * Defines `window.bulkhead` in the page's world.
 *
 * Invariant: the page names no channel and sees no Electron object: each function of the bridge is one request or one
 * notice with plain values. The engine port reaches the page by window.postMessage, since ports cannot cross contextBridge.
 */
import { contextBridge, ipcRenderer, webUtils, type IpcRendererEvent } from 'electron';
import {
  BRIDGE_NAME,
  ENGINE_PORT_MESSAGE,
  type BulkheadBridge,
  type EnginePortMessage,
  type Unsubscribe,
} from '../shared/bridge.ts';
import { channels } from '../shared/ipc-channels.ts';

const { request, notice } = channels;

/** As main/app/requests.ts answers. */
type RequestAnswer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

async function ask<Value>(channel: string, ...args: unknown[]): Promise<Value> {
  const answer = (await ipcRenderer.invoke(channel, ...args)) as RequestAnswer;
  if (!answer.ok) throw new Error(answer.message);
  return answer.value as Value;
}

function listen<Value>(channel: string, listener: (value: Value) => void): Unsubscribe {
  const forward = (_event: IpcRendererEvent, value: Value): void => {
    listener(value);
  };
  ipcRenderer.on(channel, forward);
  return () => {
    ipcRenderer.off(channel, forward);
  };
}

const bridge: BulkheadBridge = {
  facts: {
    name: 'Bulkhead',
    version: __APP_VERSION__,
    platform: process.platform,
    versions: {
      electron: process.versions['electron'] ?? '',
      chrome: process.versions['chrome'] ?? '',
      node: process.versions.node,
    },
  },
  engine: {
    state: () => ask(request.engineState),
    onState: (listener) => listen(notice.engineState, listener),
    connect: () => ask(request.engineConnect),
    restart: () => ask(request.engineRestart),
    openLab: (path) => ask(request.engineOpenLab, path),
  },
  files: {
    open: (kind) => ask(request.filesOpen, kind),
    save: (kind, suggestedName) => ask(request.filesSave, kind, suggestedName),
    pathOf: (file) => {
      const path = webUtils.getPathForFile(file as File);
      if (path !== '') void ask(request.filesDropped, path);
      return path;
    },
    onOpenRequest: (listener) => {
      const stop = listen(notice.openRequest, listener);
      void ask<readonly string[]>(request.filesTakeOpenRequests).then((paths) => {
        if (paths.length > 0) listener(paths);
      });
      return stop;
    },
  },
  menu: {
    onCommand: (listener) => listen(notice.menuCommand, listener),
    setEnabled: (enabled) => ask(request.menuSetEnabled, enabled),
  },
  theme: {
    state: () => ask(request.themeState),
    set: (choice) => ask(request.themeSet, choice),
    onChange: (listener) => listen(notice.theme, listener),
  },
  window: {
    setTitle: (labName) => ask(request.windowSetTitle, labName),
    state: () => ask(request.windowState),
    onState: (listener) => listen(notice.windowState, listener),
  },
  openExternal: (url) => ask(request.openExternal, url),
};

ipcRenderer.on(notice.enginePort, (event, value: { generation: number }) => {
  const message: EnginePortMessage = { type: ENGINE_PORT_MESSAGE, generation: value.generation };
  window.postMessage(message, window.location.origin, [...event.ports]);
});

contextBridge.exposeInMainWorld(BRIDGE_NAME, bridge);
