/**
 * Every flow with the keyboard: no pointer at all.
 */
import { expect, type Locator, type Page } from '@playwright/test';
import type { Hand } from './hand.ts';
import { template, tile } from './window.ts';

const hasFocus = (target: Locator): Promise<boolean> =>
  target.evaluate((element) => element === document.activeElement);

/** Goes round the window's regions until something has the focus. */
async function goTo(page: Page, target: Locator): Promise<void> {
  for (let i = 0; i < 8 && !(await hasFocus(target)); i++) await page.keyboard.press('F6');
  await expect(target).toBeFocused();
}

/** The tile that is the canvas's tab stop, then by arrows to the one that is meant. */
async function goToTile(page: Page, name: string): Promise<void> {
  await goTo(page, page.locator('[data-tile][tabindex="0"]'));
  const route = ['Control+ArrowLeft', ...Array<string>(4).fill('ArrowUp'), ...['ArrowLeft', 'ArrowRight', 'ArrowDown']];
  const snake = [...route, ...Array<string[]>(4).fill(['ArrowLeft', 'ArrowRight', 'ArrowDown']).flat()];
  if (await hasFocus(tile(page, name))) return;
  for (const key of snake) {
    await page.keyboard.press(key);
    if (await hasFocus(tile(page, name))) return;
  }
  await expect(tile(page, name)).toBeFocused();
}

export const byKeyboard: Hand = {
  async bootFirst(page) {
    await expect(page.getByTestId('boot-first')).toBeFocused();
    await page.keyboard.press('Enter');
  },
  async toConsole(page) {
    await page.keyboard.press('Control+`');
    await expect(page.locator('.xterm-helper-textarea')).toBeFocused();
  },
  async leaveConsole(page, name) {
    await page.keyboard.press('Control+F6');
    await expect(tile(page, name)).toBeFocused();
  },
  async createFromShelf(page, id, offer) {
    await goTo(page, template(page, 'dinghy'));
    const wanted = template(page, id);
    for (let i = 0; i < 4 && !(await hasFocus(wanted)); i++) await page.keyboard.press('ArrowDown');
    await expect(wanted).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('menuitem').first()).toBeFocused();
    const entry = page.getByRole('menuitem', { name: offer });
    for (let i = 0; i < 8 && !(await hasFocus(entry)); i++) await page.keyboard.press('ArrowDown');
    await expect(entry).toBeFocused();
    await page.keyboard.press('Enter');
  },
  async createFromPalette(page) {
    await page.keyboard.press('Control+k');
    await expect(page.getByRole('combobox')).toBeFocused();
    await page.keyboard.type('create dinghy pvh 64 alder');
    await expect(page.getByRole('option').first()).toContainText('PVH 64, on alder');
    await page.keyboard.press('Enter');
  },
  async openImport(page) {
    await page.keyboard.press('Control+o');
  },
  async createImported(page) {
    await page.keyboard.press('Control+Enter');
  },
  select: goToTile,
  pause: (page) => page.keyboard.press('p'),
  unpause: (page) => page.keyboard.press('p'),
  save: (page) => page.keyboard.press('Control+s'),
  async restore(page) {
    await page.keyboard.press('Control+Shift+o');
    await expect(page.getByRole('dialog')).toBeVisible();
    await page.keyboard.press('Control+Enter');
  },
  clone: (page) => page.keyboard.press('Control+d'),
  destroy: (page) => page.keyboard.press('Delete'),
  undo: (page) => page.keyboard.press('Control+z'),
  async addHost(page) {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('add host');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('dialog', { name: 'Add host' })).toBeVisible();
    await page.keyboard.press('Control+Enter');
  },
  stopClock: (page) => page.keyboard.press('F9'),
  startClock: (page) => page.keyboard.press('F9'),
  async migrate(page, name) {
    await goToTile(page, name);
    await page.keyboard.press('m');
    const sheet = page.getByRole('dialog', { name: `Migrate ${name}` });
    await expect(sheet.getByRole('status')).toContainText('Predicted', { timeout: 30_000 });
    await page.keyboard.press('Enter');
    await expect(sheet).toHaveCount(0);
  },
  async abort(page) {
    await page.keyboard.press('Control+k');
    await page.keyboard.type('abort');
    await expect(page.getByRole('option').first()).toContainText('Abort');
    await page.keyboard.press('Enter');
  },
  async readChart(page) {
    await page.keyboard.press('Control+Alt+2');
    const cpu = page.getByRole('img', { name: /^CPU share/ });
    for (let i = 0; i < 20 && !(await hasFocus(cpu)); i++) await page.keyboard.press('Tab');
    await expect(cpu).toBeFocused();
    await page.keyboard.press('ArrowLeft');
    await expect(page.locator('.chart .note').first()).toContainText(/^At .*CPU/);
    for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowLeft');
    await page.keyboard.press('t');
  },
  async exportRun(page) {
    await page.keyboard.press('Control+3');
    await expect(page.locator('[data-view-heading]')).toBeFocused();
    await page.keyboard.press('Control+e');
    await expect(page.getByRole('menuitem', { name: /CSV/ })).toBeFocused();
    await page.keyboard.press('Enter');
  },
  async schedule(page) {
    await page.keyboard.press('Control+2');
    await expect(page.locator('[data-view-heading]')).toBeFocused();
    const gantt = page.getByRole('img', { name: /slices? on/ });
    for (let i = 0; i < 12 && !(await hasFocus(gantt)); i++) await page.keyboard.press('Tab');
    await expect(gantt).toBeFocused();
    for (let i = 0; i < 4; i++) await page.keyboard.press('-');
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+End');
  },
};
