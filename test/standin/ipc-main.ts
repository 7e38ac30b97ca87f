/**
 * Electron's ipcMain: invoke handlers and listeners.
 */
import { EventEmitter } from 'node:events';
import { refuseUnknown } from './refuse-unknown.ts';

type Handler = (event: unknown, ...args: unknown[]) => unknown;

const handlers = new Map<string, Handler>();

class IpcMain extends EventEmitter<Record<string, unknown[]>> {
  handle(channel: string, handler: Handler): void {
    if (handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`);
    handlers.set(channel, handler);
  }

  removeHandler(channel: string): void {
    handlers.delete(channel);
  }
}

const emitter = new IpcMain();
export const ipcMain = refuseUnknown('ipcMain', emitter);

/** Answers ipcRenderer.invoke; rejects when no handler is registered. */
export async function answerInvoke(channel: string, event: unknown, args: readonly unknown[]): Promise<unknown> {
  const handler = handlers.get(channel);
  if (handler === undefined) throw new Error(`No handler registered for '${channel}'`);
  return await handler(event, ...args);
}

/** Delivers ipcRenderer.send and postMessage. */
export function deliverSend(channel: string, event: unknown, args: readonly unknown[]): void {
  emitter.emit(channel, event, ...args);
}
