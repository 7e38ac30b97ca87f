/**
 * What a page may not do, with a reason per line (Electron's security checklist: sandbox and isolation 2-4, permissions
 * 5, CSP 7, navigation 13, windows 14, openExternal 15, sender of IPC 17, no file:// 18, fuses 19).
 *
 * Invariant: deny by default. Whatever is allowed is named here.
 */
import { app, session, type WebContents, type WebPreferences } from 'electron';
import { APP_ORIGIN } from './app-protocol.ts';

/** Preferences of every window: the page gets the bridge and nothing else. */
export function webPreferences(preload: string): WebPreferences {
  return {
    preload,
    sandbox: true, // the page's process has no system calls of its own
    contextIsolation: true, // the page cannot reach into the preload script
    nodeIntegration: false, // no Node in the page
    nodeIntegrationInWorker: false, // nor in its workers
    nodeIntegrationInSubFrames: false, // nor in frames, which we have none of
    webviewTag: false, // no embedded foreign pages
    webSecurity: true, // same-origin policy as in any browser
    allowRunningInsecureContent: false,
    spellcheck: false, // would fetch dictionaries from the network
    navigateOnDragDrop: false, // a dropped file is imported, never opened as a page
  };
}

/** Permissions a page may have. Everything else that Chromium can ask for is refused. */
const allowedPermissions: ReadonlyMap<string, string> = new Map([
  ['clipboard-sanitized-write', 'Copy in consoles, tables and the trace, after a click or key'],
]);

/** True for addresses of our own bundle. */
export function isOwnAddress(address: string): boolean {
  try {
    const url = new URL(address);
    return `${url.protocol}//${url.host}` === APP_ORIGIN;
  } catch {
    return false;
  }
}

/** True for addresses that may be handed to the person's browser: the manual and cited sources, over https. */
export function isExternalAddress(address: string): boolean {
  try {
    const url = new URL(address);
    return url.protocol === 'https:' && url.username === '' && url.password === '';
  } catch {
    return false;
  }
}

/** Refuses every permission but those listed, for every session. Call once, after `ready`. */
export function denyPermissions(): void {
  session.defaultSession.setPermissionRequestHandler((contents, permission, callback) => {
    callback(allowedPermissions.has(permission) && isOwnAddress(contents.getURL()));
  });
  session.defaultSession.setPermissionCheckHandler((_contents, permission, requestingOrigin) => {
    return allowedPermissions.has(permission) && isOwnAddress(requestingOrigin);
  });
}

/** Applies the rules on navigation and new windows to every page that is ever made. Call once, before the first window. */
export function denyNavigation(): void {
  app.on('web-contents-created', (_event, contents) => {
    guard(contents);
  });
}

function guard(contents: WebContents): void {
  // The app is one page: whatever would leave it is a mistake or an attack. (A reload is not a navigation.)
  contents.on('will-navigate', (event) => {
    if (!isOwnAddress(event.url)) event.preventDefault();
  });
  // Links that open elsewhere go through the bridge's openExternal, which checks the address.
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
  // No <webview>: a foreign page would run inside ours.
  contents.on('will-attach-webview', (event) => {
    event.preventDefault();
  });
}
