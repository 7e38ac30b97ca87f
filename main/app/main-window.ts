/**
 * The lab window: made with the security preferences, placed where it was left, reloaded when its page dies.
 */
import { BrowserWindow, nativeTheme, screen } from 'electron';
import type { WindowDisplay } from '../../shared/bridge.ts';
import { channels } from '../../shared/ipc-channels.ts';
import { START_PAGE } from './app-protocol.ts';
import { bundle } from './paths.ts';
import type { PreferencesFile } from './preferences.ts';
import { webPreferences } from './security.ts';
import { MINIMUM_SIZE, placeWindow } from './window-placement.ts';

/** The canvas colours of the two themes, so that nothing flashes before the first paint. */
const HULL = { dark: '#0E1413', light: '#DFE7E2' } as const;
/** A page that dies more often than this per minute is not reloaded again. */
const RELOADS_PER_MINUTE = 3;

export function displayOf(window: BrowserWindow): WindowDisplay {
  if (window.isFullScreen()) return 'fullscreen';
  return window.isMaximized() ? 'maximized' : 'normal';
}

/** Makes the window and starts loading its page. */
export function createMainWindow(preferences: PreferencesFile): BrowserWindow {
  const remembered = preferences.current.window;
  const workAreas = [screen.getPrimaryDisplay(), ...screen.getAllDisplays()].map((display) => display.workArea);
  const window = new BrowserWindow({
    ...placeWindow(remembered?.bounds ?? null, workAreas),
    minWidth: MINIMUM_SIZE.width,
    minHeight: MINIMUM_SIZE.height,
    show: false,
    title: 'Bulkhead',
    icon: bundle.icon,
    backgroundColor: nativeTheme.shouldUseDarkColors ? HULL.dark : HULL.light,
    autoHideMenuBar: true,
    webPreferences: webPreferences(bundle.preload),
  });
  window.once('ready-to-show', () => {
    if (remembered?.display === 'maximized') window.maximize();
    if (remembered?.display === 'fullscreen') window.setFullScreen(true);
    window.show();
  });
  // The page's <title> must not replace the lab's name.
  window.on('page-title-updated', (event) => {
    event.preventDefault();
  });
  rememberPlace(window, preferences);
  reloadWhenGone(window);
  void window.loadURL(START_PAGE);
  return window;
}

function rememberPlace(window: BrowserWindow, preferences: PreferencesFile): void {
  const tell = (): void => {
    window.webContents.send(channels.notice.windowState, displayOf(window));
  };
  window.on('maximize', tell);
  window.on('unmaximize', tell);
  window.on('enter-full-screen', tell);
  window.on('leave-full-screen', tell);
  window.on('close', () => {
    preferences.update({ window: { bounds: window.getNormalBounds(), display: displayOf(window) } });
  });
}

function reloadWhenGone(window: BrowserWindow): void {
  let reloads: number[] = [];
  window.webContents.on('render-process-gone', (_event, details) => {
    console.error(`The window's page ended: ${details.reason}, code ${details.exitCode}.`);
    if (details.reason === 'clean-exit' || window.isDestroyed()) return;
    const now = Date.now();
    reloads = reloads.filter((time) => now - time < 60_000);
    if (reloads.length >= RELOADS_PER_MINUTE) {
      console.error('It was reloaded too often already: the window is closed.');
      window.destroy();
      return;
    }
    reloads.push(now);
    window.webContents.reload();
  });
}
