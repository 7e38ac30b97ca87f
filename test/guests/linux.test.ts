// Debian's Linux 6.1, as it comes: 64-bit PV, 64-bit PVH and 32-bit PAE PVH, to a shell that runs commands and powers off.

import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { Booted, fetched, guestFile } from './booted.ts';

const CASES = [
  { name: 'PV 64', mode: 'pv', vcpus: 1, kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz' },
  {
    name: 'PV 64 with 2 vCPUs',
    mode: 'pv',
    vcpus: 2,
    kernel: 'linux-cloud-amd64/vmlinuz',
    ramdisk: 'initramfs-amd64.cpio.gz',
  },
  { name: 'PVH 64', mode: 'pvh', vcpus: 1, kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz' },
  {
    name: 'PVH 64 with 4 vCPUs',
    mode: 'pvh',
    vcpus: 4,
    kernel: 'linux-cloud-amd64/vmlinuz',
    ramdisk: 'initramfs-amd64.cpio.gz',
  },
  { name: 'PVH 32 PAE', mode: 'pvh', vcpus: 1, kernel: 'linux-686-pae/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz' },
] as const;

for (const c of CASES) {
  const here = fetched(c.kernel, c.ramdisk);
  describe.skipIf(!here)(`Linux 6.1 as ${c.name}${here ? '' : ' (not fetched: npm run guests)'}`, () => {
    it('boots to a shell, computes, knows the time, and powers off', async () => {
      const b = new Booted(384);
      const domid = await b.start({
        spec: { mode: c.mode, memoryMiB: 256, vcpus: c.vcpus, cmdline: 'console=hvc0' },
        kernel: guestFile(c.kernel),
        ramdisk: guestFile(c.ramdisk),
      });
      b.expect(domid, /bulkhead: shell ready[^]*# /, 20_000);
      b.type(domid, 'echo $((6 * 7)) $(nproc) $(date -u +%Y-%m-%dT%H)');
      b.expect(domid, new RegExp(`\\n42 ${c.vcpus} 2026-01-01T00`), 3_000);
      b.type(domid, 'cat /sys/hypervisor/type /sys/hypervisor/version/major');
      b.expect(domid, /\nxen\r?\n4/, 3_000);
      expect(checkInvariants(b.xen.host)).toEqual([]);
      b.type(domid, 'poweroff -f');
      expect(b.expectShutdown(domid, 10_000)).toBe('poweroff');
      b.xen.destroyDomain(domid);
      expect(checkInvariants(b.xen.host)).toEqual([]);
    });
  });
}
