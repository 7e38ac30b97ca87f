/**
 * The messages between the Electron main process and the engine process (utilityProcess.fork / process.parentPort).
 *
 * Invariant: control only. A window's data travels over the port that an `attach` message carries, never through here.
 * The engine is started as `engine.js --lab <absolute path> --remembered <absolute path>`; the second is a list of this user's files that
 * were saved or opened before. One engine process has one lab file open for its whole life.
 * (Switching labs ends the process cleanly and starts another.)
 */

/** Main process -> engine. */
export type ToEngine =
  /** Carries one port in `event.ports[0]`: serve the lab's RPC on it until it closes. */
  | { readonly type: 'attach'; readonly window: number }
  /** Files that the person chose, dropped or gave at the start: windows may name them from now on. */
  | { readonly type: 'grant'; readonly paths: readonly string[] }
  /** Save what is unsaved, close the lab file, end with exit code 0. After ENGINE_STOP_LIMIT_MS the process is killed. */
  | { readonly type: 'stop' };

/** Engine -> main process. */
export type FromEngine =
  /** The lab file is open and ports can be attached. */
  | { readonly type: 'ready'; readonly savedUpTo: number | null }
  /** An autosave reached the disk: everything up to this virtual time (ns) is safe. */
  | { readonly type: 'saved'; readonly savedUpTo: number }
  /** The lab file cannot be opened; the process ends with exit code 2 after this. */
  | { readonly type: 'refused'; readonly what: string; readonly why: string; readonly action: string };

/** How long the engine has to end after `stop`, in wall-clock milliseconds. */
export const ENGINE_STOP_LIMIT_MS = 5000;
