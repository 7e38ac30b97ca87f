/**
 * Keeps `new URL('./file', import.meta.url)` true in a bundle: every chunk lies in out/main, and a module that was
 * main/guests/templates.ts goes on to believe that it is out/main/guests/templates.js.
 */
import path from 'node:path';
import type { Plugin } from 'rolldown';

/** @param sourceRoot absolute path of the folder that out/main mirrors */
export function mirrorImportMeta(sourceRoot: string): Plugin {
  return {
    name: 'mirror-import-meta',
    transform: {
      filter: { code: 'import.meta' },
      handler(code, id) {
        const below = path.relative(sourceRoot, id).replaceAll('\\', '/');
        // main/app names the other bundles themselves (main/app/paths.ts), which do lie in out/main.
        if (below.startsWith('..') || below.startsWith('app/')) return null;
        const unsupported = /import\.meta\.(dirname|filename|resolve)/.exec(code);
        if (unsupported !== null)
          this.error(`${id} uses ${unsupported[0]}: only import.meta.url is kept true in the bundle.`);
        const mirrored = `./${below.replace(/\.ts$/, '.js')}`;
        // No line moves: the source map stays good enough as it is.
        return {
          code: code.replaceAll('import.meta.url', `new URL(${JSON.stringify(mirrored)}, import.meta.url).href`),
          map: null,
        };
      },
    },
  };
}
