/**
 * Makes the pictures of the documentation from the running app: `npm run screenshots` writes docs/images.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Page } from '@playwright/test';
import { projectFolder } from '../../scripts/build-targets.ts';
import { expect, test } from './fixtures.ts';
import { bootFirst, consoleSays, dragTo, host, ready, template, tiles } from './flows/window.ts';

async function keep(page: Page, name: string): Promise<void> {
  const folder = path.join(projectFolder, 'docs', 'images');
  mkdirSync(folder, { recursive: true });
  // Messages that pass by say nothing about the view.
  await expect(page.locator('.toast')).toHaveCount(0, { timeout: 30_000 });
  await page.screenshot({ path: path.join(folder, `${name}.png`), animations: 'disabled' });
}

test('first launch', async ({ page }) => {
  await ready(page);
  await keep(page, 'first-launch');
});

for (const theme of ['dark', 'light'] as const) {
  test.describe(theme, () => {
    test.use({ theme });
    test('a host with three domains, and a console', async ({ page }) => {
      await bootFirst(page);
      for (const count of [2, 3]) {
        await page.keyboard.press('Control+F6');
        await dragTo(page, template(page, 'dinghy'), host(page, 'alder'));
        await page.mouse.up();
        await expect(tiles(page)).toHaveCount(count);
        await consoleSays(page, /dinghy\$ *$/);
      }
      await page.locator('.xterm-screen').click();
      await page.keyboard.type('help\n');
      await consoleSays(page, /Join commands[\s\S]*dinghy\$ *$/);
      await keep(page, `lab-${theme}`);
      if (theme === 'dark') {
        await page.keyboard.press('Control+F6');
        await page.keyboard.press('Control+k');
        await expect(page.getByRole('combobox')).toBeFocused();
        await keep(page, 'palette');
      }
    });
  });
}

test('looking inside a guest', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.type('dirty 2000 2 60000 &\n');
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('Control+Alt+3');
  await page.getByRole('radio', { name: 'Map' }).click();
  // The frames of the first cell are listed once the whole map was read.
  await expect(page.getByRole('row').nth(1)).toContainText('0x0');
  await keep(page, 'inspector-map');
  await page.keyboard.press('Control+Alt+5');
  await page.getByRole('treeitem', { name: /^device/ }).dblclick();
  await page.getByRole('treeitem', { name: /^name =/ }).click();
  await keep(page, 'inspector-xenstore');
  await page.keyboard.press('Control+Alt+6');
  await page.getByRole('button', { name: 'Record', exact: true }).click();
  await expect(page.getByRole('row', { name: /hypercall/ }).first()).toBeVisible();
  await page.getByRole('button', { name: 'Freeze list' }).click();
  await keep(page, 'inspector-trace');
  await page.keyboard.press('Control+Alt+7');
  await page.getByRole('button', { name: 'Pause the domain' }).click();
  await expect(page.locator('[aria-current=step]')).toBeVisible();
  await keep(page, 'inspector-debug');
});

test('a migration, its run, and the schedule', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.type('dirty 4000 3 60000 &\n');
  await page.keyboard.press('Control+F6');
  await page.getByRole('button', { name: 'Add host' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(host(page, 'birch')).toBeVisible();
  await dragTo(page, tiles(page).first(), host(page, 'birch'));
  await expect(page.locator('.ghost')).toContainText(/predicted .*downtime/, { timeout: 30_000 });
  await keep(page, 'migration-held');
  await page.mouse.up();
  await expect(page.getByTestId('migration-card')).toContainText('Migrated', { timeout: 60_000 });
  await page.keyboard.press('Control+3');
  await expect(page.getByRole('list', { name: 'Downtime' })).toBeVisible();
  await keep(page, 'migrations');
  await page.keyboard.press('Control+2');
  await page.getByRole('radio', { name: 'birch' }).click();
  await page.getByRole('radio', { name: '300 ms' }).click();
  await expect(page.getByRole('row', { name: /dinghy v0/ })).toBeVisible();
  await page.keyboard.press('F9');
  await keep(page, 'scheduler');
});
