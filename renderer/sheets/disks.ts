// The disks of a domain that is being described in a sheet: what a chosen image becomes.
import type { z } from 'zod';
import type { DiskSpec } from '../../shared/model.ts';

export type DiskInput = z.input<typeof DiskSpec>;

/** The first device name that none of them has: xvda, xvdb... */
export function freeDevice(disks: readonly DiskInput[]): string {
  const letters = 'abcdefghijklmnop';
  const taken = new Set(disks.map((disk) => disk.vdev));
  return [...letters].map((letter) => `xvd${letter}`).find((name) => !taken.has(name)) ?? 'xvdp';
}

/** A chosen image file as a disk, in the format that its name says. Whoever chooses an image wants to keep it: writes are copied. */
export function diskOf(path: string, others: readonly DiskInput[]): DiskInput {
  const vdev = freeDevice(others);
  if (/\.iso$/i.test(path)) return { path, vdev, format: 'iso', readOnly: true };
  return { path, vdev, format: /\.qcow2$/i.test(path) ? 'qcow2' : 'raw', readOnly: false, overlay: true };
}

/** Whether its guest may write to a disk: only then there is something to copy. */
export const isWritten = (disk: DiskInput): boolean => disk.format !== 'iso' && disk.readOnly !== true;
