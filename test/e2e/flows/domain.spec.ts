/**
 * What is done to a domain and to the clock, with the mouse and with keys.
 */
import { expect, test } from '../fixtures.ts';
import { bootFirst, consoleSays, tile, tiles } from './window.ts';

test('pause and unpause by key, by button and from the menu', async ({ page }) => {
  await bootFirst(page);
  const guest = tile(page, 'dinghy');
  await guest.focus();
  await page.keyboard.press('p');
  await expect(guest).toContainText('Paused');
  await page.getByRole('region', { name: 'Inspector' }).getByRole('button', { name: 'Unpause' }).click();
  await expect(guest).not.toContainText('Paused');
  await guest.focus();
  await page.keyboard.press('Shift+F10');
  await expect(page.getByRole('menu', { name: 'dinghy' })).toBeVisible();
  await page.keyboard.type('pau');
  await page.keyboard.press('Enter');
  await expect(guest).toContainText('Paused');
  await expect(guest).toBeFocused();
});

test('rename with F2, and the tape remembers', async ({ page }) => {
  await bootFirst(page);
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('F2');
  await page.getByRole('dialog').getByLabel('Name').fill('web-01');
  await page.keyboard.press('Enter');
  await expect(tile(page, 'web-01')).toHaveCount(1);
  await expect(tile(page, 'web-01')).toBeFocused();
  await expect(page.getByRole('region', { name: 'Inspector' })).toContainText('web-01');
});

test('resize: the balloon gives memory back, and more than it was built with is refused where it was typed', async ({
  page,
}) => {
  await bootFirst(page);
  await tile(page, 'dinghy').focus();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('resize dinghy');
  await page.keyboard.press('Enter');
  const sheet = page.getByRole('dialog', { name: 'Resize dinghy' });
  await sheet.getByLabel('Memory, MiB').fill('64');
  await page.keyboard.press('Enter');
  await expect(sheet).toContainText('It was built with 16 MiB');
  await sheet.getByLabel('Memory, MiB').fill('12');
  await page.keyboard.press('Enter');
  await expect(sheet).toBeHidden();
  await expect(tile(page, 'dinghy')).toContainText('12 MiB', { timeout: 30_000 });
});

test('shut down asks the guest, which says so; restart boots it again', async ({ page }) => {
  await bootFirst(page);
  await page.getByRole('button', { name: 'Shut down' }).click();
  await expect(tiles(page).first()).toHaveAccessibleName(/Shut down/, { timeout: 60_000 });
  await page.getByRole('button', { name: 'Restart' }).click();
  await expect(tiles(page).first()).not.toHaveAccessibleName(/Shut down/);
  await consoleSays(page, /dinghy\$ *$/);
});

test('the clock: run, pause, step and speed', async ({ page }) => {
  await bootFirst(page);
  const time = page.getByTestId('clock-time');
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('F9');
  await expect(page.getByRole('button', { name: 'Run', exact: true })).toBeVisible();
  const stood = await time.innerText();
  expect(await time.innerText()).toBe(stood);
  await page.keyboard.press('.');
  await expect(time).not.toHaveText(stood);
  await page.keyboard.press('[');
  await expect(page.getByRole('button', { name: 'Speed ×0.5' })).toBeVisible();
  await page.getByRole('button', { name: 'Speed ×0.5' }).click();
  await page.getByRole('menuitemradio', { name: '×5' }).click();
  await expect(page.getByRole('button', { name: 'Speed ×5' })).toBeVisible();
  await tiles(page).first().focus();
  await page.keyboard.press('Space');
  await expect(page.getByRole('button', { name: 'Pause', exact: true }).first()).toBeVisible();
});

test('figures of a running guest: vitals as a table, memory and meter', async ({ page }) => {
  await bootFirst(page);
  await page.getByRole('tab', { name: 'Vitals' }).click();
  const cpu = page.getByRole('img', { name: /^CPU share/ });
  await cpu.focus();
  await page.keyboard.press('t');
  const table = page.getByRole('region', { name: /^CPU share/ }).getByRole('row');
  await expect.poll(() => table.count()).toBeGreaterThan(3);
  await page.getByRole('tab', { name: 'Memory' }).click();
  await expect(page.getByRole('row', { name: /Page tables, level 4/ })).toBeVisible();
  await page.getByRole('tab', { name: 'Meter' }).click();
  const hypercalls = page.getByRole('row', { name: /sched_op/ }).first();
  await expect(hypercalls).toBeVisible();
  expect(Number((await hypercalls.getByRole('cell').last().innerText()).replaceAll(/\s/g, ''))).toBeGreaterThan(0);
});
