// Pictures of the window in its states, from the preview: node shots.ts [name part ...]; they go to out/preview.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright';
import type { Page } from 'playwright';
import { createServer } from 'vite';

interface Shot {
  readonly hash: string;
  readonly size?: readonly [number, number];
  readonly act?: (page: Page) => Promise<unknown>;
}

const small = [1024, 700] as const;
const tab = (name: string) => (page: Page) => page.getByRole('tab', { name }).click();

const shots: Record<string, Shot> = {
  'main-dark': { hash: 'domains=7' },
  'main-light': { hash: 'domains=7&theme=light' },
  'main-dark-small': { hash: 'domains=7', size: small },
  'first-dark': { hash: 'state=first' },
  'first-light-small': { hash: 'state=first&theme=light', size: small },
  'vitals-light': { hash: 'domains=7&theme=light', act: tab('Vitals') },
  'vitals-dark-small': { hash: 'domains=7', size: small, act: tab('Vitals') },
  'memory-dark': { hash: 'domains=7', act: tab('Memory') },
  'map-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await tab('Memory')(page);
      await page.getByRole('radio', { name: 'Map' }).click();
    },
  },
  'devices-light': { hash: 'domains=7&theme=light', act: tab('Devices') },
  'xenstore-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await tab('XenStore')(page);
      await page.getByRole('treeitem', { name: /device/ }).dblclick();
      await page.getByRole('treeitem', { name: /name/ }).first().click();
    },
  },
  'trace-dark': { hash: 'domains=7', act: tab('Trace') },
  'trace-light-small': { hash: 'domains=7&theme=light', size: small, act: tab('Trace') },
  'debug-dark': { hash: 'domains=7', act: tab('Debug') },
  'debug-light-small': { hash: 'domains=7&theme=light', size: small, act: tab('Debug') },
  'scheduler-dark': { hash: 'domains=7', act: (page) => page.keyboard.press('Control+2') },
  'scheduler-light-small': {
    hash: 'domains=7&theme=light',
    size: small,
    act: (page) => page.keyboard.press('Control+2'),
  },
  'migrations-dark': { hash: 'domains=7', act: (page) => page.keyboard.press('Control+3') },
  'migrations-light-small': {
    hash: 'domains=7&theme=light',
    size: small,
    act: (page) => page.keyboard.press('Control+3'),
  },
  'migrate-sheet-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.locator('[data-tile]').nth(1).click();
      await page.keyboard.press('m');
    },
  },
  'migrating-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.locator('[data-tile]').nth(1).click();
      await page.keyboard.press('m');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(3000);
    },
  },
  'migrating-light-small': {
    hash: 'domains=7&theme=light',
    size: small,
    act: async (page) => {
      await page.locator('[data-tile]').nth(1).click();
      await page.keyboard.press('m');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(3000);
    },
  },
  'drag-domain-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.locator('[data-tile]').nth(1).hover();
      await page.mouse.down();
      await page.mouse.move(1100, 400, { steps: 8 });
      await page.waitForTimeout(500);
    },
  },
  'split-dark': {
    hash: 'domains=7',
    act: (page) => page.getByRole('button', { name: 'Show a second tab beside' }).click(),
  },
  'dock-right-light': {
    hash: 'domains=7&theme=light',
    act: async (page) => {
      await page.getByRole('button', { name: 'Dock the inspector right' }).click();
      await tab('Debug')(page);
    },
  },
  'dock-right-small': {
    hash: 'domains=7',
    size: small,
    act: (page) => page.getByRole('button', { name: 'Dock the inspector right' }).click(),
  },
  'help-dark': {
    hash: 'domains=7',
    act: (page) => page.getByRole('button', { name: 'What am I looking at?' }).last().click(),
  },
  'tasks-light': { hash: 'domains=7&theme=light', act: (page) => page.getByRole('button', { name: '1 task' }).click() },
  'shortcuts-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.locator('[data-tile]').first().click();
      await page.keyboard.press('?');
    },
  },
  'meter-light': { hash: 'domains=7&theme=light', act: tab('Meter') },
  'crash-dark': {
    hash: 'domains=7&state=crash',
    act: async (page) => {
      await page.locator('[data-tile]').nth(1).click();
      await page.getByRole('button', { name: /Import kernel or xl.cfg Drop/ }).click();
    },
  },
  'palette-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.keyboard.press('Control+k');
      await page.keyboard.type('create alder');
    },
  },
  'undo-light': { hash: 'domains=7&theme=light', act: (page) => page.getByRole('button', { name: 'Destroy' }).click() },
  'menu-dark': { hash: 'domains=7', act: (page) => page.locator('[data-tile]').nth(2).click({ button: 'right' }) },
  'host-sheet-light': {
    hash: 'domains=7&theme=light',
    act: (page) => page.getByRole('button', { name: 'Add host' }).click(),
  },
  'drag-dark': {
    hash: 'domains=7',
    act: async (page) => {
      await page.getByText('Debian 12').hover();
      await page.mouse.down();
      await page.mouse.move(500, 400, { steps: 8 });
    },
  },
  'stopped-dark': { hash: 'domains=7&state=stopped' },
  'many-dark': { hash: 'domains=100' },
  'zoom-200-dark': { hash: 'domains=7', size: [720, 450] },
  'zoom-200-first': { hash: 'state=first', size: [720, 450] },
  'forced-colours': { hash: 'domains=7', act: (page) => page.emulateMedia({ forcedColors: 'active' }) },
};

const wanted = process.argv.slice(2);
const folder = new URL('../../../../out/preview/', import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
const server = await createServer({
  configFile: new URL('vite.config.ts', import.meta.url).pathname,
  logLevel: 'error',
});
await server.listen();
const address = server.resolvedUrls!.local[0];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const [name, { hash, size = [1440, 900], act }] of Object.entries(shots)) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  const context = await browser.newContext({ viewport: { width: size[0], height: size[1] } });
  const page = await context.newPage();
  page.on('console', (message) => message.type() !== 'debug' && console.log(name, message.type(), message.text()));
  page.on('pageerror', (error) => console.log(name, error.message, error.stack));
  await page.goto(`${address}#${hash}`);
  await page.waitForSelector('.frame', { timeout: 30_000 }).catch(() => console.log(name, 'no frame'));
  await page.waitForTimeout(2500);
  await act?.(page);
  await page.waitForTimeout(700);
  await page.screenshot({ path: `${folder}${name}.png` });
  await context.close();
}
await browser.close();
await server.close();
