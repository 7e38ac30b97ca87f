/**
 * Before the tests: the bundles are built when a source is newer than they are, and it is said which launcher is used.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { projectFolder } from '../../scripts/build-targets.ts';
import { installedElectron } from '../../scripts/electron-binary.ts';
import { chooseLauncher } from './launchers.ts';

export default function buildFirst(): void {
  // Its own process: the bundlers must not run inside the test runner's module loader.
  const { status } = spawnSync(process.execPath, [path.join(projectFolder, 'scripts', 'build.ts'), '--if-needed'], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('The app could not be built.');
  const electron = installedElectron();
  console.log(
    chooseLauncher() === 'electron'
      ? 'The app is launched in Electron.'
      : `The app is launched under the stand-in for Electron${'reason' in electron ? `: ${electron.reason}` : ''}.`,
  );
}
