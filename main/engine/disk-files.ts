// Disk images as files of this computer: raw and ISO as they are, qcow2 through its tables, over its base image if it has one.

import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import type { DiskSpec } from '../../shared/model.ts';
import { qcow2Backing, Qcow2Error, Qcow2Image } from '../toolstack/disk-image.ts';
import type { DiskBacking } from '../toolstack/simulated-host.ts';

export interface OpenDisk extends DiskBacking {
  close(): void;
}

/** Opens a domain's disks in order; opens none when one cannot be opened. */
export function openDisks(specs: readonly DiskSpec[]): OpenDisk[] {
  const open: OpenDisk[] = [];
  try {
    for (const spec of specs) open.push(openDisk(spec));
    return open;
  } catch (e) {
    for (const d of open) d.close();
    throw e;
  }
}

/** Most images one over another. */
const MAX_LAYERS = 16;

/** Size of a disk as its guest sees it. @throws BulkheadError when its image cannot be opened */
export function diskBytes(spec: DiskSpec): number {
  const disk = openDisk({ ...spec, readOnly: true });
  disk.close();
  return disk.bytes;
}

/** A disk whose image is opened with the first access to it: until then somebody else may write to it. */
export function openWhenUsed(spec: DiskSpec): OpenDisk {
  let opened: OpenDisk | null = null;
  const disk = (): OpenDisk => (opened ??= openDisk(spec));
  return {
    get bytes() {
      return disk().bytes;
    },
    read: (offset, length) => disk().read(offset, length),
    write: (offset, data) => disk().write(offset, data),
    flush: () => disk().flush(),
    close: () => opened?.close(),
  };
}

function openDisk(spec: DiskSpec): OpenDisk {
  const readOnly = spec.readOnly || spec.format === 'iso';
  return spec.format === 'qcow2' ? openQcow2(spec.path, readOnly, 0) : openFile(spec.path, readOnly);
}

/** An image and what it lies over: the base is opened for reading, in the format that the image names, else by how it begins. */
function openQcow2(file: string, readOnly: boolean, depth: number): OpenDisk {
  const open: OpenDisk[] = [openFile(file, readOnly)];
  const layer = open[0]!;
  try {
    const below = qcow2Backing(layer);
    if (below && depth >= MAX_LAYERS) throw new Qcow2Error(`More than ${MAX_LAYERS} images lie below it.`);
    const base = below && openBase(path.resolve(path.dirname(file), below.name), below.format, depth + 1);
    if (base) open.push(base);
    const image = new Qcow2Image(layer, base);
    if (!readOnly && image.readOnlyBecause) throw new Qcow2Error(`It can only be read. ${image.readOnlyBecause}`);
    return {
      bytes: image.bytes,
      read: (offset, length) => image.read(offset, length),
      write: (offset, data) => image.write(offset, data),
      flush: () => image.flush(),
      close: () => open.forEach((d) => d.close()),
    };
  } catch (e) {
    for (const d of open) d.close();
    if (!(e instanceof Qcow2Error)) throw e;
    throw new BulkheadError({
      code: 'invalid-argument',
      what: `The disk ${file} cannot be attached as qcow2.`,
      why: e.message,
      action: 'Attach it read-only, repair or convert it with qemu-img, or name its real format.',
      field: 'disks',
    });
  }
}

/** @param format as the image above names it: a raw base stays raw, whatever a guest once wrote at its beginning; null = by how it begins */
function openBase(file: string, format: string | null, depth: number): OpenDisk {
  if (format === 'qcow2') return openQcow2(file, true, depth);
  const raw = openFile(file, true);
  if (format === 'raw') return raw;
  const magic = raw.read(0, 4);
  if (!(magic[0] === 0x51 && magic[1] === 0x46 && magic[2] === 0x49 && magic[3] === 0xfb)) return raw;
  raw.close();
  return openQcow2(file, true, depth);
}

/** A file as a disk; `bytes` is its size now. */
function openFile(file: string, readOnly: boolean): OpenDisk {
  let fd: number;
  try {
    fd = openSync(file, readOnly ? 'r' : 'r+');
  } catch (e) {
    throw new BulkheadError({
      code: 'file-missing',
      what: `The disk image ${file} cannot be opened.`,
      why: (e as Error).message,
      action: 'Check the path and its permissions.',
      field: 'disks',
    });
  }
  let bytes = fstatSync(fd).size;
  return {
    get bytes() {
      return bytes;
    },
    read(offset, length) {
      const b = new Uint8Array(length);
      readSync(fd, b, 0, length, offset);
      return b;
    },
    write(offset, data) {
      if (readOnly) return;
      writeSync(fd, data, 0, data.length, offset);
      bytes = Math.max(bytes, offset + data.length);
    },
    flush() {
      if (!readOnly) fsyncSync(fd);
    },
    close: () => closeSync(fd),
  };
}
