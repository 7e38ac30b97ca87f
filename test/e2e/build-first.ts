/**
 * Before the tests: the bundles are built when a source is newer than they are.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { projectFolder } from '../../scripts/build-targets.ts';

export default function buildFirst(): void {
  // Its own process: the bundlers must not run inside the test runner's module loader.
  const { status } = spawnSync(process.execPath, [path.join(projectFolder, 'scripts', 'build.ts'), '--if-needed'], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error('The app could not be built.');
}
