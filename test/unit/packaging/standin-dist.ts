/**
 * A folder shaped like Electron's binary distribution, without Electron: enough for electron-builder to lay out a package,
 * edit its resources and flip its fuses. Nothing in it runs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** What marks the fuse wire in Electron's binary; then version 1, the number of fuses, one character each. */
const fuseWire = (): Buffer =>
  Buffer.concat([Buffer.from('dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'), Buffer.from([1, 8]), Buffer.from('10110001')]);

/** Makes the folder for one platform. @returns its path */
export function makeStandinDist(folder: string, platform: 'linux' | 'win32'): string {
  mkdirSync(path.join(folder, 'resources'), { recursive: true });
  mkdirSync(path.join(folder, 'locales'), { recursive: true });
  writeFileSync(path.join(folder, 'version'), '0.0.0');
  writeFileSync(path.join(folder, 'LICENSE'), 'The licence of Electron lies here in a real distribution.\n');
  writeFileSync(path.join(folder, 'locales', 'en-US.pak'), '');
  if (platform === 'linux') {
    writeFileSync(path.join(folder, 'electron'), fuseWire(), { mode: 0o755 });
  } else {
    writeFileSync(path.join(folder, 'electron.exe'), Buffer.concat([emptyExecutable(), fuseWire()]));
  }
  return folder;
}

/** A valid, empty Windows program: electron-builder writes icon, version and integrity data into its resources. */
function emptyExecutable(): Buffer {
  const builder = createRequire(createRequire(import.meta.url).resolve('app-builder-lib'));
  const { NtExecutable, NtExecutableResource, Resource } = builder('resedit') as typeof import('resedit');
  const executable = NtExecutable.createEmpty(false, false);
  const resources = NtExecutableResource.from(executable);
  const version = Resource.VersionInfo.createEmpty();
  version.setFileVersion(1, 0, 0, 0);
  version.outputToResourceEntries(resources.entries);
  resources.outputResource(executable);
  return Buffer.from(executable.generate());
}
