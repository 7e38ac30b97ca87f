/**
 * What the flow tests know of the window: where its parts are, and how to wait for what a person would see.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { expect, type Locator, type Page } from '@playwright/test';
import { projectFolder } from '../../../scripts/build-targets.ts';
import type { App } from '../fixtures.ts';

export const tiles = (page: Page): Locator => page.locator('[data-tile]');
export const tile = (page: Page, name: string): Locator => page.locator(`[data-tile][aria-label^="${name},"]`);
export const host = (page: Page, name: string): Locator => page.locator(`[data-drop-host="${name}"]`);
export const template = (page: Page, id: string): Locator => page.locator(`[data-template="${id}"]`);

/** The window is there and its engine has answered. */
export async function ready(page: Page): Promise<void> {
  await expect(page.getByRole('contentinfo')).toContainText(/engine ready/i);
  await expect(page.locator('[data-drop-host]').first()).toBeVisible();
}

/** Drags by steps, as a hand does. */
export async function dragTo(page: Page, from: Locator, to: Locator): Promise<void> {
  const [start, end] = [(await from.boundingBox())!, (await to.boundingBox())!];
  await page.mouse.move(start.x + start.width / 2, start.y + start.height / 2);
  await page.mouse.down();
  await page.mouse.move(end.x + end.width / 2, end.y + end.height - 40, { steps: 12 });
}

/** Boots the demo guest as a first-time user does, with Enter, and waits for its prompt. */
export async function bootFirst(page: Page): Promise<void> {
  await ready(page);
  await expect(page.getByTestId('boot-first')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(tiles(page)).toHaveCount(1);
  await consoleSays(page, /dinghy\$ *$/);
  // The next key typed is the guest's.
  await expect(page.locator('.xterm-helper-textarea')).toBeFocused();
}

/** What the terminal shows, by its accessibility tree. */
export async function consoleText(page: Page): Promise<string> {
  const rows = await page.locator('.xterm-accessibility-tree > div').allInnerTexts();
  return rows
    .map((row) => row.replaceAll('\u00a0', ' ').trimEnd())
    .join('\n')
    .trimEnd();
}

export async function consoleSays(page: Page, text: RegExp): Promise<void> {
  await expect.poll(() => consoleText(page), { timeout: 60_000 }).toMatch(text);
}

/** Keeps a picture of the window in out/screens, to look at. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = path.join(projectFolder, 'out', 'screens');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

/** The system's file choosers answer with this path from now on, as if the person had chosen it. */
export async function chooseFile(app: App, file: string): Promise<void> {
  await app.evaluateMain(({ dialog }, filePath) => {
    dialog.showOpenDialog = () => Promise.resolve({ canceled: false, filePaths: [filePath] });
    dialog.showSaveDialog = () => Promise.resolve({ canceled: false, filePath });
  }, file);
}
