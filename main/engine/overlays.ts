// Copy-on-write disks: the qcow2 images that the lab makes over an image which is to stay as it is, and when they go.
// Invariant: only files that this lab made are ever deleted, only when no domain has them, and never one that a saved domain may need.

import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { BulkheadError } from '../../shared/errors.ts';
import type { DiskSpec, DomainSpec } from '../../shared/model.ts';
import { createQcow2 } from '../toolstack/disk-image.ts';
import { diskBytes } from './disk-files.ts';
import { isOverlayWished } from './disk-use.ts';

/** What the lab file keeps of one. */
export const OverlayFile = z.strictObject({
  path: z.string(),
  /** A saved domain refers to it. */
  saved: z.boolean(),
});
export type OverlayFile = z.output<typeof OverlayFile>;

export class Overlays {
  readonly #folder: string;
  /** By path: whether a saved domain refers to it. */
  readonly #made = new Map<string, boolean>();

  /** @param folder where they are made; it need not exist */
  constructor(folder: string) {
    this.#folder = path.resolve(folder);
  }

  get list(): OverlayFile[] {
    return [...this.#made].map(([file, saved]) => ({ path: file, saved }));
  }
  restore(list: readonly OverlayFile[]): void {
    for (const { path: file, saved } of list) this.#made.set(file, saved);
  }

  /**
   * The spec with an image of the lab's own for every disk that is to be copied on write and has none yet.
   * @throws BulkheadError invalid-argument for a disk that is never written, file-missing, file-unreadable; then nothing was made
   */
  resolve(spec: DomainSpec): DomainSpec {
    const made: string[] = [];
    try {
      const disks = spec.disks.map((disk, i) => {
        if (!isOverlayWished(disk)) return disk;
        const resolved = this.#make(spec.name, disk, i);
        made.push(resolved.path);
        return resolved;
      });
      return made.length ? { ...spec, disks } : spec;
    } catch (e) {
      for (const file of made) this.#remove(file);
      throw e;
    }
  }

  #make(name: string, disk: DiskSpec, index: number): DiskSpec {
    const field = `disks[${index}].overlay`;
    if (disk.readOnly || disk.format === 'iso')
      throw new BulkheadError({
        code: 'invalid-argument',
        what: `The disk ${disk.vdev} cannot be copied on write.`,
        why: 'It is attached read-only, so nothing is ever written to it.',
        action: 'Attach it writable, or leave copy on write away.',
        field,
      });
    const base = path.resolve(disk.path);
    const bytes = diskBytes(disk);
    const file = path.join(this.#folder, `${name}-${disk.vdev}-${randomUUID().slice(0, 8)}.qcow2`);
    try {
      mkdirSync(this.#folder, { recursive: true });
      const fd = openSync(file, 'wx');
      try {
        const image = {
          bytes: 0,
          read: () => new Uint8Array(0),
          write: (offset: number, data: Uint8Array) => void writeSync(fd, data, 0, data.length, offset),
          flush: () => {},
        };
        createQcow2(image, bytes, { name: base, format: disk.format === 'qcow2' ? 'qcow2' : 'raw' });
      } finally {
        closeSync(fd);
      }
    } catch (e) {
      rmSync(file, { force: true });
      throw new BulkheadError({
        code: 'file-unreadable',
        what: `The image for what ${name} writes to ${disk.vdev} could not be made.`,
        why: (e as Error).message,
        action: 'Make room in the folder of the lab, or check its permissions.',
        field,
      });
    }
    this.#made.set(file, false);
    return { ...disk, path: file, format: 'qcow2', base };
  }

  /** A copy of one of ours that a clone got. */
  noteCopy(original: string, copy: string): void {
    if (this.#made.has(original)) this.#made.set(copy, false);
  }

  /** A saved domain refers to its images from now on. */
  noteSaved(spec: DomainSpec): void {
    for (const { path: file } of spec.disks) if (this.#made.has(file)) this.#made.set(file, true);
  }

  /** Deletes the images of a domain that is gone for good, unless a saved domain or one of `others` needs them. */
  drop(spec: DomainSpec, others: Iterable<DomainSpec>): void {
    const needed = new Set([...others].flatMap((o) => o.disks.map((d) => d.path)));
    for (const { path: file } of spec.disks)
      if (this.#made.get(file) === false && !needed.has(file)) this.#remove(file);
  }

  /** Deletes what no domain has: destroyed ones whose lab was closed before they were forgotten. */
  sweep(domains: Iterable<DomainSpec>): void {
    const needed = new Set([...domains].flatMap((d) => d.disks.map((disk) => disk.path)));
    for (const [file, saved] of [...this.#made])
      if (!saved && !needed.has(file)) this.#remove(file);
      else if (!existsSync(file)) this.#made.delete(file);
  }

  #remove(file: string): void {
    this.#made.delete(file);
    // a copy of a lab file names the images of the lab that it was copied from: those are not its own
    if (path.dirname(file) === this.#folder) rmSync(file, { force: true });
  }
}
