// Who has which disk image: what one guest writes, no other may have, even to read (as Xen's block script has it).

import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import type { DiskSpec, DomainSpec } from '../../shared/model.ts';
import type { Lab } from './lab.ts';
import { isOnHost } from './lab-domain.ts';

/** Whether it is to be copied on write and has no image of its own for that yet. */
export const isOverlayWished = (disk: DiskSpec): boolean => disk.overlay === true && disk.base === undefined;
/** Whether the guest may write to its image. */
export const isWritable = (disk: DiskSpec): boolean =>
  !disk.readOnly && disk.format !== 'iso' && !isOverlayWished(disk);

/** The images that a disk takes: its own, and the one below it. */
function uses(disk: DiskSpec): { file: string; writes: boolean }[] {
  const own = { file: path.resolve(disk.path), writes: isWritable(disk) };
  return disk.base === undefined ? [own] : [own, { file: path.resolve(disk.base), writes: false }];
}
/** The image that two disks share although one of them writes to it. */
const clash = (a: DiskSpec, b: DiskSpec): string | undefined =>
  uses(a).find((x) => uses(b).some((y) => x.file === y.file && (x.writes || y.writes)))?.file;

/**
 * Refuses a domain whose disk another one writes to, or that would write to another one's disk.
 * @param verb what is being done to it, for the sentence: created, restored
 * @param uuid the domain itself, when it is in the lab already
 * @throws BulkheadError disk-in-use, invalid-argument (two of its own disks are one image)
 */
export function checkDisks(lab: Lab, spec: DomainSpec, verb: string, uuid?: string): void {
  const others = [...lab.domains.values()].filter((d) => d.uuid !== uuid && isOnHost(d));
  for (const [i, disk] of spec.disks.entries()) {
    const same = (other: DiskSpec): boolean => clash(disk, other) !== undefined;
    const twin = spec.disks.slice(0, i).find(same);
    if (twin)
      throw new BulkheadError({
        code: 'invalid-argument',
        what: `${spec.name} cannot be ${verb}.`,
        why: `Its disks ${twin.vdev} and ${disk.vdev} are one image, ${disk.path}, and the guest would write to it twice over.`,
        action: 'Give each disk an image of its own, or make both read-only.',
        field: `disks[${i}].path`,
      });
    const owner = others.find((d) => d.spec.disks.some(same));
    if (owner)
      throw new BulkheadError({
        code: 'disk-in-use',
        what: `${spec.name} cannot be ${verb} now.`,
        why: `Its disk ${disk.vdev} (${clash(disk, owner.spec.disks.find(same)!)!}) is in use by ${owner.spec.name}, and ${whoWrites(disk, owner.spec.disks.find(same)!)} would write to it.`,
        action: `Destroy ${owner.spec.name} first, attach the image read-only or copied on write in both, or clone a domain to get copies of its disks.`,
        field: `disks[${i}].path`,
      });
  }
}

/** Which of two disks that clash writes to what they share. */
function whoWrites(disk: DiskSpec, other: DiskSpec): string {
  const file = clash(disk, other);
  const writes = (d: DiskSpec): boolean => uses(d).some((x) => x.file === file && x.writes);
  return !writes(disk) ? 'that one' : writes(other) ? 'both' : 'this one';
}
