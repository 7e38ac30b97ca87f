/**
 * axe-core finds nothing in any state of the window, in both themes and at both sizes.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import { expect, test } from '../fixtures.ts';
import { bootFirst, picture, ready, tiles } from './window.ts';

// Evaluated by the debugger: the page's own policy lets no foreign script in, and stays as it is.
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Each finding in one line: rule, and the elements it is about. */
async function findings(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  const results = await page.evaluate(
    () => (window as unknown as { axe: { run(): Promise<unknown> } }).axe.run() as Promise<AxeResults>,
  );
  return results.violations.flatMap((violation) =>
    violation.nodes.map((node) => `${violation.id}: ${node.target.join(' ')} ${node.failureSummary ?? ''}`),
  );
}

test.describe('at 200 % zoom', () => {
  // A window of 1440 by 900 at 200 % has this many CSS pixels.
  test.use({ windowSize: { width: 720, height: 450 } });

  test('nothing in the bars overlaps, nothing is cut, and axe finds nothing', async ({ page }) => {
    await bootFirst(page);
    await picture(page, 'zoom-200');
    const cut = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(cut).toBeLessThanOrEqual(0);
    for (const bar of [page.getByRole('banner'), page.getByRole('region', { name: 'Inspector' })]) {
      const boxes: { name: string; left: number; right: number; top: number; bottom: number }[] = await bar
        .locator('button:visible')
        .evaluateAll((buttons) =>
          buttons.map((button) => {
            const { left, right, top, bottom } = button.getBoundingClientRect();
            return { name: button.getAttribute('aria-label') ?? button.textContent, left, right, top, bottom };
          }),
        );
      expect(boxes.length).toBeGreaterThan(4);
      for (const [i, a] of boxes.entries()) {
        expect(a.right, a.name).toBeLessThanOrEqual(720);
        for (const b of boxes.slice(i + 1)) {
          const apart =
            a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
          expect(apart, `${a.name} and ${b.name}`).toBe(true);
        }
      }
    }
    expect(await findings(page)).toEqual([]);
  });
});

for (const theme of ['dark', 'light'] as const) {
  for (const [width, height] of [
    [1440, 900],
    [1024, 700],
  ] as const) {
    test.describe(`${theme}, ${width} by ${height}`, () => {
      test.use({ theme, windowSize: { width, height } });

      test('axe finds nothing in any state', async ({ page }) => {
        test.slow();
        const look = async (state: string): Promise<void> => {
          await picture(page, `${state}-${theme}-${width}`);
          expect.soft(await findings(page), state).toEqual([]);
        };
        await ready(page);
        await look('first-launch');
        await bootFirst(page);
        await look('console');
        for (const tab of ['Vitals', 'Memory', 'Devices', 'XenStore', 'Trace', 'Debug', 'Meter']) {
          await page.getByRole('tab', { name: tab }).click();
          await look(tab.toLowerCase());
        }
        await page.keyboard.press('Control+k');
        await look('palette');
        await page.keyboard.press('Escape');
        for (const [key, view] of [
          ['2', 'scheduler'],
          ['3', 'migrations'],
        ] as const) {
          await page.keyboard.press(`Control+${key}`);
          await expect(page.locator('[data-view-heading]')).toBeVisible();
          await look(view);
        }
        await page.keyboard.press('Control+1');
        await page.getByRole('button', { name: 'What am I looking at?' }).last().click();
        await look('help');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Tasks' }).click();
        await look('tasks');
        await page.keyboard.press('Escape');
        await page.getByRole('tab', { name: 'Memory' }).click();
        await page.getByRole('radio', { name: 'Map' }).click();
        await look('map');
        await page.getByRole('tab', { name: 'Meter' }).click();
        await page.getByRole('button', { name: 'Show a second tab beside' }).click();
        await look('two-tabs');
        await page.getByRole('button', { name: 'Close the second tab' }).first().click();
        await tiles(page).first().click({ button: 'right' });
        await look('menu');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Add host' }).click();
        await look('host-sheet');
        await page.getByRole('dialog').getByRole('button', { name: 'Add host' }).click();
        await expect(page.locator('[data-drop-host]')).toHaveCount(2);
        await expect(page.getByRole('dialog')).toHaveCount(0);
        await look('two-hosts');
        await tiles(page).first().focus();
        await page.keyboard.press('m');
        await expect(page.getByRole('dialog').getByRole('status')).toContainText('Predicted');
        await look('migrate-sheet');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Edit link' }).click();
        await look('link-sheet');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: /^Notifications/ }).click();
        await look('notifications');
        await page.keyboard.press('Escape');
        await tiles(page).first().focus();
        await page.keyboard.press('?');
        await look('shortcuts');
        await page.keyboard.press('Escape');
        await page.getByRole('region', { name: 'Inspector' }).getByRole('button', { name: 'Destroy' }).click();
        await expect(page.locator('.toast')).toBeVisible();
        await look('undo');
      });
    });
  }
}
