// Disk images as files of this computer. Only raw images for now; others are refused with a sentence.

import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { BulkheadError } from '../../shared/errors.ts';
import type { DiskSpec } from '../../shared/model.ts';
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

function openDisk(spec: DiskSpec): OpenDisk {
  if (spec.format === 'qcow2')
    throw new BulkheadError({
      code: 'not-supported',
      what: `The disk ${spec.path} cannot be attached.`,
      why: 'It is a qcow2 image, and this version attaches raw and ISO images only.',
      action: 'Convert it with "qemu-img convert -O raw".',
      field: 'disks',
    });
  const readOnly = spec.readOnly || spec.format === 'iso';
  let fd: number;
  try {
    fd = openSync(spec.path, readOnly ? 'r' : 'r+');
  } catch (e) {
    throw new BulkheadError({
      code: 'file-missing',
      what: `The disk image ${spec.path} cannot be opened.`,
      why: (e as Error).message,
      action: 'Check the path and its permissions.',
      field: 'disks',
    });
  }
  return {
    bytes: fstatSync(fd).size,
    read(offset, length) {
      const b = new Uint8Array(length);
      readSync(fd, b, 0, length, offset);
      return b;
    },
    write(offset, data) {
      if (!readOnly) writeSync(fd, data, 0, data.length, offset);
    },
    flush() {
      if (!readOnly) fsyncSync(fd);
    },
    close: () => closeSync(fd),
  };
}
