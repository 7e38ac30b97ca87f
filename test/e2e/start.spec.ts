/**
 * The app starts: a window, a name, an engine that says it is ready; and it comes back as it was left.
 */
import { expect, test } from './fixtures.ts';

test('a window opens with a title and the engine behind it is ready', async ({ app, page }) => {
  await expect(page).toHaveTitle(/Bulkhead/);
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  await expect.poll(async () => (await page.evaluate(() => window.bulkhead.engine.state())).phase).toBe('running');
  expect(await app.enginePid()).toBeGreaterThan(0);
  expect(app.output.filter((line) => /^\[page (error|exception)\]/.test(line))).toEqual([]);
});

test('the keyboard reaches everything on the first screen', async ({ page }) => {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  // Everything that can be operated, apart from what a composite widget (roving tabindex) reaches with arrows.
  const expected = await page.evaluate(() => {
    const candidates = document.querySelectorAll<HTMLElement>('button, a[href], input, select, textarea, [tabindex]');
    const reachable = [...candidates].filter(
      (element) =>
        element.tabIndex >= 0 && element.checkVisibility({ visibilityProperty: true }) && !element.matches(':disabled'),
    );
    reachable.forEach((element, index) => (element.dataset['tabStop'] = String(index)));
    return reachable.length;
  });
  expect(expected).toBeGreaterThan(5);
  const reached = new Set<string>();
  await page.evaluate(() => {
    (document.activeElement as HTMLElement | null)?.blur();
  });
  for (let presses = 0; presses < expected * 2 + 5; presses++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset['tabStop'] ?? '');
    if (stop !== '') reached.add(stop);
    if (reached.size === expected) break;
  }
  const missed = await page.evaluate(
    (seen) =>
      [...document.querySelectorAll<HTMLElement>('[data-tab-stop]')]
        .filter((element) => !seen.includes(element.dataset['tabStop'] ?? ''))
        .map((element) => element.outerHTML.slice(0, 120)),
    [...reached],
  );
  expect(missed).toEqual([]);
});

test('a lab opened before is opened again', async ({ app, page }) => {
  await expect.poll(async () => (await page.evaluate(() => window.bulkhead.engine.state())).phase).toBe('running');
  const before = await page.evaluate(() => window.bulkhead.engine.state());
  const again = await app.reopen();
  await expect
    .poll(async () => (await again.page.evaluate(() => window.bulkhead.engine.state())).phase)
    .toBe('running');
  const after = await again.page.evaluate(() => window.bulkhead.engine.state());
  expect(after.labPath).toBe(before.labPath);
});
