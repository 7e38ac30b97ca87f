/**
 * Every request a window can make of the main process: channel, schema of the arguments, what is done.
 *
 * Invariant: nothing is handled that is not in this table; a request from a page that is not ours, or with arguments
 * that do not fit, is refused with a sentence and changes nothing.
 */
import { BrowserWindow, ipcMain, MessageChannelMain, shell, type IpcMainInvokeEvent } from 'electron';
import { z } from 'zod';
import type { EngineState, OpenKind, SaveKind, ThemeChoice, ThemeState, WindowDisplay } from '../../shared/bridge.ts';
import { channels } from '../../shared/ipc-channels.ts';
import type { EngineProcess } from './engine-process.ts';
import { openFiles, saveFile } from './file-dialogs.ts';
import { isExternalAddress } from './security.ts';
import { isTrustedSender } from './sender.ts';

/** The parts of the app that requests act on. */
export interface RequestTargets {
  readonly engine: EngineProcess;
  openLab(path: string): Promise<EngineState>;
  takeOpenRequests(window: BrowserWindow): readonly string[];
  setMenuEnabled(enabled: Readonly<Record<string, boolean>>): void;
  themeState(): ThemeState;
  setTheme(choice: ThemeChoice): void;
  windowDisplay(window: BrowserWindow): WindowDisplay;
}

/** What travels back: a value, or a sentence for people. (Electron would otherwise wrap the message in its own words.) */
export type RequestAnswer =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

const noArguments = z.tuple([]);
const absolutePath = z.string().min(1).max(4096);
const fileName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^/\\\0]+$/, 'a file name without folders');

/** Registers every handler. Call once. */
export function handleRequests(targets: RequestTargets): void {
  const { request } = channels;

  handle(request.engineState, noArguments, () => targets.engine.state);
  handle(request.engineConnect, noArguments, async (window) => {
    const { port1, port2 } = new MessageChannelMain();
    const generation = await targets.engine.attach(window.webContents.id, port1);
    if (generation === null) throw new Error('The engine is not running. Restart it first.');
    window.webContents.postMessage(channels.notice.enginePort, { generation }, [port2]);
  });
  handle(request.engineRestart, noArguments, async () => {
    requireRunning(await targets.engine.restart());
  });
  handle(request.engineOpenLab, z.tuple([absolutePath]), async (_window, path) => {
    if (!targets.engine.isGranted(path)) throw new Error(`${path} was not opened: choose the lab in the dialog.`);
    requireRunning(await targets.openLab(path));
  });

  handle(
    request.filesOpen,
    z.tuple([z.enum(['lab', 'import', 'ramdisk', 'disk', 'domain'])]),
    async (window, kind: OpenKind) => {
      const paths = await openFiles(window, kind);
      targets.engine.grant(paths);
      return paths;
    },
  );
  handle(
    request.filesSave,
    z.tuple([z.enum(['lab', 'console', 'trace', 'figures', 'domain', 'capture']), fileName]),
    async (window, kind: SaveKind, suggestedName: string) => {
      const path = await saveFile(window, kind, suggestedName);
      if (path !== null) targets.engine.grant([path]);
      return path;
    },
  );
  // The preload script asks for a real file that was dropped or picked; a page cannot.
  handle(request.filesDropped, z.tuple([absolutePath]), (_window, path) => {
    targets.engine.grant([path]);
  });
  handle(request.filesTakeOpenRequests, noArguments, (window) => targets.takeOpenRequests(window));

  handle(request.menuSetEnabled, z.tuple([z.record(z.string().max(64), z.boolean())]), (_window, enabled) => {
    targets.setMenuEnabled(enabled);
  });
  handle(request.themeState, noArguments, () => targets.themeState());
  handle(request.themeSet, z.tuple([z.enum(['system', 'light', 'dark'])]), (_window, choice: ThemeChoice) => {
    targets.setTheme(choice);
  });
  handle(request.windowSetTitle, z.tuple([z.string().max(200)]), (window, labName) => {
    window.setTitle(labName === '' ? 'Bulkhead' : `${labName} - Bulkhead`);
  });
  handle(request.windowState, noArguments, (window) => targets.windowDisplay(window));
  handle(request.openExternal, z.tuple([z.string().max(2048)]), async (_window, url) => {
    if (!isExternalAddress(url)) throw new Error('Only https addresses are opened in the browser.');
    await shell.openExternal(url);
  });
}

function requireRunning(state: EngineState): void {
  if (state.phase === 'stopped' || state.phase === 'refused') {
    throw new Error(`${state.sentence.what} ${state.sentence.why} ${state.sentence.action}`);
  }
}

function handle<Schema extends z.ZodTuple>(
  channel: string,
  schema: Schema,
  act: (window: BrowserWindow, ...args: z.output<Schema>) => unknown,
): void {
  ipcMain.handle(channel, async (event: IpcMainInvokeEvent, ...args: unknown[]): Promise<RequestAnswer> => {
    const window = BrowserWindow.fromWebContents(event.sender);
    if (!isTrustedSender(event) || window === null) {
      return { ok: false, message: `The request ${channel} did not come from a page of this app and was refused.` };
    }
    const checked = schema.safeParse(args);
    if (!checked.success) {
      return { ok: false, message: `The request ${channel} does not fit: ${z.prettifyError(checked.error)}` };
    }
    try {
      return { ok: true, value: await act(window, ...checked.data) };
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error) };
    }
  });
}
