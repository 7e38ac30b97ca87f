// A chosen image as a disk of the domain that a sheet describes.
import { expect, it } from 'vitest';
import { diskOf, isWritten } from '../../../renderer/sheets/disks.ts';
import { DiskSpec } from '../../../shared/model.ts';

it('gets the next free device, the format of its name, and is copied on write unless it is never written', () => {
  const disks = [diskOf('/images/root.img', [])];
  disks.push(diskOf('/images/data.QCOW2', disks));
  disks.push(diskOf('/images/tools.iso', [...disks, { path: '/x', vdev: 'xvdc' }]));
  expect(disks.map((d) => [d.vdev, d.format, d.overlay ?? false])).toEqual([
    ['xvda', 'raw', true],
    ['xvdb', 'qcow2', true],
    ['xvdd', 'iso', false],
  ]);
  expect(disks.map(isWritten)).toEqual([true, true, false]);
  for (const disk of disks) expect(DiskSpec.safeParse(disk).success).toBe(true);
});
