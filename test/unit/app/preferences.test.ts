/** Preferences survive, and a damaged file is set aside instead of lost. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PreferencesFile } from '../../../main/app/preferences.ts';

let folder: string;
const file = (): string => path.join(folder, 'preferences.json');

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-preferences-'));
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

describe('PreferencesFile', () => {
  it('begins with the defaults and writes nothing', () => {
    expect(new PreferencesFile(folder).current).toEqual({ version: 1, theme: 'system', window: null, lastLab: null });
    expect(existsSync(file())).toBe(false);
  });

  it('gives back what was changed', () => {
    const window = { bounds: { x: 1, y: 2, width: 1000, height: 700 }, display: 'maximized' as const };
    new PreferencesFile(folder).update({ theme: 'dark', window });
    new PreferencesFile(folder).update({ lastLab: '/labs/a.bulkhead' });
    expect(new PreferencesFile(folder).current).toEqual({
      version: 1,
      theme: 'dark',
      window,
      lastLab: '/labs/a.bulkhead',
    });
    expect(readdirSync(folder)).toEqual(['preferences.json']);
  });

  it.each([
    ['no JSON', '{'],
    ['another version', '{"version": 2}'],
    ['a wrong value', '{"version": 1, "theme": "pink"}'],
  ])('sets a file with %s aside', (_name, text) => {
    writeFileSync(file(), text);
    expect(new PreferencesFile(folder).current.theme).toBe('system');
    expect(readFileSync(`${file()}.unreadable`, 'utf8')).toBe(text);
    expect(console.error).toHaveBeenCalledWith(expect.stringContaining('preferences.json'));
  });

  it('goes on when the folder cannot be written', () => {
    const preferences = new PreferencesFile(folder);
    rmSync(folder, { recursive: true });
    preferences.update({ theme: 'light' });
    expect(preferences.current.theme).toBe('light');
    expect(console.error).toHaveBeenCalledWith(expect.stringContaining('were not saved'));
  });
});
