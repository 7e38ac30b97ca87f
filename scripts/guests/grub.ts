// Links GRUB images with an embedded configuration out of the unpacked packages.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestFetchError } from './apt.ts';

/** The Xen formats grub-mkimage knows, all built. */
export const grubFormats = ['i386-xen', 'x86_64-xen', 'i386-xen_pvh'] as const;

/** Runs GRUB's own functional tests and powers off. The memdisk of the video variant holds the font. */
const functionalTest = `set root=memdisk
set prefix=(memdisk)/
insmod functional_test
functional_test
halt
`;
/** Ends in GRUB's shell. */
const shell = `echo GRUB is running
`;

/** Draws a terminal in every video mode and takes the checksum of each picture: minutes of computing, so it has an image of its own. */
const VIDEO_TEST = 'cmdline_cat_test';
const VIDEO_MODULES = ['cat', 'procfs', 'gfxterm', 'memdisk', 'tar'];

/** A tar archive with GRUB's font where the video test looks for it; equal fonts give equal bytes. */
function fontArchive(font: string, out: string): string {
  const tree = join(out, 'memdisk');
  mkdirSync(join(tree, 'fonts'), { recursive: true });
  copyFileSync(font, join(tree, 'fonts', 'unicode.pf2'));
  const archive = join(out, 'memdisk.tar');
  const fixed = ['--format=ustar', '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  const run = spawnSync('tar', [...fixed, '-C', tree, '-cf', archive, 'fonts'], { encoding: 'utf8' });
  rmSync(tree, { recursive: true });
  if (run.status !== 0)
    throw new GuestFetchError(`tar could not pack GRUB's font: ${(run.stderr ?? String(run.error)).trim()}`);
  return archive;
}

/**
 * Builds `<format>-shell.elf`, `<format>-test.elf` and `<format>-video.elf` in `out` for every format.
 * @param font GRUB's unicode.pf2
 * @param libraries folder with the shared libraries grub-mkimage needs, searched before the system's
 */
export function buildGrubImages(
  mkimage: string,
  modulesRoot: string,
  font: string,
  libraries: string,
  out: string,
): string[] {
  mkdirSync(out, { recursive: true });
  const memdisk = fontArchive(font, out);
  const built: string[] = [];
  for (const format of grubFormats) {
    const modules = join(modulesRoot, format);
    if (!existsSync(modules)) throw new GuestFetchError(`grub-xen-bin has no modules for ${format}.`);
    const all = readdirSync(modules).filter((name) => name.endsWith('.mod'));
    const tests = all.filter((name) => name.endsWith('_test.mod')).map((name) => name.slice(0, -4));
    // What the tests look up by name, without depending on it: ciphers for passwords and signatures, and the shell's words.
    const extras = [
      'xnu_uuid',
      'legacycfg',
      'pgp',
      'gcry_dsa',
      'gcry_rsa',
      'gcry_md5',
      'gcry_sha1',
      'gcry_sha256',
      'gcry_sha512',
    ].filter((name) => all.includes(`${name}.mod`));
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
      {
        name: 'test',
        config: functionalTest,
        modules: ['normal', 'echo', 'halt', 'test', ...tests.filter((name) => name !== VIDEO_TEST), ...extras],
      },
      {
        name: 'video',
        config: functionalTest,
        modules: ['normal', 'echo', 'halt', 'test', 'functional_test', VIDEO_TEST, ...VIDEO_MODULES],
        memdisk,
      },
    ];
    for (const variant of variants) {
      const config = join(out, `${variant.name}.cfg`);
      writeFileSync(config, variant.config);
      const image = join(out, `${format}-${variant.name}.elf`);
      const run = spawnSync(
        mkimage,
        ['-O', format, '-d', modules, '-c', config, '-o', image, '-p', '/'].concat(
          'memdisk' in variant ? ['-m', memdisk] : [],
          [...new Set(variant.modules)],
        ),
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
