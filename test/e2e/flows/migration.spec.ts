/**
 * Moving a domain: by dragging its tile with the prediction in hand, and by keyboard alone; the run in full afterwards.
 */
import { expect, test } from '../fixtures.ts';
import { bootFirst, consoleSays, dragTo, host, picture, tile, tiles } from './window.ts';
import type { Page } from '@playwright/test';

async function addSecondHost(page: Page): Promise<void> {
  await page.keyboard.press('Control+F6');
  await page.getByRole('button', { name: 'Add host' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(host(page, 'birch')).toBeVisible();
}

test('with the mouse: drag the tile to the other host, read the prediction, drop, see the run', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.type('echo before the move\n');
  await consoleSays(page, /\nbefore the move\n/);
  await addSecondHost(page);
  await expect(tile(page, 'dinghy')).toHaveAttribute('data-host', 'alder');

  await dragTo(page, tile(page, 'dinghy'), host(page, 'birch'));
  await expect(page.locator('.ghost')).toContainText(/predicted .*downtime/, { timeout: 30_000 });
  await picture(page, 'migration-held');
  await page.mouse.up();

  await expect(page.getByTestId('migration-card')).toBeVisible();
  await picture(page, 'migration-live');
  await expect(page.getByTestId('migration-card')).toContainText('Migrated', { timeout: 60_000 });
  await expect(tile(page, 'dinghy')).toHaveAttribute('data-host', 'birch');
  await picture(page, 'migration-done');

  // The guest goes on where it was: its console, and what is typed to it.
  await page.getByRole('tab', { name: 'Console' }).click();
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('echo after the move\n');
  await consoleSays(page, /\nbefore the move\n[\s\S]*\nafter the move\n/);

  await page.keyboard.press('Control+F6');
  await page.getByTestId('migration-card').getByRole('button', { name: 'Show run' }).click();
  await expect(page.getByRole('heading', { name: 'dinghy, run 1' })).toBeVisible();
  await expect(page.getByTestId('stop-reason')).not.toContainText('It goes on');
  await expect(page.getByRole('row', { name: /^Stop and copy/ })).toBeVisible();
  await expect(page.getByRole('list', { name: 'Downtime' })).toContainText('Suspend guest');
  await picture(page, 'migrations-view');
});

test('with the keyboard: M, Enter, Ctrl+3, Ctrl+2 and back', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  // Something that writes memory and needs its vCPU, before and after the move.
  await page.keyboard.type('dirty 2000 1 60000 &\n');
  await addSecondHost(page);
  await tiles(page).first().focus();
  await page.keyboard.press('m');
  const sheet = page.getByRole('dialog', { name: 'Migrate dinghy' });
  await expect(sheet.getByRole('radio', { name: 'birch' })).toBeFocused();
  await expect(sheet.getByRole('status')).toContainText('Predicted', { timeout: 30_000 });
  await picture(page, 'migrate-sheet');
  await page.keyboard.press('Enter');
  await expect(sheet).toHaveCount(0);
  await expect(tile(page, 'dinghy')).toHaveAttribute('data-host', 'birch', { timeout: 60_000 });

  await page.keyboard.press('Control+3');
  await expect(page.getByRole('heading', { name: 'dinghy, run 1' })).toBeFocused();
  const chart = page.getByRole('img', { name: /^Pages sent in/ });
  await chart.focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('.said').first()).toContainText('Sent');
  await page.keyboard.press('t');
  await expect(page.getByRole('region', { name: /^Pages sent in/ })).toBeFocused();

  await page.keyboard.press('Control+2');
  await expect(page.getByRole('heading', { name: 'Scheduler' })).toBeFocused();
  const gantt = page.getByRole('img', { name: /slices? on/ });
  await expect(gantt).toBeVisible();
  await page.getByRole('radio', { name: 'birch' }).click();
  await page.getByRole('radio', { name: '3.0 s' }).click();
  await expect(page.getByRole('row', { name: /dinghy v0/ })).toBeVisible();
  await gantt.focus();
  await page.keyboard.press('t');
  await expect(
    page
      .getByRole('region', { name: /slices? on/ })
      .getByRole('row')
      .nth(1),
  ).toContainText('dinghy v0');
  await picture(page, 'scheduler-table');

  await page.keyboard.press('Control+1');
  await expect(tile(page, 'dinghy')).toBeFocused();
});
