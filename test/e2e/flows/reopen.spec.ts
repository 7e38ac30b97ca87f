/**
 * A lab comes back as it was left: paused, with its domains shown as stopped, their consoles kept, and ready to boot again.
 */
import { expect, test } from '../fixtures.ts';
import { bootFirst, consoleSays, consoleText, tiles } from './window.ts';

test('a lab that is reopened shows what ran, says that it stopped, and boots it again', async ({ app, page }) => {
  await bootFirst(page);
  await page.keyboard.type('echo before closing\n');
  await consoleSays(page, /\nbefore closing\n/);
  const events = await page.getByRole('region', { name: 'Recorded events' }).getByRole('button').count();

  const again = (await app.reopen()).page;
  await expect(tiles(again)).toHaveCount(1);
  await expect(again.getByRole('button', { name: 'Run', exact: true })).toBeVisible();
  await expect(tiles(again).first()).toHaveAccessibleName(/stopped|Shut down|Lost/);
  expect(await again.getByRole('region', { name: 'Recorded events' }).getByRole('button').count()).toBe(events);
  await again.getByRole('tab', { name: 'Console' }).click();
  await consoleSays(again, /\nbefore closing\n/);

  await again.getByRole('button', { name: 'Restart' }).first().click();
  await tiles(again).first().focus();
  await again.keyboard.press('F9');
  await expect.poll(async () => (await consoleText(again)).split('Welcome aboard').length, { timeout: 60_000 }).toBe(3);
});
