/**
 * Importing files: a kernel becomes a sheet of what was detected; what is no kernel is refused with what was looked for.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectFolder } from '../../../scripts/build-targets.ts';
import { expect, test } from '../fixtures.ts';
import { consoleSays, picture, ready, tile } from './window.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-import-'));

test.describe('a kernel on the command line', () => {
  test.use({ files: [path.join(projectFolder, 'main/guests/dinghy/images/dinghy-pv64')] });

  test('is described, and boots with what the sheet says', async ({ page }) => {
    await ready(page);
    const sheet = page.getByRole('dialog', { name: /dinghy-pv64/ });
    await expect(sheet).toBeVisible();
    await picture(page, 'import-sheet');
    await sheet.getByLabel('Name').fill('mine');
    await sheet.getByLabel('Memory, MiB').fill('16');
    await page.keyboard.press('Control+Enter');
    await expect(sheet).toHaveCount(0);
    await expect(tile(page, 'mine')).toHaveCount(1);
    await page.keyboard.press('F9');
    await consoleSays(page, /Welcome aboard Dinghy/);
  });
});

test.describe('a file that is no kernel', () => {
  const file = path.join(folder, 'holiday.jpg');
  writeFileSync(file, Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'));
  test.use({ files: [file] });

  test('is refused where it would have been dropped, with what was checked', async ({ page }) => {
    await ready(page);
    const problem = page.getByTestId('import-problem');
    await expect(problem).toContainText('holiday.jpg can’t boot here');
    await problem.getByRole('button', { name: 'What we checked' }).click();
    await expect(problem.getByRole('listitem').first()).toContainText('not found');
    await picture(page, 'import-problem');
    await problem.getByRole('button', { name: 'Dismiss' }).click();
    await expect(problem).toHaveCount(0);
  });
});
