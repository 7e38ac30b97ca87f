/**
 * What is built from what: the table behind scripts/build.ts, and the way to tell whether a build is older than its sources.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder. */
export const projectFolder = fileURLToPath(new URL('..', import.meta.url));
export const outFolder = path.join(projectFolder, 'out');

/** Code that runs in Node: entry name in out/main -> source. */
export const nodeEntries: Readonly<Record<string, string>> = {
  app: 'main/app/index.ts',
  engine: 'main/engine/index.ts',
  'host-worker': 'main/engine/host-worker.ts',
  'translator-worker': 'main/machine/cpu/translator/worker.ts',
};

/** Folders whose files make a build out of date. */
export const sourceFolders = ['main', 'preload', 'renderer', 'shared', 'build'] as const;
const sourceFiles = [
  'package-lock.json',
  'package.json',
  'vite.renderer.config.ts',
  'scripts/build.ts',
  'scripts/build-targets.ts',
] as const;

/** Written last by a build that succeeded. */
export const buildStamp = path.join(outFolder, 'build.json');

/**
 * Files under main/ that are read at run time: copied to the same place under out/main. Sources name them relative to
 * import.meta.url, which the build makes mean the same place (scripts/mirror-import-meta.ts).
 */
export function isRunTimeFile(pathBelowMain: string): boolean {
  const path = pathBelowMain.replaceAll('\\', '/');
  return path.endsWith('.wasm') || /^guests\/.*(\/images\/|\/manifest\.json$)/.test(path);
}

/** True when a build is missing or some source is newer than it. */
export function buildIsOlderThanSources(): boolean {
  if (!existsSync(buildStamp)) return true;
  const built = statSync(buildStamp).mtimeMs;
  if (sourceFiles.some((file) => statSync(path.join(projectFolder, file)).mtimeMs > built)) return true;
  return sourceFolders.some((folder) => newest(path.join(projectFolder, folder)) > built);
}

/** Every file under a folder, as absolute paths. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** The version in package.json. */
export function appVersion(): string {
  return (JSON.parse(readFileSync(path.join(projectFolder, 'package.json'), 'utf8')) as { version: string }).version;
}

function newest(folder: string): number {
  // Folders count too: a deleted file changes only its folder's time.
  if (!existsSync(folder)) return 0;
  return Math.max(
    statSync(folder).mtimeMs,
    ...readdirSync(folder, { recursive: true, withFileTypes: true }).map(
      (entry) => statSync(path.join(entry.parentPath, entry.name)).mtimeMs,
    ),
  );
}
