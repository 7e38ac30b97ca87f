/**
 * `npm start [-- file ...]`: builds when a source is newer than the build, then opens the app: in Electron when its binary
 * is here or can be downloaded, else under the stand-in (test/standin) with an installed Chromium or Chrome.
 *
 * BULKHEAD_LAUNCHER=electron or =standin decides outright.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.ts';
import { buildIsOlderThanSources, projectFolder } from './build-targets.ts';
import { provideElectron } from './electron-binary.ts';
import { findChromium } from '../test/standin/chromium.ts';

const args = process.argv.slice(2);
// Where `npm run guests` puts what it fetches; a packaged app looks in the person's own cache folder.
process.env['BULKHEAD_GUESTS'] ??= path.join(projectFolder, '.cache', 'guests');

if (buildIsOlderThanSources()) {
  const started = Date.now();
  console.log('Building ...');
  await build();
  console.log(`Built in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
}

const launcher = process.env['BULKHEAD_LAUNCHER'];
const electron = launcher === 'standin' ? { reason: 'BULKHEAD_LAUNCHER=standin asks for it' } : await provideElectron();
if ('file' in electron) {
  run(electron.file, [projectFolder, ...args]);
} else if (launcher === 'electron') {
  console.error(`Electron cannot be started: ${electron.reason}.`);
  process.exitCode = 1;
} else if (findChromium() === null) {
  console.error(`Electron cannot be started: ${electron.reason}. There is no Chromium or Chrome to use instead.`);
  console.error(
    'Install one of them (Debian: apt install chromium), or give access to the address that Electron comes from.',
  );
  process.exitCode = 1;
} else {
  console.log(`Opening in the installed Chromium through the stand-in for Electron, because ${electron.reason}.`);
  run(process.execPath, [fileURLToPath(new URL('../test/standin/launch.ts', import.meta.url)), projectFolder, ...args]);
}

function run(executable: string, commandLine: readonly string[]): void {
  const child = spawn(executable, commandLine, { stdio: 'inherit', cwd: path.resolve(process.env['INIT_CWD'] ?? '.') });
  // The app closes its lab first; this process only waits for it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => {
    console.error(`${executable} could not be started: ${error.message}`);
    process.exitCode = 1;
  });
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' || signal === 'SIGTERM' ? 0 : 1);
  });
}
