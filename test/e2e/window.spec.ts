/**
 * What the window itself owns: files from outside, theme, size, and a page that dies.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from './fixtures.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-e2e-files-'));
const notAKernel = path.join(folder, 'shopping-list.txt');
writeFileSync(notAKernel, 'rope, pitch, oakum\n');
const ownLab = path.join(folder, 'harbour.bulkhead');

test.describe('started with a file', () => {
  test.use({ files: [notAKernel] });
  test('the window says what it makes of it', async ({ page }) => {
    await expect(page.getByText('shopping-list.txt').first()).toBeVisible();
  });
});

test.describe('started with a lab file', () => {
  test.use({ files: [ownLab] });
  test('that lab is opened', async ({ page }) => {
    await expect
      .poll(() => page.evaluate(() => window.bulkhead.engine.state()))
      .toMatchObject({ phase: 'running', labPath: ownLab });
    await expect(page).toHaveTitle(/harbour/);
  });
});

test('a second start hands its files to the window and ends', async ({ app, page }) => {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  expect(await app.openAgain([notAKernel])).toBe(0);
  await expect(page.getByText('shopping-list.txt').first()).toBeVisible();
  expect(await app.evaluateMain(({ BrowserWindow }) => BrowserWindow.getAllWindows().length, null)).toBe(1);
});

test('the theme is changed at once and kept', async ({ app, page }) => {
  const isDark = (): boolean => matchMedia('(prefers-color-scheme: dark)').matches;
  expect(await page.evaluate(isDark)).toBe(true);
  await page.evaluate(() => window.bulkhead.theme.set('light'));
  await expect.poll(() => page.evaluate(isDark)).toBe(false);
  const again = await app.reopen();
  expect(await again.page.evaluate(() => window.bulkhead.theme.state())).toEqual({ choice: 'light', dark: false });
  expect(await again.page.evaluate(isDark)).toBe(false);
});

test('the window comes back in the size it was left in', async ({ app }) => {
  const bounds = { x: 60, y: 40, width: 1100, height: 760 };
  const read = ({ BrowserWindow }: typeof import('electron')): unknown => BrowserWindow.getAllWindows()[0]?.getBounds();
  await app.evaluateMain(({ BrowserWindow }, wanted) => {
    BrowserWindow.getAllWindows()[0]?.setBounds(wanted);
  }, bounds);
  await expect.poll(() => app.evaluateMain(read, null)).toMatchObject({ width: 1100, height: 760 });
  const again = await app.reopen();
  expect(await again.evaluateMain(read, null)).toMatchObject({ width: 1100, height: 760 });
});

test('a page that dies is loaded again, and the engine goes on', async ({ app, page }) => {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  const engine = await app.enginePid();
  const reloaded = app.evaluateMain(
    ({ BrowserWindow }) =>
      new Promise<string>((resolve) => {
        const contents = BrowserWindow.getAllWindows()[0]?.webContents;
        contents?.once('dom-ready', () => {
          resolve(contents.getURL());
        });
      }),
    null,
  );
  const session = await app.context.newCDPSession(page);
  // The page dies before it can answer.
  void session.send('Page.crash').catch(() => undefined);
  expect(await reloaded).toBe('app://bulkhead/index.html');
  expect(app.output.join('\n')).toContain("The window's page ended");
  expect(await app.enginePid()).toBe(engine);
});

test('a command chosen in the native menu reaches the page', async ({ app, page }) => {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  await app.evaluateMain(({ Menu, BrowserWindow }) => {
    BrowserWindow.getAllWindows()[0]?.focus();
    Menu.getApplicationMenu()?.getMenuItemById('view.palette')?.click();
  }, null);
  await expect(page.getByRole('combobox')).toBeFocused();
});
