/**
 * `npm run dist [-- electron-builder's arguments]`: builds the app, then packages for the current system into dist/.
 *
 * With no arguments all formats of electron-builder.yml for this system are made; `-- --dir` makes only the unpacked layout.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { build } from './build.ts';
import { projectFolder } from './build-targets.ts';

await build();
const builder = createRequire(import.meta.url).resolve('electron-builder/cli.js');
const { status } = spawnSync(process.execPath, [builder, '--publish', 'never', ...process.argv.slice(2)], {
  cwd: projectFolder,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
