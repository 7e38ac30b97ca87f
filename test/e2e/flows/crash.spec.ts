/**
 * A guest that crashes: it is said at once, shown where it happened, and the way on is offered.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectFolder } from '../../../scripts/build-targets.ts';
import { expect, test } from '../fixtures.ts';
import { picture, ready, tile } from './window.ts';

/** The demo guest with an undefined instruction (UD2) where it begins; it has no trap table yet, so it must crash. */
function brokenKernel(): string {
  const image = readFileSync(path.join(projectFolder, 'main/guests/dinghy/images/dinghy-pv64'));
  const entry = image.readBigUInt64LE(24);
  const headers = Number(image.readBigUInt64LE(32));
  const [size, count] = [image.readUInt16LE(54), image.readUInt16LE(56)];
  for (let i = 0; i < count; i++) {
    const header = headers + i * size;
    const [offset, address] = [image.readBigUInt64LE(header + 8), image.readBigUInt64LE(header + 16)];
    const inFile = image.readBigUInt64LE(header + 32);
    const loaded = image.readUInt32LE(header) === 1;
    if (loaded && entry >= address && entry < address + inFile)
      image.writeUInt16LE(0x0b0f, Number(offset + entry - address));
  }
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'bulkhead-crash-')), 'broken-kernel');
  writeFileSync(file, image);
  return file;
}

test.use({ files: [brokenKernel()] });

test('a crash is told, explained and can be answered', async ({ page }) => {
  await ready(page);
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Control+Enter');
  const guest = tile(page, 'broken-kernel');
  await expect(guest).toHaveCount(1);
  await page.keyboard.press('F9');

  await expect(guest).toHaveAccessibleName(/Crashed/, { timeout: 60_000 });
  await expect(page.getByRole('alert').filter({ hasText: 'broken-kernel' })).toHaveCount(1);
  const inspector = page.getByRole('region', { name: 'Inspector' });
  await expect(inspector.getByRole('tab', { name: 'Crash' })).toHaveAttribute('aria-selected', 'true');
  await expect(inspector).toContainText('broken-kernel crashed');
  await expect(inspector.getByRole('button', { name: 'Restart' }).last()).toBeVisible();
  // The clock stops, so that what led to it can be looked at.
  await expect(page.getByRole('button', { name: 'Run', exact: true })).toBeVisible();
  await picture(page, 'crash');
  await page.locator('.cell.crashed').getByRole('button', { name: 'Destroy' }).click();
  await expect(guest).toHaveCount(0);
});
