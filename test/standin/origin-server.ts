/**
 * Custom schemes in an ordinary browser: `app://bulkhead/x` is shown as `http://bulkhead.app.localhost/x`, answered by the
 * app's own protocol handler over the loopback interface.
 *
 * What stays honest: the page has one origin of its own, a secure context (*.localhost is potentially trustworthy),
 * 'self' in the Content-Security-Policy means that origin, and every header is the handler's. What differs: the address
 * is written differently, and other programs of this machine could fetch the bundle's files. The wire to the main process
 * needs a token that only the page's isolated world knows.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { refuseUnknown, refuseUnknownOptions } from './refuse-unknown.ts';

/** What a page's tokens open. */
export interface PageEndpoints {
  /** The page's isolated world has connected. */
  connect(socket: WebSocket): void;
  /** window.open was called. */
  mayOpenWindow(request: { url: string; target?: string; features?: string }): boolean;
  /** Keeps a dropped or picked file and returns its path. */
  keepFile(name: string, content: Buffer): string;
}

type Handler = (request: Request) => Response | Promise<Response>;

const handlers = new Map<string, Handler>();
const wires = new Map<string, PageEndpoints>();
const requests = new Map<string, PageEndpoints>();

/** The empty page a window starts with. */
export const BLANK_PATH = '/__standin/blank';

export function toBrowserAddress(address: string): string {
  const url = new URL(address);
  if (!handlers.has(url.protocol.slice(0, -1))) throw new Error(`No protocol handler is registered for ${address}.`);
  return `http://${url.host}.${url.protocol.slice(0, -1)}.localhost${url.pathname}${url.search}${url.hash}`;
}

/** The app's way to write an address that the browser reports. Foreign addresses stay as they are. */
export function fromBrowserAddress(address: string): string {
  const match = /^http:\/\/([^/?#]+)\.([a-z][a-z0-9+-]*)\.localhost(?=[/?#]|$)/.exec(address);
  if (match === null || !handlers.has(match[2] as string)) return address;
  const path = address.slice(match[0].length);
  return path === BLANK_PATH ? '' : `${match[2]}://${match[1]}${path}`;
}

/** Lets a page's tokens work. */
export function registerPage(tokens: { wireToken: string; requestToken: string }, page: PageEndpoints): void {
  wires.set(tokens.wireToken, page);
  requests.set(tokens.requestToken, page);
}

export function unregisterPage(tokens: { wireToken: string; requestToken: string }): void {
  wires.delete(tokens.wireToken);
  requests.delete(tokens.requestToken);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
const sockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 30 });

server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
  const [, token, verb] = /^\/__standin\/([^/]+)\/(\w+)$/.exec(request.url ?? '') ?? [];
  const page = verb === 'wire' ? wires.get(token ?? '') : undefined;
  // A page of any other origin, and any program without the token, is turned away.
  if (page === undefined || request.headers.origin !== `http://${request.headers.host}`) {
    socket.destroy();
    return;
  }
  sockets.handleUpgrade(request, socket, head, (wire) => {
    page.connect(wire);
  });
});

const listening = new Promise<number>((resolve, reject) => {
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    resolve((server.address() as AddressInfo).port);
  });
});
// The app's windows keep it running, not this server.
server.unref();

/** Chromium's --host-resolver-rules that lead the pages' hosts here, and every other name nowhere. */
export async function resolverRules(): Promise<string> {
  return `MAP *.localhost:80 127.0.0.1:${await listening}`;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const host = /^([a-z0-9-]+)\.([a-z][a-z0-9+-]*)\.localhost$/.exec(request.headers.host ?? '');
  const handler = handlers.get(host?.[2] ?? '');
  const url = request.url ?? '/';
  if (host === null || handler === undefined) {
    response.writeHead(421).end();
    return;
  }
  if (url === BLANK_PATH) {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Bulkhead</title>');
    return;
  }
  if (url === '/favicon.ico') {
    // Asked for by the browser itself, for a tab that is not there; Electron does not ask.
    response.writeHead(204).end();
    return;
  }
  if (url.startsWith('/__standin/')) {
    await answerPage(request, response, new URL(url, `http://${host[0]}`));
    return;
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === 'string' && name !== 'host' && name !== 'connection') headers.set(name, value);
  }
  const answered = await handler(
    new Request(`${host[2]}://${host[1]}${url}`, { method: request.method ?? 'GET', headers }),
  );
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  response.end(Buffer.from(await answered.arrayBuffer()));
}

async function answerPage(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
  const [, , token, verb] = url.pathname.split('/');
  const page = requests.get(token ?? '');
  if (page === undefined || request.method !== 'POST') {
    response.writeHead(404).end();
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (verb === 'window-open') {
    const wanted = JSON.parse(body.toString('utf8')) as { url: string };
    response.end(page.mayOpenWindow({ ...wanted, url: fromBrowserAddress(wanted.url) }) ? 'allow' : 'deny');
  } else if (verb === 'file') {
    response.end(page.keepFile(url.searchParams.get('name') ?? 'file', body));
  } else {
    response.writeHead(404).end();
  }
}

interface CustomScheme {
  readonly scheme: string;
  readonly privileges?: Readonly<Record<string, boolean>>;
}

/** Electron's `protocol`. */
export const protocol = refuseUnknown('protocol', {
  registerSchemesAsPrivileged(schemes: readonly CustomScheme[]): void {
    for (const { scheme, privileges = {} } of schemes) {
      refuseUnknownOptions(`the privileges of ${scheme}:`, privileges, [
        'standard',
        'secure',
        'supportFetchAPI',
        'codeCache',
      ]);
      if (privileges['standard'] !== true || privileges['secure'] !== true) {
        throw new Error(
          `The stand-in for Electron shows custom schemes as standard and secure; ${scheme}: is not both.`,
        );
      }
    }
  },
  handle(scheme: string, handler: Handler): void {
    if (handlers.has(scheme)) throw new Error(`Failed to register protocol: ${scheme}`);
    handlers.set(scheme, handler);
  },
  unhandle(scheme: string): void {
    handlers.delete(scheme);
  },
  isProtocolHandled: (scheme: string): boolean => handlers.has(scheme),
});
