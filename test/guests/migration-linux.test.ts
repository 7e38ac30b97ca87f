// Debian's Linux 6.1 in both kinds of 64-bit domain moves to the other host and back while it computes and writes files; its own sums judge.
import { afterEach, describe, expect, it } from 'vitest';
import { fetched } from './booted.ts';
import { TwoHosts } from './two-hosts.ts';

const CLOUD = { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz' } as const;
const here = fetched(CLOUD.kernel, CLOUD.ramdisk);
const note = here ? '' : ' (not fetched: npm run guests)';
const cache = (name: string): string => new URL(`../../.cache/guests/${name}`, import.meta.url).pathname;

let two: TwoHosts;
afterEach(() => two.close());

describe.skipIf(!here)(`Linux 6.1${note}`, () => {
  it('goes there and back with its work', async () => {
    two = await TwoHosts.make({ memoryMiB: 640, clockMHz: 500 });
    two.lab.editLink({ bandwidthMbit: 10_000, latencyUs: 400, loss: 0 });
    const guests: string[] = [];
    for (const [name, mode, vcpus, files] of [
      ['pv64', 'pv', 1, CLOUD],
      ['pvh64', 'pvh', 2, CLOUD],
    ] as const)
      guests.push(
        await two.create('alder', {
          name,
          mode,
          vcpus,
          kernel: cache(files.kernel),
          ramdisk: cache(files.ramdisk),
          memoryMiB: 128,
          cmdline: 'console=hvc0 cryptomgr.notests=1 quiet',
          disks: [{ path: two.disk(`${name}.img`, 4096), format: 'raw', vdev: 'xvda', readOnly: false }],
          nics: [{ bridge: 'br0' }],
        }),
      );
    for (const uuid of guests) {
      await two.expect(uuid, /shell ready[^]*# /, 60_000);
      // the marks are typed in two parts, so that only what is printed matches
      await two.type(uuid, "dmesg -n 1; mkdosfs /dev/xvda && mount -t vfat /dev/xvda /mnt && echo MOUN''TED");
      await two.expect(uuid, /MOUNTED/, 20_000);
      await two.type(
        uuid,
        'seq 1 3000 > /tmp/d; S=$(sha256sum < /tmp/d); (n=0; while [ ! -e /tmp/stop ]; do cp /tmp/d /mnt/f && sync && echo 3 > /proc/sys/vm/drop_caches; [ "$(sha256sum < /mnt/f)" = "$S" ] && n=$((n+1)) || echo WRO\'\'NG; sleep 0.2; done; echo SU\'\'MS $n) &',
      );
    }
    for (const to of ['birch', 'alder'] as const)
      for (const uuid of guests) {
        const r = await two.migrate(uuid, to);
        expect(r).toMatchObject({ state: 'done', failure: null });
        expect(r.downtime!.totalNs).toBeLessThan(500e6);
        await two.advance(100);
      }
    for (const uuid of guests) {
      await two.type(uuid, 'touch /tmp/stop');
      const [, n] = await two.expect(uuid, /SUMS (\d+)/, 20_000);
      expect(Number(n)).toBeGreaterThan(1);
      expect(two.console(uuid)).not.toMatch(/WRONG|BUG:|Oops|panic/);
      await two.type(uuid, "umount /mnt && mount -t vfat /dev/xvda /mnt && cmp /mnt/f /tmp/d && echo SA''ME");
      await two.expect(uuid, /SAME/, 20_000);
    }
    expect(await two.owners()).toEqual({ alder: 2, birch: 0 });
  });
});
