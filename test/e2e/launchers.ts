/**
 * The two ways to launch the app under test, behind one interface.
 */
import { fork, spawn } from 'node:child_process';
import path from 'node:path';
import { _electron, chromium, type BrowserContext, type Page } from '@playwright/test';
import type * as Electron from 'electron';
import { projectFolder } from '../../scripts/build-targets.ts';
import { installedElectron } from '../../scripts/electron-binary.ts';

export type LauncherName = 'electron' | 'standin';

/** The app, running, with its first window open. */
export interface RunningApp {
  readonly launcher: LauncherName;
  readonly page: Page;
  readonly context: BrowserContext;
  /** Runs a function in the main process, with Electron's module as its first argument. It is sent as text: no closures. */
  evaluateMain<Result, Argument>(
    callee: (electron: typeof Electron, argument: Argument) => Result | Promise<Result>,
    argument: Argument,
  ): Promise<Result>;
  /** Asks the app to quit and resolves with its exit code. */
  quit(): Promise<number | null>;
  /** Kills the main process without warning (SIGKILL). */
  kill(): Promise<void>;
}

export interface LaunchOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Takes every line that the main process (and through it the engine) prints. */
  readonly print: (line: string) => void;
}

/** Starts the app a second time, as a person does who opens a file. Resolves with its exit code. */
export async function launchAgain(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number | null> {
  const electron = installedElectron();
  const [command, ...first] =
    chooseLauncher() === 'electron' && 'file' in electron
      ? [electron.file, ...rootArguments(), projectFolder]
      : [process.execPath, path.join(projectFolder, 'test', 'standin', 'launch.ts'), projectFolder];
  const child = spawn(command, [...first, ...args], {
    stdio: 'ignore',
    env: { ...process.env, ...env, NODE_OPTIONS: '' },
  });
  return await new Promise((resolve) => child.once('exit', resolve));
}

/** Chromium's own sandbox cannot be used by root on Linux. */
function rootArguments(): string[] {
  return process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : [];
}

/** The launcher that this machine allows; BULKHEAD_LAUNCHER decides outright. */
export function chooseLauncher(): LauncherName {
  const wanted = process.env['BULKHEAD_LAUNCHER'];
  if (wanted === 'electron' || wanted === 'standin') return wanted;
  return 'file' in installedElectron() ? 'electron' : 'standin';
}

export async function launch(options: LaunchOptions): Promise<RunningApp> {
  return await (chooseLauncher() === 'electron' ? launchElectron(options) : launchStandin(options));
}

async function launchElectron(options: LaunchOptions): Promise<RunningApp> {
  const binary = installedElectron();
  if (!('file' in binary)) throw new Error(`Electron cannot be started: ${binary.reason}.`);
  const electron = await _electron.launch({
    executablePath: binary.file,
    args: [...rootArguments(), projectFolder, ...options.args],
    env: { ...process.env, ...options.env } as Record<string, string>,
    cwd: projectFolder,
    colorScheme: null,
  });
  const child = electron.process();
  printLines(child.stdout, options.print);
  printLines(child.stderr, options.print);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const page = await electron.firstWindow();
  return {
    launcher: 'electron',
    page,
    context: electron.context(),
    evaluateMain: (callee, argument) => electron.evaluate(callee as never, argument) as never,
    quit: async () => {
      await electron.evaluate(({ app }) => {
        app.quit();
      });
      return await ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function launchStandin(options: LaunchOptions): Promise<RunningApp> {
  const launcher = path.join(projectFolder, 'test', 'standin', 'launch.ts');
  const child = fork(launcher, [projectFolder, ...options.args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, BULKHEAD_STANDIN_DEVTOOLS: '1', ...options.env, NODE_OPTIONS: '' },
    execArgv: [],
    cwd: projectFolder,
  });
  const said: string[] = [];
  const print = (line: string): void => {
    said.push(line);
    options.print(line);
  };
  printLines(child.stdout, print);
  printLines(child.stderr, print);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const waiting = new Map<number, (message: { value?: unknown; error?: string }) => void>();
  let nextId = 1;
  const address = await Promise.race([
    new Promise<string>((resolve) => {
      child.on('message', (message: { type: string; address: string; id: number; value?: unknown; error?: string }) => {
        if (message.type === 'devtools') resolve(message.address);
        else waiting.get(message.id)?.(message);
      });
    }),
    ended.then((code) => {
      throw new Error(`The app ended with code ${String(code)} before its window opened. It said:\n${said.join('\n')}`);
    }),
  ]);
  // noDefaults: the theme and the rest are the app's to decide, as they are in a window nobody drives.
  const browser = await chromium.connectOverCDP(address, { noDefaults: true });
  const context = browser.contexts()[0];
  if (context === undefined) throw new Error('The browser has no window.');
  const page = context.pages()[0] ?? (await context.waitForEvent('page'));
  const evaluateMain: RunningApp['evaluateMain'] = async (callee, argument) => {
    const id = nextId++;
    const answer = new Promise<{ value?: unknown; error?: string }>((resolve) => waiting.set(id, resolve));
    child.send({ type: 'evaluate', id, source: callee.toString(), argument });
    const { value, error } = await Promise.race([
      answer,
      ended.then(() => ({ value: undefined, error: 'The app ended.' })),
    ]);
    if (error !== undefined) throw new Error(error);
    return value as never;
  };
  return {
    launcher: 'standin',
    page,
    context,
    evaluateMain,
    quit: async () => {
      await evaluateMain(({ app }) => {
        app.quit();
      }, null).catch(() => undefined);
      return await ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function printLines(stream: NodeJS.ReadableStream | null, print: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(print);
  });
}
