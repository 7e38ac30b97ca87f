/**
 * The first flow of all: the demo guest is put on a host, prints, answers what is typed, and is destroyed. With the mouse and
 * again with the keyboard alone.
 */
import { expect, test } from '../fixtures.ts';
import { consoleSays, dragTo, host, picture, ready, template, tile, tiles } from './window.ts';

test('with the mouse: drag the demo guest to a host, read, type, destroy, undo', async ({ page }) => {
  await ready(page);
  await picture(page, 'first-launch');
  await dragTo(page, template(page, 'dinghy'), host(page, 'alder'));
  await expect(host(page, 'alder')).toHaveClass(/over/);
  await page.mouse.up();

  await expect(tiles(page)).toHaveCount(1);
  await expect(page.getByRole('tab', { name: 'Console' })).toHaveAttribute('aria-selected', 'true');
  await consoleSays(page, /Welcome aboard Dinghy[\s\S]*dinghy\$ *$/);
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('echo $((40+2)) from the window\n');
  // The line that was typed, echoed by the guest, and its answer.
  await consoleSays(page, /dinghy\$ echo .*from the window\n.*from the window\n/);
  await picture(page, 'first-guest');

  await page.getByRole('region', { name: 'Inspector' }).getByRole('button', { name: 'Destroy' }).click();
  await expect(tiles(page)).toHaveCount(0);
  await expect(page.locator('.toast')).toContainText('dinghy destroyed.');
  await page.locator('.toast').getByRole('button', { name: /Undo/ }).click();
  await expect(tile(page, 'dinghy')).toHaveCount(1);
});

test('with the keyboard: Enter boots it, keys reach it, Ctrl+F6 leaves, Delete destroys, Ctrl+Z undoes', async ({
  page,
}) => {
  await ready(page);
  await expect(page.getByTestId('boot-first')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(tiles(page)).toHaveCount(1);
  await consoleSays(page, /dinghy\$ *$/);
  // Focus is in the console already: from double-click to a typed command nothing else is needed.
  await page.keyboard.type('echo typed without a mouse\n');
  await consoleSays(page, /dinghy\$ echo typed without a mouse\ntyped without a mouse\n/);

  await page.keyboard.press('Control+F6');
  await expect(tile(page, 'dinghy')).toBeFocused();
  await page.keyboard.press('Delete');
  await expect(tiles(page)).toHaveCount(0);
  await expect(page.getByRole('status').filter({ hasText: 'Control Z restores it' })).toHaveCount(1);
  await page.keyboard.press('Control+z');
  await expect(tile(page, 'dinghy')).toHaveCount(1);
});
