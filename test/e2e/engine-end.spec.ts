/**
 * The engine's process dies: the window says so, and Restart brings it back.
 */
import { expect, test } from './fixtures.ts';

test('a killed engine is reported and can be restarted', async ({ app, page }) => {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  const first = await app.enginePid();
  process.kill(first, 'SIGKILL');

  const banner = page.getByRole('alert').filter({ hasText: 'The engine stopped.' });
  await expect(banner).toBeVisible();
  await page.getByRole('button', { name: /restart/i }).click();

  await expect(banner).toBeHidden();
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  expect(await app.enginePid()).not.toBe(first);
});

test('the app ends with the engine it started', async ({ app, page }) => {
  await expect.poll(async () => (await page.evaluate(() => window.bulkhead.engine.state())).phase).toBe('running');
  const pid = await app.enginePid();
  expect(await app.quit()).toBe(0);
  expect(() => process.kill(pid, 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
});
