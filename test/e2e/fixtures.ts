/**
 * The fixtures of every end-to-end test: the running app in a fresh profile, its window, and what it printed.
 *
 * Use: `import { test, expect } from './fixtures.ts'` (or '../fixtures.ts'), then `async ({ app, page }) => ...`.
 * Options: `test.use({ windowSize: { width: 1024, height: 700 }, theme: 'light', files: ['/path/of/a.cfg'] })`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test as base, type Page } from '@playwright/test';
import { projectFolder } from '../../scripts/build-targets.ts';
import { launch, launchAgain, type RunningApp } from './launchers.ts';

export { expect } from '@playwright/test';

export interface AppOptions {
  /** The page's size in CSS pixels. */
  windowSize: { width: number; height: number };
  theme: 'system' | 'light' | 'dark';
  /** Files on the command line. */
  files: readonly string[];
}

/** The running app and what tests do to it. */
export interface App extends RunningApp {
  /** The test's own profile folder; a second launch may reuse it. */
  readonly profile: string;
  /** What main process, engine and page have printed, line by line. */
  readonly output: readonly string[];
  /** The engine's process id; throws when none runs. */
  enginePid(): Promise<number>;
  /** Starts the app a second time on the same profile; it hands its files to this one and ends. Resolves with its exit code. */
  openAgain(files: readonly string[]): Promise<number | null>;
  /** Quits this app and opens another one on the same profile. */
  reopen(): Promise<App>;
}

export const test = base.extend<AppOptions & { app: App; page: Page }>({
  windowSize: [{ width: 1440, height: 900 }, { option: true }],
  theme: ['dark', { option: true }],
  files: [[], { option: true }],

  app: async ({ windowSize, theme, files }, use, testInfo) => {
    const profile = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-e2e-'));
    const window = { bounds: windowSize, display: 'normal' };
    writeFileSync(path.join(profile, 'preferences.json'), JSON.stringify({ version: 1, theme, window, lastLab: null }));
    const output: string[] = [];
    const opened: App[] = [];
    const env = { BULKHEAD_HEADLESS: '1', BULKHEAD_GUESTS: path.join(projectFolder, '.cache', 'guests') };

    /** A window that is opened again has the size it was left in, and nobody else gives it one. */
    const open = async (args: readonly string[], size: typeof windowSize | null): Promise<App> => {
      const running = await launch({
        args: [`--profile=${profile}`, ...args],
        env,
        print: (line) => output.push(line),
      });
      running.page.on('console', (message) => output.push(`[page ${message.type()}] ${message.text()}`));
      running.page.on('pageerror', (error) => output.push(`[page exception] ${error.stack ?? error.message}`));
      // The window shows a blank page until its own is loaded.
      await running.page.waitForFunction(() => 'bulkhead' in window);
      await running.page.waitForLoadState();
      if (size !== null) await running.page.setViewportSize(size);
      await running.context.tracing.start({ screenshots: true, snapshots: true, sources: false });
      const app: App = {
        ...running,
        profile,
        output,
        enginePid: () =>
          running.evaluateMain(({ app: electronApp }) => {
            const engine = electronApp.getAppMetrics().find((metric) => metric.name === 'Bulkhead engine');
            if (engine === undefined) throw new Error('No engine runs.');
            return engine.pid;
          }, null),
        openAgain: (more) => launchAgain([`--profile=${profile}`, ...more], env),
        reopen: async () => {
          await running.context.tracing.stop();
          await running.quit();
          return await open([], null);
        },
      };
      opened.push(app);
      return app;
    };

    const app = await open(files, windowSize);
    testInfo.annotations.push({ type: 'launcher', description: app.launcher });
    await use(app);

    const last = opened[opened.length - 1] as App;
    if (testInfo.status !== testInfo.expectedStatus) {
      const screenshot = await last.page.screenshot().catch(() => null);
      if (screenshot !== null) await testInfo.attach('window.png', { body: screenshot, contentType: 'image/png' });
      const trace = testInfo.outputPath('trace.zip');
      await last.context.tracing.stop({ path: trace }).then(
        () => testInfo.attach('trace', { path: trace, contentType: 'application/zip' }),
        () => undefined, // the browser is gone: there is no trace to keep
      );
      await testInfo.attach('output.txt', { body: output.join('\n'), contentType: 'text/plain' });
    }
    for (const each of opened) await each.kill().catch(() => undefined);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  },

  page: async ({ app }, use) => {
    await use(app.page);
  },
});
