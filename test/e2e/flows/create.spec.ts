/**
 * Ways to create a domain that every-flow does not go, and the host that has no room.
 */
import { expect, test } from '../fixtures.ts';
import { dragTo, host, picture, ready, template, tile } from './window.ts';

test('from the palette, by typing words in any order', async ({ page }) => {
  await ready(page);
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('combobox', { name: 'Search or run a command' });
  await expect(palette).toBeFocused();
  await palette.fill('alder create pvh 64 dinghy');
  await expect(page.getByRole('option').first()).toContainText('Create Dinghy, PVH 64, on alder');
  await page.keyboard.press('Enter');
  await expect(tile(page, 'dinghy')).toHaveAccessibleName(/^dinghy, domain 1, PVH/);
});

test('from the plus of a host', async ({ page }) => {
  await ready(page);
  await page.getByRole('button', { name: 'Create a domain on alder' }).click();
  await page.getByRole('menuitem', { name: /Dinghy, PV 32/ }).click();
  await expect(tile(page, 'dinghy')).toHaveAccessibleName(/PV 32/);
});

test('a host without room refuses, and says how much is missing', async ({ page }) => {
  await ready(page);
  await page.getByRole('button', { name: 'Add host' }).click();
  const sheet = page.getByRole('dialog', { name: 'Add host' });
  await sheet.getByLabel('Name').fill('tiny');
  await sheet.getByLabel('Memory, MiB').fill('32');
  await page.keyboard.press('Control+Enter');
  await expect(host(page, 'tiny')).toBeVisible();
  await expect(sheet).toHaveCount(0);

  await dragTo(page, template(page, 'dinghy'), host(page, 'tiny'));
  await page.mouse.up();
  await expect(host(page, 'tiny').locator('[data-tile]')).toHaveCount(1);

  await dragTo(page, template(page, 'dinghy'), host(page, 'tiny'));
  await expect(host(page, 'tiny')).toContainText(/needs 16.MiB, \d+ free/);
  await picture(page, 'no-room');
  await page.keyboard.press('Escape');
  await page.mouse.up();
  await expect(page.locator('.toast')).toHaveCount(0);

  // Let go there all the same, it says again why not, and nothing was made.
  await dragTo(page, template(page, 'dinghy'), host(page, 'tiny'));
  await page.mouse.up();
  await expect(page.locator('.toast')).toContainText(/tiny. Needs 16.MiB, \d+ free/);
  await expect(host(page, 'tiny').locator('[data-tile]')).toHaveCount(1);
  await picture(page, 'no-room-let-go');

  await page.keyboard.press('Control+k');
  await page.keyboard.type('create dinghy pvh 64 tiny');
  const option = page.getByRole('option', { name: /PVH 64, on tiny/ });
  await expect(option).toHaveAttribute('aria-disabled', 'true');
  await expect(option).toContainText(/needs 16.MiB/);
});

test('a name that is wrong is explained at its field', async ({ page }) => {
  await ready(page);
  await page.getByRole('button', { name: 'Add host' }).click();
  const name = page.getByRole('dialog').getByLabel('Name');
  await name.fill('a host');
  await page.keyboard.press('Enter');
  await expect(name).toHaveAttribute('aria-invalid', 'true');
  await expect(name).toHaveAccessibleDescription(/letters, digits/);
  await name.fill('alder');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toContainText(/alder/);
  await expect(page.locator('[data-drop-host]')).toHaveCount(1);
});
