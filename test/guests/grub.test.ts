// GRUB's Xen ports, the first guests that nobody here wrote: 32-bit PAE PV, 64-bit PV and PVH.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { Booted, fetched, guestFile, MemoryDisk } from './booted.ts';

const CASES = [
  { name: '64-bit PV', mode: 'pv', format: 'x86_64-xen' },
  { name: '32-bit PV', mode: 'pv', format: 'i386-xen' },
  { name: 'PVH', mode: 'pvh', format: 'i386-xen_pvh' },
] as const;

/**
 * SHA-256 of what GRUB prints in its video test: the name of every picture and its checksum. cmdline_cat_test of Debian's
 * 2.06-13+deb12u2 says that its pictures are not those of its own table; why is not known. Measured: the same version's i386-pc
 * build fails under QEMU in the same way and prints the same 308 checksums, which are these.
 */
const PICTURES = '8102f3e0ac47d93ff5e8a077910312754fa59e6c1089b3a5a265df717404f08f';

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

    it("passes GRUB's own functional tests", async () => {
      const b = new Booted(192, 1);
      const domid = await b.start({
        spec: { mode: c.mode, memoryMiB: 128 },
        kernel: guestFile(`grub/${c.format}-test.elf`),
      });
      expect(b.expectShutdown(domid, 60_000)).toBe('poweroff');
      // A test that fails says so; one that could not start would be missing.
      expect(b.console(domid).match(/^\w+_test: PASS/gm)).toHaveLength(13);
      expect(b.console(domid)).toMatch(/^ALL TESTS PASSED/m);
      expect(checkInvariants(b.xen.host)).toEqual([]);
    });

    // A minute of computing: 308 pictures of a terminal in 7 video modes.
    it.runIf(process.env.BULKHEAD_GRUB_VIDEO)('draws the pictures that QEMU draws (BULKHEAD_GRUB_VIDEO)', async () => {
      const b = new Booted(192, 1);
      const domid = await b.start({
        spec: { mode: c.mode, memoryMiB: 128 },
        kernel: guestFile(`grub/${c.format}-video.elf`),
      });
      expect(b.expectShutdown(domid, 200_000)).toBe('poweroff');
      const pictures = [...b.console(domid).matchAll(/(cmdline_cat_\S+) failed: (0x[0-9a-f]+)/g)].map(
        ([, name, checksum]) => `${name} ${checksum}\n`,
      );
      expect(createHash('sha256').update(pictures.join('')).digest('hex')).toBe(PICTURES);
    });
  });
}
