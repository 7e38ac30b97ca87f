/**
 * The scripts injected into every page, bundled from test/standin/page once per run.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import type { IsolatedWorldOptions } from './page/isolated-world.ts';

let bundled: Promise<{ main: string; isolated: string }> | null = null;

async function bundle(entry: string, name: string): Promise<string> {
  const input = fileURLToPath(new URL(`./page/${entry}`, import.meta.url));
  const built = await rolldown({ input, platform: 'browser', tsconfig: false, logLevel: 'warn' });
  const { output } = await built.generate({ format: 'iife', name, codeSplitting: false });
  await built.close();
  return output[0].code;
}

async function scripts(): Promise<{ main: string; isolated: string }> {
  bundled ??= Promise.all([bundle('main-world.ts', 'standin'), bundle('isolated-world.ts', 'standin')]).then(
    ([main, isolated]) => ({
      main,
      isolated,
    }),
  );
  return await bundled;
}

/** The script for the page's own world, and the one for the isolated world with the app's preload bundle in it. */
export async function pageScripts(
  options: IsolatedWorldOptions,
  preloadFile: string,
): Promise<{ main: string; isolated: string }> {
  const { main, isolated } = await scripts();
  const preload = await readFile(preloadFile, 'utf8');
  return {
    main: `(() => { ${main}\nstandin.startMainWorld(${JSON.stringify(options.secret)}, ${JSON.stringify(options.requestToken)}); })();`,
    isolated: `(() => { ${isolated}\nstandin.startIsolatedWorld(${JSON.stringify(options)}, (require, module, process) => {
const exports = module.exports;
${preload}
}); })();`,
  };
}
