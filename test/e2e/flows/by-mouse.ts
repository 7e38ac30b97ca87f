/**
 * Every flow with the mouse: what a hand does that never touches the keyboard but to type text.
 */
import { expect, type Page } from '@playwright/test';
import type { Hand } from './hand.ts';
import { dragTo, host, template, tile } from './window.ts';

const inspector = (page: Page) => page.getByRole('region', { name: 'Inspector' });

/** A verb of the inspector's header: its button, or its entry of the menu for what has no room. */
async function press(page: Page, verb: string): Promise<void> {
  const button = inspector(page).locator('header').getByRole('button', { name: verb, exact: true });
  if (await button.isVisible()) {
    await button.click();
    return;
  }
  await inspector(page).getByRole('button', { name: 'More for this domain' }).click();
  await page.getByRole('menuitem', { name: verb }).click();
}

export const byMouse: Hand = {
  async bootFirst(page) {
    await dragTo(page, template(page, 'dinghy'), host(page, 'alder'));
    await expect(host(page, 'alder')).toHaveClass(/over/);
    await page.mouse.up();
  },
  async toConsole(page) {
    await page.getByRole('tab', { name: 'Console' }).click();
    await page.locator('.xterm-screen').click();
  },
  async leaveConsole(page, name) {
    await tile(page, name).click({ position: { x: 30, y: 12 } });
  },
  async createFromShelf(page, id, offer) {
    await template(page, id).click();
    await page.getByRole('menuitem', { name: offer }).click();
  },
  async createFromPalette(page) {
    await page.getByRole('button', { name: /^Search or run a command/ }).click();
    await page.keyboard.type('create dinghy pvh 64 alder');
    await page.getByRole('option', { name: /PVH 64, on alder/ }).click();
  },
  async openImport(page) {
    await page.getByRole('button', { name: /^Import kernel or xl.cfg Drop/ }).click();
  },
  async createImported(page) {
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Create/ })
      .click();
  },
  async select(page, name) {
    await tile(page, name).click({ position: { x: 30, y: 12 } });
  },
  pause: (page) => press(page, 'Pause'),
  unpause: (page) => press(page, 'Unpause'),
  save: (page) => press(page, 'Save…'),
  async restore(page, name) {
    await dragTo(page, page.locator(`[data-saved="${name}"]`), host(page, 'alder'));
    await page.mouse.up();
  },
  clone: (page) => press(page, 'Clone'),
  destroy: (page) => press(page, 'Destroy'),
  async undo(page) {
    await page.locator('.toast').getByRole('button', { name: /Undo/ }).last().click();
  },
  async addHost(page) {
    await page.getByRole('button', { name: 'Add host' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
  },
  async stopClock(page) {
    await page.getByTestId('clock-toggle').click();
  },
  async startClock(page) {
    await page.getByTestId('clock-toggle').click();
  },
  async migrate(page, name) {
    await tile(page, name).scrollIntoViewIfNeeded();
    await dragTo(page, tile(page, name), host(page, 'birch'));
    await expect(page.locator('.ghost')).toContainText(/predicted .*downtime/, { timeout: 30_000 });
    await page.mouse.up();
  },
  async abort(page) {
    await page.getByTestId('migration-card').getByRole('button', { name: 'Abort' }).click();
  },
  async readChart(page) {
    await page.getByRole('tab', { name: 'Vitals' }).click();
    const cpu = page.getByRole('img', { name: /^CPU share/ });
    const box = (await cpu.boundingBox())!;
    const [middle, right] = [box.y + box.height / 2, box.x + box.width - 8];
    await page.mouse.move(right, middle);
    await expect(page.locator('.chart .note').first()).toContainText(/^At .*CPU/);
    // A click pins the place: it is still told when the pointer is gone.
    await page.mouse.click(right, middle);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height + 120);
    await expect(page.locator('.chart .note').first()).toContainText(/^At .*CPU/);
    await page.mouse.move(right, middle);
    await page.mouse.down();
    await page.mouse.move(right - box.width / 3, middle, { steps: 6 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Export CPU' }).click();
    await page.getByRole('menuitem', { name: 'Show as table' }).click();
  },
  async exportRun(page) {
    await page.getByRole('navigation').getByText('Migrations').click();
    await page.getByRole('button', { name: 'Export', exact: true }).click();
    await page.getByRole('menuitem', { name: /CSV/ }).click();
  },
  async schedule(page) {
    await page.getByRole('navigation').getByText('Scheduler').click();
    await page.getByRole('radio', { name: '3.0 s' }).click();
    const gantt = page.getByRole('img', { name: /slices? on/ });
    const box = (await gantt.boundingBox())!;
    await page.mouse.move(box.x + box.width * 0.4, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 40, { steps: 6 });
    await page.mouse.up();
  },
};
