/**
 * Injected into the page's own world before any script of the page: receives what the preload script exposes, and asks
 * the main process before a window opens, as Electron does. Leaves no trace of itself that a page could call.
 */
import { createWorldBridge } from './world-bridge.ts';

/** First contact: the isolated world calls this id with (key, value). */
export const EXPOSE_FUNCTION = 1;

/**
 * @param secret name of the events between the worlds
 * @param requestToken lets the page ask, over HTTP, only what main-process handlers decide
 */
export function startMainWorld(secret: string, requestToken: string): void {
  if (window !== window.top) return;
  const bridge = createWorldBridge(`${secret}:from-main`, `${secret}:from-isolated`);
  const freeze = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  };
  bridge.publish(EXPOSE_FUNCTION, (key, value) => {
    freeze(value);
    Object.defineProperty(window, key as string, { value, writable: false, configurable: false, enumerable: true });
    return undefined;
  });

  // The main process decides before anything opens; XMLHttpRequest is the one way to wait for it.
  const Request = XMLHttpRequest;
  const open = window.open.bind(window);
  window.open = (url, target, features) => {
    const request = new Request();
    request.open('POST', `/__standin/${requestToken}/window-open`, false);
    request.send(JSON.stringify({ url: new URL(url ?? 'about:blank', document.baseURI).href, target, features }));
    return request.responseText === 'allow' ? open(url, target, features) : null;
  };
}
