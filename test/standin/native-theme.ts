/**
 * Electron's nativeTheme: a fixed theme is emulated in the page, `system` is what the browser says.
 */
import { EventEmitter } from 'node:events';
import type { CdpSession } from './cdp.ts';
import { refuseUnknown } from './refuse-unknown.ts';

type Source = 'system' | 'light' | 'dark';

const sessions = new Set<CdpSession>();
let source: Source = 'system';
let systemIsDark = false;

class NativeTheme extends EventEmitter<{ updated: [] }> {
  get themeSource(): Source {
    return source;
  }

  set themeSource(value: Source) {
    if (!['system', 'light', 'dark'].includes(value)) throw new TypeError(`themeSource cannot be ${String(value)}.`);
    const before = this.shouldUseDarkColors;
    source = value;
    for (const session of sessions) void emulate(session);
    if (before !== this.shouldUseDarkColors) setImmediate(() => this.emit('updated'));
  }

  get shouldUseDarkColors(): boolean {
    return source === 'system' ? systemIsDark : source === 'dark';
  }
}

const theme = new NativeTheme();
export const nativeTheme = refuseUnknown('nativeTheme', theme);

/** Puts the theme in force on a page, now and when it changes. */
export async function nativeThemeOnPage(session: CdpSession): Promise<void> {
  const answer = await session.send('Runtime.evaluate', {
    expression: "matchMedia('(prefers-color-scheme: dark)').matches",
    returnByValue: true,
  });
  const before = theme.shouldUseDarkColors;
  systemIsDark = (answer['result'] as { value?: unknown }).value === true;
  if (before !== theme.shouldUseDarkColors) theme.emit('updated');
  sessions.add(session);
  await emulate(session);
}

async function emulate(session: CdpSession): Promise<void> {
  const features = source === 'system' ? [] : [{ name: 'prefers-color-scheme', value: source }];
  await session.send('Emulation.setEmulatedMedia', { features }).catch(() => sessions.delete(session));
}
