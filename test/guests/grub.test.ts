// GRUB's Xen ports, the first guests that nobody here wrote: 32-bit PAE PV, 64-bit PV and PVH.

import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { Booted, fetched, guestFile, MemoryDisk } from './booted.ts';

const CASES = [
  { name: '64-bit PV', mode: 'pv', format: 'x86_64-xen' },
  { name: '32-bit PV', mode: 'pv', format: 'i386-xen' },
  { name: 'PVH', mode: 'pvh', format: 'i386-xen_pvh' },
] as const;

for (const c of CASES) {
  const image = `grub/${c.format}-shell.elf`;
  const here = fetched(image);
  describe.skipIf(!here)(`GRUB as ${c.name}${here ? '' : ' (not fetched: npm run guests)'}`, () => {
    it('comes up, reads a virtual disk through xenstore and a block ring, and powers off', async () => {
      const disk = new MemoryDisk(new Uint8Array(4 * 2 ** 20));
      disk.data.set(new TextEncoder().encode('first sector, written by the test'));
      const b = new Booted(192, 1);
      const domid = await b.start({
        spec: { mode: c.mode, memoryMiB: 96, disks: [{ path: 'test', format: 'raw', vdev: 'xvda', readOnly: true }] },
        kernel: guestFile(image),
        disks: [disk],
      });
      b.expect(domid, /GRUB is running[^]*grub> /, 5_000);
      b.type(domid, 'ls');
      b.expect(domid, /\(xen\/xvda\)/, 3_000);
      b.type(domid, 'cat (xen/xvda)0+1');
      b.expect(domid, /first sector, written by the test/, 3_000);
      expect(checkInvariants(b.xen.host)).toEqual([]);
      expect(b.xen.figures(domid).io.bytesRead).toBeGreaterThan(0);
      b.type(domid, 'halt');
      expect(b.expectShutdown(domid, 3_000)).toBe('poweroff');
    });
  });
}
