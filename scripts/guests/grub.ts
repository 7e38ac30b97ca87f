// Links GRUB images with an embedded configuration out of the unpacked packages.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestFetchError } from './apt.ts';

/** The Xen formats grub-mkimage knows, all built. */
export const grubFormats = ['i386-xen', 'x86_64-xen', 'i386-xen_pvh'] as const;

/** Runs GRUB's own functional tests and powers off. */
const functionalTest = `insmod functional_test
functional_test
halt
`;
/** Ends in GRUB's shell. */
const shell = `echo GRUB is running
`;

/**
 * Builds `<format>-shell.elf` and `<format>-test.elf` in `out` for every format.
 * @param libraries folder with the shared libraries grub-mkimage needs, searched before the system's
 */
export function buildGrubImages(mkimage: string, modulesRoot: string, libraries: string, out: string): string[] {
  mkdirSync(out, { recursive: true });
  const built: string[] = [];
  for (const format of grubFormats) {
    const modules = join(modulesRoot, format);
    if (!existsSync(modules)) throw new GuestFetchError(`grub-xen-bin has no modules for ${format}.`);
    const all = readdirSync(modules).filter((name) => name.endsWith('.mod'));
    const tests = all.filter((name) => name.endsWith('_test.mod')).map((name) => name.slice(0, -4));
    const extras = ['xnu_uuid', 'gcry_sha1', 'gcry_sha512', 'legacycfg'].filter((name) => all.includes(`${name}.mod`));
    const common = [
      'normal',
      'echo',
      'ls',
      'cat',
      'halt',
      'reboot',
      'memdisk',
      'tar',
      'test',
      'help',
      'lsxen',
      'date',
      'sleep',
    ];
    const variants = [
      { name: 'shell', config: shell, modules: common.filter((name) => all.includes(`${name}.mod`)) },
      { name: 'test', config: functionalTest, modules: ['normal', 'echo', 'halt', 'test', ...tests, ...extras] },
    ];
    for (const variant of variants) {
      const config = join(out, `${variant.name}.cfg`);
      writeFileSync(config, variant.config);
      const image = join(out, `${format}-${variant.name}.elf`);
      const run = spawnSync(
        mkimage,
        ['-O', format, '-d', modules, '-c', config, '-o', image, '-p', '/', ...new Set(variant.modules)],
        { encoding: 'utf8', env: { ...process.env, LD_LIBRARY_PATH: libraries } },
      );
      if (run.status !== 0)
        throw new GuestFetchError(
          `grub-mkimage could not build ${format}: ${(run.stderr ?? String(run.error)).trim()}`,
        );
      built.push(image);
    }
  }
  return built;
}
