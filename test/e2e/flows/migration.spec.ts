/**
 * Moving a domain with the keyboard alone, and how its run and the schedule are read; every-flow and linux move one with the mouse, too.
 */
import { expect, test } from '../fixtures.ts';
import { bootFirst, host, picture, tile, tiles } from './window.ts';
import type { Page } from '@playwright/test';

async function addSecondHost(page: Page): Promise<void> {
  await page.keyboard.press('Control+F6');
  await page.getByRole('button', { name: 'Add host' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(host(page, 'birch')).toBeVisible();
}

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
