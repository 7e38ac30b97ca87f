/**
 * A real guest as a person uses it: Debian's Linux is booted from the shelf, computes at its shell, and goes on counting while it is moved to
 * the other host; with the mouse in one theme and size, with the keyboard in the others (both hands in all four with BULKHEAD_E2E=all).
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Page } from '@playwright/test';
import { projectFolder } from '../../../scripts/build-targets.ts';
import { expect, test } from '../fixtures.ts';
import { byKeyboard } from './by-keyboard.ts';
import { byMouse } from './by-mouse.ts';
import { opposites } from './combinations.ts';
import { consoleText, host, picture, ready, tile } from './window.ts';

const GUESTS = path.join(projectFolder, '.cache', 'guests');
const FILES = ['linux-cloud-amd64/vmlinuz', 'initramfs-amd64.cpio.gz'];
const missing = FILES.filter((file) => !existsSync(path.join(GUESTS, file)));
const BOOT_MS = 120_000;

/** Types a command at the prompt; what it prints ends with a mark that the shell puts together, so that its echo is no answer. */
async function answer(page: Page, command: string, mark: string, shape: string): Promise<string> {
  await page.keyboard.type(`${command}; echo ${mark.slice(0, 2)}''${mark.slice(2)}\n`);
  const said = new RegExp(`\\n(${shape})\\n${mark}\\n# *$`);
  await expect.poll(() => consoleText(page), { timeout: 60_000 }).toMatch(said);
  return (said.exec(await consoleText(page)) as RegExpExecArray)[1] as string;
}

test.skip(missing.length > 0, `Linux is not in .cache/guests (${missing.join(', ')}); npm run guests fetches it.`);

for (const { theme, windowSize, hands } of opposites)
  for (const name of hands)
    test.describe(`${name}, ${theme}, ${windowSize.width} by ${windowSize.height}`, () => {
      test.use({ theme, windowSize });
      const [hand, offer, told] = name === 'mouse' ? [byMouse, 'PV 64', 'PV 64'] : [byKeyboard, 'PVH 64', 'PVH'];

      test(`Linux, ${offer}: boot, compute, move while it counts`, async ({ page }) => {
        test.setTimeout(300_000);
        await test.step('boot', async () => {
          await ready(page);
          await hand.createFromShelf(page, 'linux', offer);
          await expect(tile(page, 'linux')).toHaveAccessibleName(new RegExp(`^linux, domain 1, ${told}, Running`));
          await expect.poll(() => consoleText(page), { timeout: BOOT_MS }).toMatch(/bulkhead: shell ready[^]*# *$/);
        });
        const before = await test.step('compute', async () => {
          await hand.select(page, 'linux');
          await hand.toConsole(page);
          const computed = await answer(page, 'dmesg -n 1; uname -s; echo $((271 * 828))', 'ANSWERED', 'Linux\\n\\d+');
          expect(computed).toBe('Linux\n224388');
          await expect(page.getByTestId('translated')).toHaveText(/Translated code [1-9]/);
          await expect(page.getByTestId('translated')).toHaveAttribute(
            'aria-label',
            /: [1-9][^;]* of 256\sMiB at most/,
          );
          const counting = '(n=0; while sleep 0.05; do n=$((n+1)); echo $n >/tmp/n; done) & sleep 0.5; cat /tmp/n';
          const counted = Number(await answer(page, counting, 'BEFORE', '\\d+'));
          await hand.leaveConsole(page, 'linux');
          return counted;
        });
        await test.step('migrate', async () => {
          await hand.addHost(page);
          await expect(page.getByRole('dialog')).toHaveCount(0);
          await expect(host(page, 'birch')).toBeVisible();
          await hand.migrate(page, 'linux');
          await expect(page.getByTestId('migration-card')).toContainText('Migrated', { timeout: 120_000 });
          await expect(tile(page, 'linux')).toHaveAttribute('data-host', 'birch');
        });
        // The console kept what it said, and the loop that began on alder counts on birch, without having begun again.
        await test.step('count on', async () => {
          await hand.select(page, 'linux');
          await hand.toConsole(page);
          const arrived = Number(await answer(page, 'cat /tmp/n', 'ARRIVED', '\\d+'));
          const later = Number(await answer(page, 'sleep 0.5; cat /tmp/n', 'LATER', '\\d+'));
          expect(before).toBeGreaterThan(0);
          expect(arrived).toBeGreaterThan(before);
          expect(later).toBeGreaterThan(arrived);
          expect(await consoleText(page)).not.toMatch(/BUG:|Oops|panic/);
          await hand.leaveConsole(page, 'linux');
        });
        await picture(page, `linux-moved-${name}-${theme}-${windowSize.width}`);
        await page.getByTestId('migration-card').getByRole('button', { name: 'Show run' }).click();
        await expect(page.getByRole('heading', { name: 'linux, run 1' })).toBeVisible();
      });
    });
