/**
 * `npm run dist [-- electron-builder's arguments]`: builds the app, then packages for the current system into dist/.
 *
 * With no arguments all formats of electron-builder.yml for this system are made; `-- --dir` makes only the unpacked layout.
 * `-- --system-tools` makes the unpacked Linux layout and from it tar.gz, zip and deb with the system's own tools, for networks on
 * which electron-builder's helper tools cannot be downloaded (Electron's own binary must be there: `-c.electronDist=<folder>` names it).
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { makeDeb, makeTarGz, makeZip } from './archive-layout.ts';
import { build } from './build.ts';
import { appVersion, projectFolder } from './build-targets.ts';

await build();
const given = process.argv.slice(2);
const systemTools = given.includes('--system-tools');
const args = systemTools ? ['--linux', 'dir', '--x64', ...given.filter((a) => a !== '--system-tools')] : given;
const builder = createRequire(import.meta.url).resolve('electron-builder/cli.js');
const { status } = spawnSync(process.execPath, [builder, '--publish', 'never', ...args], {
  cwd: projectFolder,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
if (systemTools && status === 0) {
  const dist = path.join(projectFolder, 'dist');
  const layout = path.join(dist, 'linux-unpacked');
  const name = path.join(dist, `bulkhead-${appVersion()}`);
  makeTarGz(layout, `${name}-x64.tar.gz`, 'x64');
  makeZip(layout, `${name}-x64.zip`, 'x64');
  makeDeb(layout, `${name}-amd64.deb`, 'amd64');
}
