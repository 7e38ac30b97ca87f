// Builds an initial RAM file system from a static busybox and our /init.
// Invariant: equal busybox and init give equal bytes (no times, fixed order, fixed gzip header).
import { gzipSync } from 'node:zlib';
import { FileMode, writeCpio } from './cpio.ts';

/** @returns a gzip-compressed newc archive that Linux accepts as initrd. */
export function buildInitramfs(busybox: Uint8Array, init: Uint8Array): Uint8Array {
  const directories = ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp'];
  const archive = writeCpio([
    ...directories.map((path) => ({ path, mode: FileMode.Directory })),
    { path: 'dev/console', mode: FileMode.CharDevice, device: { major: 5, minor: 1 } },
    { path: 'dev/null', mode: FileMode.CharDevice, device: { major: 1, minor: 3 } },
    { path: 'bin/busybox', mode: FileMode.Executable, data: busybox },
    { path: 'bin/sh', mode: FileMode.Symlink, data: new TextEncoder().encode('busybox') },
    { path: 'init', mode: FileMode.Executable, data: init },
  ]);
  const compressed = gzipSync(archive, { level: 9 });
  compressed[9] = 0xff; // operating system: unknown (RFC 1952), so that the bytes do not depend on the build machine
  return compressed;
}
