/**
 * `npm run check`: types, lint with the layering rule, formatting. Runs every step even when one fails; ends with status 1 if any did.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const steps: [string, string[]][] = [
  ['tsc', ['--noEmit', '-p', 'main/tsconfig.json']],
  // tests of the renderer import its components
  ['vue-tsc', ['--noEmit', '-p', 'test/tsconfig.json']],
  ['vue-tsc', ['--noEmit', '-p', 'renderer/tsconfig.json']],
  ['eslint', ['.', '--max-warnings=0', '--cache', '--cache-location', '.cache/eslint']],
  ['prettier', ['--check', '--log-level=warn', '.', '--cache', '--cache-location', '.cache/prettier']],
];
let failed = false;
for (const [tool, args] of steps) {
  console.log(`> ${tool} ${args.join(' ')}`);
  const done = spawnSync(path.join(root, 'node_modules', '.bin', tool), args, { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) failed = true;
}
process.exitCode = failed ? 1 : 0;
