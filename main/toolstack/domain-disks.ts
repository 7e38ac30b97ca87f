// The disks of a domain as its backends want them: numbers for names, each name once.

import type { DomainSpec } from '../../shared/model.ts';
import { deviceNumber } from '../backends/block/block-backend.ts';
import { buildError } from './builder/domain-image.ts';
import type { DiskBacking, DomainFiles } from './simulated-host.ts';

/** A disk as the backend wants it. */
export interface Disk {
  number: number;
  name: string;
  image: DiskBacking;
  readOnly: boolean;
}

/** The disks of a domain in the order of its spec. @throws BulkheadError invalid-argument for names that are none, or not its own */
export function checkDisks(spec: DomainSpec, files: DomainFiles): Disk[] {
  return spec.disks.map((disk, i) => {
    const field = `disks[${i}]`;
    const number = deviceNumber(disk.vdev);
    if (number === null)
      throw buildError(
        'invalid-argument',
        `${disk.vdev} is not the name of a disk.`,
        'Names are like xvda, xvdb1, sda or hda.',
        'Choose one of those.',
        `${field}.vdev`,
      );
    if (spec.disks.findIndex((other) => other.vdev === disk.vdev) < i)
      throw buildError(
        'invalid-argument',
        `Two disks are called ${disk.vdev}.`,
        'The guest tells them apart by name.',
        'Give each its own.',
        `${field}.vdev`,
      );
    return { number, name: disk.vdev, image: files.disks[i], readOnly: disk.readOnly || disk.format === 'iso' };
  });
}
