/**
 * Electron's binary: found where its npm package keeps it, or downloaded there, or a reason why not.
 *
 * The npm package has no install script: its `electron` command downloads on first use, and waits without end in a network
 * that drops packets. So the source is asked first, with a limit.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);

/** Wall-clock limits in milliseconds: for an answer from the source, and for the whole download. */
const ANSWER_LIMIT = 4000;
const DOWNLOAD_LIMIT = 15 * 60_000;

export type ElectronBinary = { readonly file: string } | { readonly reason: string };

/** The installed binary, or why there is none. Touches no network. */
export function installedElectron(): ElectronBinary {
  const folder = packageFolder();
  if (folder === null) return { reason: 'the npm package electron is not installed' };
  const override = process.env['ELECTRON_OVERRIDE_DIST_PATH'];
  const pathFile = path.join(folder, 'path.txt');
  const name = existsSync(pathFile) ? readFileSync(pathFile, 'utf8') : 'electron';
  const file = override === undefined ? path.join(folder, 'dist', name) : path.join(override, name);
  return existsSync(file) ? { file } : { reason: "Electron's binary has not been downloaded" };
}

/** The binary, downloaded if need be and possible. */
export async function provideElectron(): Promise<ElectronBinary> {
  const installed = installedElectron();
  const folder = packageFolder();
  if ('file' in installed || folder === null) return installed;
  const source = downloadSource(folder);
  const refusal = await whyUnreachable(source);
  if (refusal !== null) return { reason: `Electron's binary is not here and ${new URL(source).host} ${refusal}` };
  console.log(`Downloading Electron from ${new URL(source).host} ...`);
  const failure = await download(path.join(folder, 'install.js'));
  const now = installedElectron();
  return 'file' in now
    ? now
    : { reason: `Electron's binary could not be downloaded (${failure ?? 'nothing was installed'})` };
}

function packageFolder(): string | null {
  try {
    return path.dirname(require.resolve('electron/package.json'));
  } catch {
    return null;
  }
}

/** Where @electron/get looks, as far as it can be known from outside: its mirror settings, else GitHub. */
function downloadSource(folder: string): string {
  const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string };
  const mirror =
    process.env['ELECTRON_MIRROR'] ??
    process.env['npm_config_electron_mirror'] ??
    'https://github.com/electron/electron/releases/download/';
  return new URL(`v${version}/SHASUMS256.txt`, mirror.endsWith('/') ? mirror : `${mirror}/`).href;
}

/** Null when the source answers; else the end of a sentence that begins with its name. */
async function whyUnreachable(source: string): Promise<string | null> {
  try {
    const response = await fetch(source, { method: 'HEAD', signal: AbortSignal.timeout(ANSWER_LIMIT) });
    return response.ok ? null : `answers with status ${response.status}`;
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') return `does not answer within ${ANSWER_LIMIT / 1000} s`;
    return 'cannot be reached from here';
  }
}

async function download(installer: string): Promise<string | null> {
  const child = spawn(process.execPath, [installer], { stdio: ['ignore', 'inherit', 'pipe'], timeout: DOWNLOAD_LIMIT });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk));
  return await new Promise((resolve) => {
    child.once('error', (error) => {
      resolve(error.message);
    });
    child.once('close', (code) => {
      resolve(code === 0 ? null : (complaint.split('\n').find((line) => line.trim() !== '') ?? `code ${code}`).trim());
    });
  });
}
