/**
 * Electron's session, as far as permissions go: the app's answer for each permission is set in the browser.
 */
import { sendToBrowser } from './browser.ts';
import { fromBrowserAddress } from './origin-server.ts';
import { refuseUnknown } from './refuse-unknown.ts';

type RequestHandler = (
  contents: unknown,
  permission: string,
  callback: (granted: boolean) => void,
  details: unknown,
) => void;
type CheckHandler = (contents: unknown, permission: string, requestingOrigin: string, details: unknown) => boolean;

/** Chromium's descriptor name -> Electron's name, for what a page can ask for. */
const permissions: Readonly<Record<string, string>> = {
  geolocation: 'geolocation',
  notifications: 'notifications',
  midi: 'midi',
  camera: 'media',
  microphone: 'media',
  'clipboard-read': 'clipboard-read',
  'clipboard-write': 'clipboard-sanitized-write',
  'idle-detection': 'idle-detection',
  'screen-wake-lock': 'screen-wake-lock',
  'storage-access': 'storage-access',
  'window-management': 'window-management',
  'local-fonts': 'local-fonts',
};

let requestHandler: RequestHandler | null = null;
let checkHandler: CheckHandler | null = null;

export const session = refuseUnknown('session', {
  defaultSession: refuseUnknown('Session', {
    setPermissionRequestHandler: (handler: RequestHandler | null): void => {
      requestHandler = handler;
    },
    setPermissionCheckHandler: (handler: CheckHandler | null): void => {
      checkHandler = handler;
    },
  }),
});

/** Tells the browser what the app's check handler says about pages of this origin (written the browser's way). */
export async function applyPermissions(origin: string): Promise<void> {
  const appOrigin = fromBrowserAddress(origin);
  await Promise.all(
    Object.entries(permissions).map(async ([name, electronName]) => {
      const granted = checkHandler?.(null, electronName, appOrigin, {}) ?? requestHandler === null;
      // A browser of another version may not know a name: it cannot grant it either.
      await sendToBrowser('Browser.setPermission', {
        permission: { name },
        setting: granted ? 'granted' : 'denied',
        origin,
      }).catch(() => undefined);
    }),
  );
}
