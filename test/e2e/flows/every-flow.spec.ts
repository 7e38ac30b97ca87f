/**
 * Every flow of the user interface in one lab, with the mouse and with the keyboard, in both themes and both sizes (combinations.ts
 * says which hand where). One lab for all of them, so that each is also met in a lab where much has happened; the report names
 * the flow as a step.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectFolder } from '../../../scripts/build-targets.ts';
import { expect, test } from '../fixtures.ts';
import { byKeyboard } from './by-keyboard.ts';
import { byMouse } from './by-mouse.ts';
import { combinations } from './combinations.ts';
import type { Hand } from './hand.ts';
import { chooseFile, consoleSays, host, picture, ready, tile, tiles } from './window.ts';

const hands: Readonly<Record<'mouse' | 'keyboard', Hand>> = { mouse: byMouse, keyboard: byKeyboard };
const KERNEL = path.join(projectFolder, 'main/guests/dinghy/images/dinghy-pv64');

for (const { theme, windowSize, hands: used } of combinations)
  for (const name of used)
    test.describe(`${name}, ${theme}, ${windowSize.width} by ${windowSize.height}`, () => {
      test.use({ theme, windowSize });

      test('every flow', async ({ app, page }) => {
        test.setTimeout(300_000);
        const hand = hands[name];
        const step = async (title: string, body: () => Promise<void>): Promise<void> => {
          await test.step(title, body);
          await picture(page, `flow-${title.replaceAll(' ', '-')}-${name}-${theme}-${windowSize.width}`);
        };
        const count = (n: number): Promise<void> => expect(tiles(page)).toHaveCount(n, { timeout: 60_000 });
        await ready(page);

        await step('boot the first guest', async () => {
          await hand.bootFirst(page);
          await count(1);
          await consoleSays(page, /Welcome aboard Dinghy[\s\S]*dinghy\$ *$/);
        });
        await step('console', async () => {
          await hand.toConsole(page);
          await page.keyboard.type('echo typed in the window\n');
          await consoleSays(page, /dinghy\$ echo typed in the window\ntyped in the window\n/);
          await hand.leaveConsole(page, 'dinghy');
        });
        await step('create from the shelf', async () => {
          await hand.createFromShelf(page, 'dinghy', name === 'mouse' ? 'PV 32' : 'PV 64');
          await count(2);
        });
        await step('create from the palette', async () => {
          await hand.createFromPalette(page);
          await count(3);
          await expect(tiles(page).filter({ hasText: 'PVH' })).toHaveCount(1);
        });
        await step('import a kernel', async () => {
          await chooseFile(app, KERNEL);
          await hand.openImport(page);
          await expect(page.getByRole('dialog', { name: /dinghy-pv64/ })).toBeVisible();
          await page.getByRole('dialog').getByLabel('Memory, MiB').fill('16');
          await hand.createImported(page);
          await expect(page.getByRole('dialog')).toHaveCount(0);
          await count(4);
          await expect(tile(page, 'dinghy-pv64')).toHaveCount(1);
        });
        await step('pause and unpause', async () => {
          await hand.select(page, 'dinghy');
          await hand.pause(page);
          await expect(tile(page, 'dinghy')).toContainText('Paused');
          await hand.unpause(page);
          await expect(tile(page, 'dinghy')).not.toContainText('Paused');
        });
        await step('save and restore', async () => {
          await chooseFile(app, path.join(app.profile, 'dinghy.save'));
          await hand.save(page);
          await expect(page.locator('.toast').filter({ hasText: 'dinghy saved' })).toBeVisible({ timeout: 60_000 });
          await hand.restore(page, 'dinghy');
          await count(5);
        });
        await step('clone', async () => {
          await hand.select(page, 'dinghy');
          await hand.clone(page);
          await count(6);
        });
        await step('destroy and undo', async () => {
          await hand.select(page, 'dinghy-pv64');
          await hand.destroy(page);
          await count(5);
          await expect(page.locator('.toast').filter({ hasText: 'dinghy-pv64 destroyed' })).toBeVisible();
          await hand.undo(page);
          await count(6);
          await expect(tile(page, 'dinghy-pv64')).toHaveCount(1);
        });
        await step('abort a migration', async () => {
          await hand.addHost(page);
          await expect(page.getByRole('dialog')).toHaveCount(0);
          await expect(host(page, 'birch')).toBeVisible();
          // While the clock stands nothing crosses the link: there is all the time in the world to abort.
          await hand.stopClock(page);
          await expect(page.getByRole('button', { name: 'Run', exact: true })).toBeVisible();
          await hand.migrate(page, 'dinghy');
          await expect(page.getByTestId('migration-card')).toBeVisible();
          await hand.abort(page);
          await expect(page.getByTestId('migration-card')).toContainText(/aborted/i, { timeout: 30_000 });
          await expect(tile(page, 'dinghy')).toHaveAttribute('data-host', 'alder');
          await hand.startClock(page);
          await expect(page.getByRole('button', { name: 'Run', exact: true })).toHaveCount(0);
        });
        await step('migrate', async () => {
          await hand.migrate(page, 'dinghy');
          await expect(tile(page, 'dinghy')).toHaveAttribute('data-host', 'birch', { timeout: 90_000 });
          await hand.select(page, 'dinghy');
          await hand.toConsole(page);
          await page.keyboard.type('echo on the other side\n');
          await consoleSays(page, /\non the other side\n/);
          await hand.leaveConsole(page, 'dinghy');
        });
        await step('read a chart', async () => {
          await hand.readChart(page);
          await expect(page.locator('.chart .note').first()).toContainText(/ to .*CPU mean/);
          const rows = page.getByRole('region', { name: /^CPU share/ }).getByRole('row');
          await expect.poll(() => rows.count()).toBeGreaterThan(2);
        });
        await step('schedule', async () => {
          await hand.schedule(page);
          await expect(page.getByText(/^Range \+|^\+.* to \+/).first()).toBeVisible();
        });
        await step('export a run', async () => {
          const file = path.join(app.profile, 'run.csv');
          await chooseFile(app, file);
          await hand.exportRun(page);
          await expect(page.getByTestId('stop-reason')).not.toContainText('It goes on');
          await expect(page.getByRole('row', { name: /^Stop and copy/ })).toBeVisible();
          await expect(page.getByRole('list', { name: 'Downtime' })).toContainText('Suspend guest');
          await expect(page.locator('.toast').filter({ hasText: 'run.csv' })).toBeVisible();
          expect(readFileSync(file, 'utf8')).toMatch(/round/);
        });
      });
    });
