/**
 * What a person does around a migration and a full host: a slowed clock, stop-and-copy by hand, room by a balloon; and with
 * files: a capture, a disk that is copied on write, a saved domain in a later session.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '../fixtures.ts';
import { bootFirst, chooseFile, consoleSays, dragTo, host, picture, tile, tiles } from './window.ts';

test('a slowed clock says why and one click restores it; the live rounds are ended by hand', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.type('dirty 3000 1 60000 &\n');
  await consoleSays(page, /dirty 3000/);
  await page.keyboard.press('Control+F6');
  await page.getByRole('button', { name: 'Add host' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(host(page, 'birch')).toBeVisible();
  await tiles(page).first().focus();
  await page.keyboard.press('m');
  await expect(page.getByRole('dialog').getByRole('status').first()).toContainText('Predicted', { timeout: 30_000 });
  await page.keyboard.press('Enter');
  const restore = page.getByTestId('restore-speed');
  await expect(restore).toContainText(/×0\.\d+: migration/);
  await picture(page, 'migration-slowed');
  await page.getByTestId('migration-card').getByRole('button', { name: 'Stop and copy now' }).click();
  await expect(page.getByTestId('migration-card').getByRole('button', { name: 'Stop and copy now' })).toHaveAttribute(
    'aria-disabled',
    'true',
  );
  await restore.click();
  await expect(restore).toHaveCount(0);
  await expect(page.getByTestId('migration-card')).toContainText('Migrated', { timeout: 60_000 });
  await page.getByRole('button', { name: 'Show run' }).click();
  await expect(page.getByTestId('stop-reason')).toContainText('You stopped the live rounds');
});

test('a full host offers the balloon that makes room', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.press('Control+F6');
  // two domains take most of the host
  const sheet = page.getByRole('dialog');
  for (const name of ['big', 'large']) {
    await page.keyboard.press('Control+K');
    await page.keyboard.type('create dinghy pv 64 alder');
    await page.keyboard.press('Tab');
    await sheet.getByLabel('Name').fill(name);
    await sheet.getByLabel('Memory, MiB').fill('950');
    await page.keyboard.press('Control+Enter');
    await expect(tile(page, name)).toBeVisible({ timeout: 60_000 });
    await tile(page, name).click();
    await consoleSays(page, /dinghy\$ *$/);
  }
  await page.keyboard.press('Control+K');
  await page.keyboard.type('create dinghy pv 64 alder');
  await page.keyboard.press('Tab');
  await sheet.getByLabel('Name').fill('late');
  await sheet.getByLabel('Memory, MiB').fill('400');
  await expect(sheet.getByTestId('balloon-offer')).toContainText(/Balloon big to/);
  await picture(page, 'create-balloon');
  await sheet.getByTestId('balloon-offer').click();
  await expect(tile(page, 'late')).toBeVisible({ timeout: 60_000 });
  await picture(page, 'ballooned');
});

test('the devices tab captures an interface; a disk that is copied on write stays as it is', async ({ app, page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.press('Control+F6');
  await page.getByRole('tab', { name: 'Devices' }).click();
  await page.getByRole('button', { name: /vif\/0/ }).click();
  const capture = page.getByTestId('capture');
  const pcap = path.join(app.profile, 'one.pcap');
  await chooseFile(app, pcap);
  await capture.getByRole('button', { name: 'Capture network…' }).click();
  await expect(capture).toContainText('captured into');
  await picture(page, 'devices-capture');
  await capture.getByRole('button', { name: 'Stop capture' }).click();
  await expect(capture.getByRole('button', { name: 'Capture network…' })).toBeVisible();
  // at least the header: nanoseconds, Ethernet
  expect(readFileSync(pcap).readUInt32LE(0)).toBe(0xa1b23c4d);

  const image = path.join(app.profile, 'data.img');
  writeFileSync(image, Buffer.alloc(512 * 1024, 'data'));
  const before = readFileSync(image);
  await page.keyboard.press('Control+K');
  await page.keyboard.type('create dinghy pv 64 alder');
  await page.keyboard.press('Tab');
  const sheet = page.getByRole('dialog');
  await sheet.getByLabel('Name').fill('writer');
  await chooseFile(app, image);
  await sheet.getByRole('button', { name: 'Add a disk image…' }).click();
  await expect(sheet.getByLabel('Copy on write: keep the image as it is')).toBeChecked();
  await picture(page, 'create-disks');
  await sheet.getByRole('button', { name: 'Create', exact: true }).click();
  await tile(page, 'writer').click();
  await page.getByRole('tab', { name: 'Console' }).click();
  await consoleSays(page, /dinghy\$ *$/);
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('db /dev/xvda 20 256\n');
  await consoleSays(page, /result db /);
  expect(readFileSync(image).equals(before)).toBe(true);
});

test('a saved domain is restored in a later session without asking for its file again', async ({ app, page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.press('Control+F6');
  const file = path.join(app.profile, 'dinghy.save');
  await chooseFile(app, file);
  await page.keyboard.press('Control+s');
  await expect(page.locator('.toast')).toContainText('dinghy saved', { timeout: 60_000 });

  const again = (await app.reopen()).page;
  await expect(tiles(again)).toHaveCount(1);
  await dragTo(again, again.locator('[data-saved="dinghy"]'), host(again, 'alder'));
  await again.mouse.up();
  await expect(tiles(again)).toHaveCount(2, { timeout: 60_000 });
});
