/**
 * Builds the app into out/: the renderer with Vite; main process, engine, host worker and preload with Rolldown.
 *
 * `npm run build` builds; `npm run build -- --if-needed` only when a source is newer than the last build.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Resvg } from '@resvg/resvg-js';
import { rolldown, type InputOptions } from 'rolldown';
import { build as viteBuild } from 'vite';
import {
  appVersion,
  buildIsOlderThanSources,
  buildStamp,
  filesUnder,
  isRunTimeFile,
  nodeEntries,
  outFolder,
  projectFolder,
} from './build-targets.ts';
import { icnsFile, icoFile } from './icon-files.ts';
import { mirrorImportMeta } from './mirror-import-meta.ts';

const inProject = (...parts: string[]): string => path.join(projectFolder, ...parts);

/** Bundles for Node: everything but Node's own modules and Electron goes in, so that packages need no node_modules. */
async function buildNode(folder: string): Promise<void> {
  const bundle = await rolldown({
    ...common(),
    input: Object.fromEntries(Object.entries(nodeEntries).map(([name, source]) => [name, inProject(source)])),
    external: [/^node:/, 'electron'],
    platform: 'node',
    plugins: [mirrorImportMeta(inProject('main'))],
  });
  await bundle.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    // Flat: import.meta.url names this one folder in every chunk (scripts/mirror-import-meta.ts).
    chunkFileNames: 'shared-[hash].js',
    sourcemap: true,
  });
  await bundle.close();
  copyRunTimeFiles(folder);
  writeEntryMirrors(folder);
}

/** A sandboxed preload script must be one CommonJS file. */
async function buildPreload(folder: string): Promise<void> {
  const bundle = await rolldown({
    ...common(),
    input: inProject('preload/preload.ts'),
    external: ['electron'],
    platform: 'browser',
  });
  await bundle.write({
    file: path.join(folder, 'preload.cjs'),
    format: 'cjs',
    codeSplitting: false,
    sourcemap: true,
  });
  await bundle.close();
}

function common(): InputOptions {
  return {
    cwd: projectFolder,
    tsconfig: false,
    logLevel: 'warn',
    transform: { define: { __APP_VERSION__: JSON.stringify(appVersion()) } },
  };
}

function copyRunTimeFiles(folder: string): void {
  for (const file of filesUnder(inProject('main'))) {
    const below = path.relative(inProject('main'), file);
    if (!isRunTimeFile(below)) continue;
    mkdirSync(path.dirname(path.join(folder, below)), { recursive: true });
    cpSync(file, path.join(folder, below));
  }
}

/** Entries also answer under their source's path, where sources look for them (a worker beside the engine). */
function writeEntryMirrors(folder: string): void {
  for (const [name, source] of Object.entries(nodeEntries)) {
    const below = path.posix.relative('main', source).replace(/\.ts$/, '.js');
    const target = path.join(folder, below);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, `import '${path.posix.relative(path.posix.dirname(below), `${name}.js`)}';\n`);
  }
}

async function buildRenderer(folder: string): Promise<void> {
  // Whoever calls (a test runner, say) may have set another: Vue and its plugin look at this one.
  process.env['NODE_ENV'] = 'production';
  await viteBuild({
    mode: 'production',
    configFile: inProject('vite.renderer.config.ts'),
    logLevel: 'warn',
    build: { outDir: folder },
  });
}

/** Renders our SVG in the sizes that desktops ask for. */
function buildIcons(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const svg = readFileSync(inProject('build/icon.svg'));
  const images = new Map(
    [16, 24, 32, 48, 64, 128, 256, 512, 1024].map((size) => [
      size,
      new Resvg(svg, { fitTo: { mode: 'width', value: size } }).render().asPng(),
    ]),
  );
  for (const [size, png] of images) writeFileSync(path.join(folder, `${size}x${size}.png`), png);
  writeFileSync(path.join(folder, 'icon.png'), images.get(512) as Buffer);
  writeFileSync(path.join(folder, 'icon.ico'), icoFile(images));
  writeFileSync(path.join(folder, 'icon.icns'), icnsFile(images));
}

/**
 * Builds everything. Throws what the bundlers throw; then the last build is still whole.
 *
 * Built aside and moved into place at the end, so that an app or a test that runs meanwhile never meets half a build.
 */
export async function build(): Promise<void> {
  const started = Date.now();
  const aside = path.join(outFolder, `.building-${process.pid}`);
  const parts = ['icons', 'main', 'preload', 'renderer'];
  try {
    buildIcons(path.join(aside, 'icons'));
    await Promise.all([
      buildNode(path.join(aside, 'main')),
      buildPreload(path.join(aside, 'preload')),
      buildRenderer(path.join(aside, 'renderer')),
    ]);
    for (const part of parts) {
      const old = path.join(aside, `old-${part}`);
      if (existsSync(path.join(outFolder, part))) renameSync(path.join(outFolder, part), old);
      renameSync(path.join(aside, part), path.join(outFolder, part));
    }
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  writeFileSync(buildStamp, `${JSON.stringify({ version: appVersion() })}\n`);
  // The time of the start: a source changed while building counts as newer.
  utimesSync(buildStamp, started / 1000, started / 1000);
}

if (import.meta.main) {
  if (process.argv.includes('--if-needed') && !buildIsOlderThanSources()) {
    console.log('The build is up to date.');
  } else {
    const started = Date.now();
    await build();
    console.log(`Built out/ in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
  }
}
