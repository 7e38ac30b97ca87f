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
