// The committed images are what their source gives, byte for byte, on a machine with the compiler they were built with.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('../../main/guests/dinghy/', import.meta.url);
const { compiler } = JSON.parse(readFileSync(new URL('manifest.json', folder), 'utf8')) as { compiler: string };

/** Why the images cannot be rebuilt here, or null. */
function obstacle(): string | null {
  const version = spawnSync('gcc', ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) return 'there is no gcc';
  const found = version.stdout.split('\n')[0];
  if (found !== compiler) return `gcc is "${found}", the images were built with "${compiler}"`;
  const library = spawnSync('gcc', ['-m32', '-print-libgcc-file-name'], { encoding: 'utf8' }).stdout.trim();
  return /\/32\//.test(library) ? null : 'the 32-bit part of gcc is missing (Debian package gcc-multilib)';
}

const why = obstacle();
it.skipIf(why !== null)(`rebuilding gives the committed images${why === null ? '' : ` (not here: ${why})`}`, () => {
  const output = execFileSync('bash', ['build.sh', '--check'], { cwd: folder, encoding: 'utf8' });
  expect(output).toContain('the committed images are what their source gives');
});
