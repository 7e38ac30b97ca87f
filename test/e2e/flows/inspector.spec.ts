/**
 * Looking inside a running guest: devices, xenstore, trace, debugger and the map of its pages, by keyboard from tab to tab.
 */
import path from 'node:path';
import { expect, test } from '../fixtures.ts';
import { bootFirst, consoleSays, dragTo, host, picture, tiles } from './window.ts';

test('Ctrl+Alt+1 to 8 go through the tabs, and each shows the guest', async ({ page }) => {
  test.slow();
  await bootFirst(page);
  await page.keyboard.press('Control+F6');

  await page.keyboard.press('Control+Alt+3');
  await page.getByRole('radio', { name: 'Map' }).click();
  await expect(page.getByRole('row').nth(1)).toContainText('0x0');
  const map = page.getByRole('img', { name: /^Pages of the domain/ });
  await map.focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('.said').first()).toContainText('Frames 0x');
  // A range: with Shift, and by dragging over the map's first cells.
  await page.keyboard.press('Home');
  for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowRight');
  const range = /Frames 0x0 to 0x([0-9a-f]+) · [1-9]/;
  await expect(page.locator('.said').first()).toContainText(range);
  const byKeys = await page.locator('.said').first().innerText();
  await page.keyboard.press('Escape');
  const box = (await map.boundingBox())!;
  await page.mouse.move(box.x + 2, box.y + 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 4, box.y + 2, { steps: 4 });
  await page.mouse.up();
  await expect(page.locator('.said').first()).toContainText(range);
  expect(await page.locator('.said').first().innerText()).not.toBe(byKeys);
  await picture(page, 'inspector-map');

  await page.keyboard.press('Control+Alt+4');
  await expect(page.getByRole('tab', { name: 'Devices' })).toBeFocused();
  await expect(page.getByRole('row', { name: /console/i }).first()).toBeVisible();
  await picture(page, 'inspector-devices');

  await page.keyboard.press('Control+Alt+5');
  const tree = page.getByRole('tree');
  await expect(tree.getByRole('treeitem', { name: /^name = "dinghy"/ })).toBeVisible();
  await tree.getByRole('treeitem').first().focus();
  await page.keyboard.press('ArrowDown');
  await expect(tree.getByRole('treeitem', { selected: true })).toBeFocused();
  await picture(page, 'inspector-xenstore');

  await page.keyboard.press('Control+Alt+6');
  await page.getByRole('button', { name: 'Record', exact: true }).click();
  await page.keyboard.press('Control+Alt+1');
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('echo something to trace\n');
  await consoleSays(page, /\nsomething to trace\n/);
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('Control+Alt+6');
  await expect(page.getByRole('row', { name: /hypercall/ }).first()).toBeVisible();
  await page.getByRole('button', { name: 'Freeze list' }).click();
  await expect(page.getByRole('button', { name: 'Live again' })).toBeVisible();
  const first = await page.getByRole('region', { name: 'Trace' }).getByRole('row').nth(1).innerText();
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByRole('checkbox', { name: 'schedule' }).check();
  await expect(page.getByRole('region', { name: 'Trace' }).getByRole('row', { name: /hypercall/ })).toHaveCount(0);
  expect(first).not.toBe('');
  await page.getByRole('button', { name: 'Export Duration of what is listed' }).click();
  await expect(page.getByRole('menuitem', { name: 'Save as PNG' })).toBeVisible();
  await page.getByRole('menuitem', { name: 'Show as table' }).click();
  await expect(page.getByRole('cell', { name: /^up to / }).first()).toBeVisible();
  await picture(page, 'inspector-trace');

  await page.keyboard.press('Control+Alt+7');
  await page.getByRole('button', { name: 'Pause the domain' }).click();
  const code = page.getByRole('listbox', { name: /^Disassembly/ });
  const current = code.locator('[aria-current=step]');
  await expect(current).toBeVisible();
  const before = await current.locator('.address').innerText();
  // A guest at its prompt waits for a key: it is let run, woken, and comes by the breakpoint, which pauses it.
  await current.focus();
  await page.keyboard.press('Enter');
  await expect(current.locator('.mark i')).toBeVisible();
  const inspector = page.getByRole('region', { name: 'Inspector' });
  await inspector.getByRole('button', { name: 'Unpause' }).first().click();
  await expect(tiles(page).first()).not.toHaveAccessibleName(/Paused/);
  await page.keyboard.press('Control+Alt+1');
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('\n');
  await expect(tiles(page).first()).toHaveAccessibleName(/Paused/);
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('Control+Alt+7');
  await expect(current.locator('.address')).toHaveText(before);
  await page.getByRole('button', { name: 'Step', exact: true }).click();
  await expect(current.locator('.address')).not.toHaveText(before);
  await picture(page, 'inspector-debug');
  await page.getByRole('button', { name: /^Remove the breakpoint/ }).click();
  await inspector.getByRole('button', { name: 'Unpause' }).first().click();
  await expect(tiles(page).first()).not.toHaveAccessibleName(/Paused/);

  await page.keyboard.press('Control+Alt+8');
  await expect(page.getByRole('tab', { name: 'Meter' })).toHaveAttribute('aria-selected', 'true');
  await expect(tiles(page)).toHaveCount(1);
});

test('save, restore, clone: Ctrl+S keeps the domain in a file and on the shelf; dragged onto a host it runs beside its original, and so does its clone', async ({
  app,
  page,
}) => {
  const file = path.join(app.profile, 'dinghy.save');
  // The file chooser is the system's: it answers for the person.
  if (app.launcher === 'electron')
    await app.evaluateMain(({ dialog }, filePath) => {
      dialog.showSaveDialog = () => Promise.resolve({ canceled: false, filePath });
    }, file);
  else page.on('dialog', (prompt) => void prompt.accept(file));

  await bootFirst(page);
  await page.keyboard.type('echo kept in a file\n');
  await consoleSays(page, /\nkept in a file\n/);
  await page.keyboard.press('Control+F6');
  await page.keyboard.press('Control+s');
  await expect(page.locator('.toast')).toContainText('dinghy saved', { timeout: 60_000 });
  const saved = page.locator('[data-saved="dinghy"]');
  await expect(saved).toBeVisible();
  await picture(page, 'saved-shelf');

  await dragTo(page, saved, host(page, 'alder'));
  await page.mouse.up();
  await expect(tiles(page)).toHaveCount(2, { timeout: 60_000 });
  await page.getByRole('tab', { name: 'Console' }).click();
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('echo back again\n');
  await consoleSays(page, /\nback again\n/);

  // By its file: what the stream says, and the same way back.
  await page.keyboard.press('Control+F6');
  await saved.click();
  await expect(page.getByRole('menuitem', { name: 'Restore on alder' })).toBeVisible();
  await page.keyboard.press('Escape');

  await tiles(page).last().focus();
  await page.keyboard.press('Control+d');
  await expect(tiles(page)).toHaveCount(3, { timeout: 60_000 });
  await page.getByRole('tab', { name: 'Console' }).click();
  await page.locator('.xterm-screen').click();
  await page.keyboard.type('echo I am a clone\n');
  await consoleSays(page, /\nI am a clone\n/);
});
