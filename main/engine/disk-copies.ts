// Where the disks go that are copied along with a domain: an image per host, beside the original.
// Invariant: a file that this lab did not make itself is never overwritten.

import { closeSync, existsSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import type { DiskSpec, DomainSpec } from '../../shared/model.ts';
import { diskBytes } from './disk-files.ts';

export class DiskCopies {
  /** Images that migrations of this lab made. */
  readonly #made = new Set<string>();

  /** The image that a disk has on a host: `<image>.<host>`, whatever host it is on now. */
  pathOn(path: string, host: string, hosts: readonly string[]): string {
    const from = hosts.find((h) => path.endsWith(`.${h}`) && this.#made.has(path));
    return `${from ? path.slice(0, -from.length - 1) : path}.${host}`;
  }

  /** True when the place is free, or holds an older copy of ours. */
  mayWrite(path: string): boolean {
    return !existsSync(path) || this.#made.has(path);
  }

  /** A raw image of zeros, as large as the disk is to its guest. */
  make(original: DiskSpec, path: string): void {
    const bytes = diskBytes(original);
    const fd = openSync(path, 'w');
    ftruncateSync(fd, bytes);
    closeSync(fd);
    this.#made.add(path);
  }

  /** A copy that was not finished goes. */
  drop(path: string): void {
    if (!this.#made.delete(path)) return;
    if (existsSync(path)) unlinkSync(path);
  }

  /** The spec of a domain on its new host, and the positions of its copied disks. */
  specOn(
    spec: DomainSpec,
    host: string,
    hosts: readonly string[],
    disks: Record<string, 'shared' | 'copy'>,
  ): { spec: DomainSpec; copied: number[] } {
    const copied = spec.disks.flatMap((d, n) => (disks[d.vdev] === 'copy' ? [n] : []));
    if (!copied.length) return { spec, copied };
    return {
      spec: {
        ...spec,
        disks: spec.disks.map((d, n) => (copied.includes(n) ? copyOf(d, this.pathOn(d.path, host, hosts)) : d)),
      },
      copied,
    };
  }
}

/** A disk whose contents are in a raw image of its own: nothing lies below it any more. */
function copyOf({ overlay: _overlay, base: _base, ...disk }: DiskSpec, path: string): DiskSpec {
  return { ...disk, path, format: disk.format === 'iso' ? 'iso' : 'raw' };
}
