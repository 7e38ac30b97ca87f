// Builds an initial RAM file system from a static busybox, our /init and scripts, and a kernel's modules.
// Invariant: equal parts give equal bytes (no times, fixed order, fixed gzip header).
import { gzipSync } from 'node:zlib';
import { FileMode, writeCpio } from './cpio.ts';

/** Loadable modules of one kernel release, in the order of loading. */
export interface KernelModules {
  readonly release: string;
  readonly files: readonly { readonly name: string; readonly data: Uint8Array }[];
}

/**
 * @param scripts programs for /bin, by name
 * @param modules of every kernel that shall use this file system; /init loads those of its own release
 * @returns a gzip-compressed newc archive that Linux accepts as initrd.
 */
export function buildInitramfs(
  busybox: Uint8Array,
  init: Uint8Array,
  scripts: ReadonlyMap<string, Uint8Array> = new Map(),
  modules: readonly KernelModules[] = [],
): Uint8Array {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const directories = ['bin', 'dev', 'etc', 'lib', 'lib/modules', 'mnt', 'proc', 'root', 'sys', 'tmp'];
  const archive = writeCpio([
    ...directories.map((path) => ({ path, mode: FileMode.Directory })),
    { path: 'dev/console', mode: FileMode.CharDevice, device: { major: 5, minor: 1 } },
    { path: 'dev/null', mode: FileMode.CharDevice, device: { major: 1, minor: 3 } },
    { path: 'bin/busybox', mode: FileMode.Executable, data: busybox },
    { path: 'bin/sh', mode: FileMode.Symlink, data: text('busybox') },
    ...[...scripts].map(([name, data]) => ({ path: `bin/${name}`, mode: FileMode.Executable, data })),
    ...modules.flatMap(({ release, files }) => [
      { path: `lib/modules/${release}`, mode: FileMode.Directory },
      ...files.map(({ name, data }) => ({ path: `lib/modules/${release}/${name}`, mode: FileMode.Executable, data })),
      {
        path: `lib/modules/${release}/order`,
        mode: FileMode.Executable,
        data: text(files.map(({ name }) => `${name}\n`).join('')),
      },
    ]),
    { path: 'init', mode: FileMode.Executable, data: init },
  ]);
  const compressed = gzipSync(archive, { level: 9 });
  compressed[9] = 0xff; // operating system: unknown (RFC 1952), so that the bytes do not depend on the build machine
  return compressed;
}
