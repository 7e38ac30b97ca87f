// Debian's Linux 6.1, as it comes: 64-bit PV, 64-bit PVH and 32-bit PAE PVH, with disks, network, xenstore and balloon.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { Booted, fetched, guestFile, MemoryDisk } from './booted.ts';

const CLOUD = { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz' } as const;
const PAE = { kernel: 'linux-686-pae/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz' } as const;
const here = fetched(CLOUD.kernel, CLOUD.ramdisk, PAE.kernel, PAE.ramdisk);
const note = here ? '' : ' (not fetched: npm run guests)';

interface Kind {
  name: string;
  mode: 'pv' | 'pvh';
  vcpus: number;
  files: { kernel: string; ramdisk: string };
}

/** A Linux with a disk of its own and an interface on the host's bridge, driven by its shell. */
class Linux {
  readonly kind: Kind;
  readonly disk = new MemoryDisk(new Uint8Array(4 << 20));
  readonly b: Booted;
  domid = 0;
  private commands = 0;

  constructor(b: Booted, kind: Kind) {
    this.b = b;
    this.kind = kind;
  }

  async start(): Promise<void> {
    this.domid = await this.b.start({
      spec: {
        name: this.kind.name,
        mode: this.kind.mode,
        memoryMiB: 192,
        vcpus: this.kind.vcpus,
        cmdline: 'console=hvc0 cryptomgr.notests=1',
        disks: [{ path: 'test', format: 'raw', vdev: 'xvda', readOnly: false }],
        nics: [{ bridge: 'xenbr0' }],
      },
      kernel: guestFile(this.kind.files.kernel),
      ramdisk: guestFile(this.kind.files.ramdisk),
      disks: [this.disk],
    });
  }

  ready(): void {
    this.b.expect(this.domid, /bulkhead: shell ready[^]*# /, 30_000);
    this.run('dmesg -n 1; stty -echo'); // from here on neither the kernel's messages nor the echo mix with the answers
  }

  /** Runs a command and returns what it printed; its exit status must be 0. */
  run(command: string, ms = 20_000): string {
    const mark = `${this.kind.name.length}-${this.commands++}`;
    // The marks are typed in two parts so that only the result matches, not the echo.
    this.b.type(this.domid, `echo BEG''IN${mark}; ${command}; echo EN''D${mark} $?`);
    const match = this.b.expect(this.domid, new RegExp(`BEGIN${mark}\\r?\\n([^]*?)END${mark} (\\d+)`), ms);
    expect(`${command} ended with ${match[2]}: ${match[1]}`).toContain(`${command} ended with 0`);
    return match[1].replaceAll('\r', '').trim();
  }

  memoryKiB(): number {
    return Number(this.run("awk '/MemTotal/{print $2}' /proc/meminfo"));
  }
}

const numbers = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join('');
const digest = createHash('sha256').update(numbers).digest('hex');

describe.skipIf(!here)(`three kinds of Linux 6.1 on one host${note}`, () => {
  it('compute, keep files on their disks, see xenstore, talk to one another, balloon, and end as they are asked to', async () => {
    const b = new Booted(768);
    const guests = [
      { name: 'pv64', mode: 'pv', vcpus: 1, files: CLOUD },
      { name: 'pvh64', mode: 'pvh', vcpus: 2, files: CLOUD },
      { name: 'pvh32', mode: 'pvh', vcpus: 1, files: PAE },
    ].map((kind) => new Linux(b, kind as Kind));
    for (const guest of guests) await guest.start();
    for (const guest of guests) guest.ready();
    const [pv64, pvh64, pvh32] = guests;

    for (const guest of guests) {
      expect(guest.run('echo $((6 * 7)) $(nproc) $(date -u +%Y-%m-%dT%H)')).toBe(
        `42 ${guest.kind.vcpus} 2026-01-01T00`,
      );
      expect(guest.run('cat /sys/hypervisor/type /sys/hypervisor/version/major')).toBe('xen\n4');
      // The store, through the guest's own driver.
      expect(guest.run('xenstore read name; xenstore read domid; xenstore ls device')).toBe(
        `${guest.kind.name}\n${guest.domid}\nvbd\nvif`,
      );
      expect(guest.run('xenstore read nothing/there 2>&1 || true')).toBe('xenstore: ENOENT');
      guest.run('xenstore write data/greeting hello');
      expect(b.xen.store.get(`/local/domain/${guest.domid}/data/greeting`)).toBe('hello');
      // A file system on its disk, written, flushed, mounted again and read.
      guest.run('mkdosfs /dev/xvda && mount -t vfat /dev/xvda /mnt');
      guest.run('seq 1 20000 > /mnt/numbers && umount /mnt && mount -t vfat /dev/xvda /mnt');
      expect(guest.run('sha256sum < /mnt/numbers')).toBe(`${digest}  -`);
    }
    // The bytes are in the image: 20,000 numbers lie there in one piece.
    expect(Buffer.from(pv64.disk.data).includes(numbers.slice(0, 1000))).toBe(true);
    expect(checkInvariants(b.xen.host)).toEqual([]);

    guests.forEach((guest, i) => guest.run(`ifconfig eth0 10.0.0.${i + 1} up`));
    pv64.run('ping -c 1 10.0.0.3 && httpd -h /mnt');
    pvh32.run('ping -c 1 10.0.0.2 && httpd -h /mnt');
    for (const [client, server] of [
      [pvh64, '10.0.0.1'],
      [pv64, '10.0.0.3'],
    ] as const)
      expect(client.run(`wget -q -O - http://${server}/numbers | sha256sum`)).toBe(`${digest}  -`);

    for (const guest of guests) {
      const before = guest.memoryKiB();
      const free = b.xen.freeMiB();
      b.xen.setMemoryTarget(guest.domid, 128);
      guest.run('sleep 5');
      expect(before - guest.memoryKiB()).toBeGreaterThan(56 * 1024);
      expect(b.xen.freeMiB() - free).toBeGreaterThan(56);
      b.xen.setMemoryTarget(guest.domid, 192);
      guest.run('sleep 5');
      expect(Math.abs(before - guest.memoryKiB())).toBeLessThan(1024);
      expect(guest.run('echo 3 > /proc/sys/vm/drop_caches; sha256sum < /mnt/numbers')).toBe(`${digest}  -`);
    }
    expect(checkInvariants(b.xen.host)).toEqual([]);

    // One at the toolstack's request, one by its own command, one reboots and comes up again with its disk.
    b.xen.shutdownDomain(pvh64.domid, 'poweroff');
    expect(b.expectShutdown(pvh64.domid, 10_000)).toBe('poweroff');
    b.type(pvh32.domid, 'poweroff');
    expect(b.expectShutdown(pvh32.domid, 10_000)).toBe('poweroff');
    b.type(pv64.domid, 'reboot');
    expect(b.expectShutdown(pv64.domid, 10_000)).toBe('reboot');
    for (const guest of guests) b.xen.destroyDomain(guest.domid);
    expect(checkInvariants(b.xen.host)).toEqual([]);
    await pv64.start();
    pv64.ready();
    expect(pv64.run('mount -t vfat /dev/xvda /mnt && sha256sum < /mnt/numbers')).toBe(`${digest}  -`);
    b.xen.shutdownDomain(pv64.domid, 'reboot');
    expect(b.expectShutdown(pv64.domid, 10_000)).toBe('reboot');
  });
});

describe.skipIf(!here)(`Linux 6.1 with several vCPUs${note}`, () => {
  it.each([
    { name: 'pv64', mode: 'pv', vcpus: 2, files: CLOUD },
    { name: 'pv64', mode: 'pv', vcpus: 4, files: CLOUD },
    { name: 'pvh64', mode: 'pvh', vcpus: 4, files: CLOUD },
    { name: 'pvh32', mode: 'pvh', vcpus: 2, files: PAE },
    { name: 'pvh32', mode: 'pvh', vcpus: 4, files: PAE },
  ] satisfies Kind[])(
    '$name with $vcpus: every one computes, comes back when unplugged, and powers off',
    async (kind) => {
      const b = new Booted(256);
      const guest = new Linux(b, kind);
      await guest.start();
      guest.ready();
      const everyCpu = `for i in $(seq 0 ${kind.vcpus - 1}); do taskset -c $i sh -c 'seq 1 20000 | sha256sum' & done; wait`;
      expect(guest.run(everyCpu)).toBe(Array(kind.vcpus).fill(`${digest}  -`).join('\n'));
      b.xen.setVcpus(guest.domid, 1);
      guest.run('sleep 1');
      expect(guest.run('nproc')).toBe('1');
      b.xen.setVcpus(guest.domid, kind.vcpus);
      guest.run(`sleep 1; for c in /sys/devices/system/cpu/cpu[1-9]; do echo 1 > $c/online; done 2> /dev/null; true`);
      expect(guest.run('nproc')).toBe(`${kind.vcpus}`);
      expect(guest.run(everyCpu)).toBe(Array(kind.vcpus).fill(`${digest}  -`).join('\n'));
      expect(checkInvariants(b.xen.host)).toEqual([]);
      b.type(guest.domid, 'poweroff');
      expect(b.expectShutdown(guest.domid, 10_000)).toBe('poweroff');
      b.xen.destroyDomain(guest.domid);
      expect(checkInvariants(b.xen.host)).toEqual([]);
    },
  );
});
