/**
 * The `app:` protocol: serves the renderer's bundle, and nothing else, in place of file:// addresses.
 *
 * Invariant: a request can only name a file inside the bundle's folder, and every answer carries the
 * Content-Security-Policy (Electron security checklist, items 7 and 18).
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { protocol } from 'electron';
import { contentSecurityPolicy } from './content-security-policy.ts';

export const APP_SCHEME = 'app';
export const APP_ORIGIN = 'app://bulkhead';
export const START_PAGE = `${APP_ORIGIN}/index.html`;

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.wasm': 'application/wasm',
};

/** Must run before the app's `ready` event: a standard scheme has an origin, storage and secure-context APIs. */
export function registerAppScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
  ]);
}

/** @param root absolute path of the renderer's bundle; may lie inside an asar archive. */
export function serveRenderer(root: string): void {
  protocol.handle(APP_SCHEME, (request) => answer(request, root));
}

/** The answer to one request. Exported for tests. */
export async function answer(request: Request, root: string): Promise<Response> {
  const headers = {
    'Content-Security-Policy': contentSecurityPolicy,
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
  };
  const refuse = (status: number, reason: string): Response =>
    new Response(reason, { status, headers: { ...headers, 'Content-Type': 'text/plain; charset=utf-8' } });

  const file = fileOf(request.url, root);
  if (request.method !== 'GET') return refuse(405, 'Only GET is answered.');
  if (file === null) return refuse(404, 'No such address.');
  const contentType = contentTypes[path.extname(file)];
  if (contentType === undefined) return refuse(404, 'No such kind of file.');
  try {
    const body = await readFile(file);
    return new Response(new Uint8Array(body), { headers: { ...headers, 'Content-Type': contentType } });
  } catch {
    return refuse(404, 'No such file in the bundle.');
  }
}

/** The file an address names, or null when it names none inside `root`. Exported for tests. */
export function fileOf(address: string, root: string): string | null {
  let url: URL;
  let name: string;
  try {
    url = new URL(address);
    name = decodeURIComponent(url.pathname);
  } catch {
    return null;
  }
  if (url.protocol !== `${APP_SCHEME}:` || url.host !== 'bulkhead' || name.includes('\0')) return null;
  const file = path.join(root, name === '/' ? 'index.html' : name);
  const relative = path.relative(root, file);
  return relative === '' || relative.startsWith('..') || path.isAbsolute(relative) ? null : file;
}
