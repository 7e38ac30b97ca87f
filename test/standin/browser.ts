/**
 * The one Chromium of the app and its windows: started with the first page that is loaded, gone with the last.
 */
import path from 'node:path';
import { findChromium, isHeadless, startChromium, type Chromium } from './chromium.ts';
import type { CdpSession } from './cdp.ts';
import { BLANK_PATH, resolverRules } from './origin-server.ts';

export interface Target {
  readonly id: string;
  readonly session: CdpSession;
}

export interface TargetOwner {
  /** The window was closed by the person, or the browser ended. */
  targetGone(): void;
  /** A page asked, by a link, for a window that window.open did not announce. */
  mayOpen(url: string): boolean;
}

interface TargetInfo {
  readonly targetId: string;
  readonly type: string;
  readonly url: string;
  readonly openerId?: string;
}

let profileFolder = '';
let started: Promise<Chromium> | null = null;
const owners = new Map<string, TargetOwner>();
const ours = new Set<string>();
let onDevtools: ((address: string) => void) | null = null;

/** Where the browser keeps its data. Called before the first window. */
export function setBrowserProfile(folder: string): void {
  profileFolder = folder;
}

/** Told the DevTools address when there is one. */
export function whenDevtools(listener: (address: string) => void): void {
  onDevtools = listener;
}

export interface Bounds {
  readonly x?: number;
  readonly y?: number;
  readonly width: number;
  readonly height: number;
}

/** A window with one page, showing a blank page of the given origin. */
export async function openTarget(origin: string, bounds: Bounds, owner: TargetOwner): Promise<Target> {
  const blank = `${origin}${BLANK_PATH}`;
  const first = started === null;
  started ??= start(blank, bounds);
  const chromium = await started;
  const { browser } = chromium.connection;
  let id: string;
  if (first) {
    id = await firstPage(chromium, blank);
  } else {
    const { width, height, x: left, y: top } = bounds;
    id = (await browser.send('Target.createTarget', { url: blank, newWindow: true, width, height, left, top }))[
      'targetId'
    ] as string;
  }
  ours.add(id);
  owners.set(id, owner);
  const attached = await browser.send('Target.attachToTarget', { targetId: id, flatten: true });
  return { id, session: chromium.connection.session(attached['sessionId'] as string) };
}

/** A command to the browser as a whole; rejects when none runs. */
export async function sendToBrowser(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
  if (started === null) throw new Error(`${method}: no browser is running.`);
  return await (await started).connection.browser.send(method, params);
}

/** Ends the browser. */
export async function closeBrowser(): Promise<void> {
  if (started === null) return;
  const { process: child, connection } = await started;
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const limit = setTimeout(() => child.kill('SIGKILL'), 3000);
  await connection.browser.send('Browser.close').catch(() => undefined);
  await gone;
  clearTimeout(limit);
}

async function start(blank: string, bounds: Bounds): Promise<Chromium> {
  const executable = findChromium();
  if (executable === null) {
    throw new Error('No Chromium or Chrome was found. Install one, or name its executable in BULKHEAD_CHROMIUM.');
  }
  const headless = isHeadless();
  const chromium = await startChromium({
    executable,
    profile: path.join(profileFolder, 'standin-browser'),
    firstPage: blank,
    bounds,
    resolverRules: await resolverRules(),
    headless,
    devtoolsPort: headless || process.env['BULKHEAD_STANDIN_DEVTOOLS'] === '1',
  });
  // Ctrl+C reaches the whole process group; the browser would otherwise outlive a killed app.
  process.once('exit', () => chromium.process.kill('SIGKILL'));
  chromium.process.once('exit', () => {
    for (const owner of [...owners.values()]) owner.targetGone();
    owners.clear();
  });
  const { browser } = chromium.connection;
  browser.on('Target.targetDestroyed', (params) => {
    const id = params['targetId'] as string;
    const owner = owners.get(id);
    owners.delete(id);
    owner?.targetGone();
  });
  browser.on('Target.targetCreated', (params) => {
    void closeUnwanted(params['targetInfo'] as TargetInfo);
  });
  await browser.send('Target.setDiscoverTargets', { discover: true });
  if (chromium.devtools !== null) onDevtools?.(chromium.devtools);
  return chromium;
}

async function firstPage(chromium: Chromium, blank: string): Promise<string> {
  const { browser } = chromium.connection;
  const { targetInfos } = (await browser.send('Target.getTargets')) as unknown as { targetInfos: TargetInfo[] };
  const found = targetInfos.find((target) => target.type === 'page' && target.url === blank);
  if (found !== undefined) return found.targetId;
  return await new Promise((resolve) => {
    const look = (params: Record<string, unknown>): void => {
      const target = params['targetInfo'] as TargetInfo;
      if (target.type !== 'page' || target.url !== blank) return;
      browser.off('Target.targetCreated', look);
      browser.off('Target.targetInfoChanged', look);
      resolve(target.targetId);
    };
    browser.on('Target.targetCreated', look);
    browser.on('Target.targetInfoChanged', look);
  });
}

/** A page that a page opened by itself (a link with a target, a middle click). */
async function closeUnwanted(target: TargetInfo): Promise<void> {
  if (target.type !== 'page' || target.openerId === undefined || ours.has(target.targetId)) return;
  const owner = owners.get(target.openerId);
  if (owner === undefined || owner.mayOpen(target.url)) return;
  await sendToBrowser('Target.closeTarget', { targetId: target.targetId }).catch(() => undefined);
}
