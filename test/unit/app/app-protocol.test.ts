/** The app: protocol serves the bundle and nothing else. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

vi.mock('electron', () => ({ protocol: {} }));
const { answer, fileOf } = await import('../../../main/app/app-protocol.ts');

let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-protocol-'));
  mkdirSync(path.join(root, 'page', 'assets'), { recursive: true });
  writeFileSync(path.join(root, 'page', 'index.html'), '<title>page</title>');
  writeFileSync(path.join(root, 'page', 'assets', 'a.js'), 'export {};');
  writeFileSync(path.join(root, 'secret.js'), 'secret');
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const get = (address: string, method = 'GET'): Promise<Response> =>
  answer(new Request(address, { method }), path.join(root, 'page'));

describe('the app: protocol', () => {
  it('serves a file with its type and the policy', async () => {
    const response = await get('app://bulkhead/assets/a.js');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/javascript');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).toBe('export {};');
  });

  it('serves the page at the root', async () => {
    expect(await (await get('app://bulkhead/')).text()).toContain('page');
  });

  it('sends the policy with a refusal too', async () => {
    const response = await get('app://bulkhead/missing.js');
    expect(response.status).toBe(404);
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self'");
  });

  it('answers nothing but GET', async () => {
    expect((await get('app://bulkhead/index.html', 'POST')).status).toBe(405);
  });

  it.each([
    'app://bulkhead/../secret.js',
    'app://bulkhead/%2e%2e/secret.js',
    'app://bulkhead/..%2fsecret.js',
    'app://bulkhead/assets/..%5c..%5c..%5csecret.js',
    'app://bulkhead/%00',
    'app://bulkhead/%ff',
    'app://elsewhere/index.html',
    'https://bulkhead/index.html',
    'not an address',
  ])('names no file outside the bundle for %s', (address) => {
    const file = fileOf(address, path.join(root, 'page'));
    if (file !== null) expect(file.startsWith(path.join(root, 'page') + path.sep)).toBe(true);
    expect(file).not.toBe(path.join(root, 'secret.js'));
  });
});
