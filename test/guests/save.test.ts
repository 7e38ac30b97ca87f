// Domains saved and restored while they work: our own guest in every Xen kind with one and two vCPUs, Debian's Linux, and GRUB, which cannot.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import type { LibxcRecord } from '../../main/toolstack/stream/records.ts';
import { Booted, fetched, guestFile, MemoryDisk } from './booted.ts';
import { readStream, restore, streamOf, suspend } from './saved.ts';

const image = (name: string): Uint8Array =>
  readFileSync(new URL(`../../main/guests/dinghy/images/${name}`, import.meta.url));
const UUIDS = ['11111111-2222-3333-4444-555555555555', '66666666-7777-8888-9999-aaaaaaaaaaaa'] as const;
const KINDS = [
  { image: 'dinghy-pv64', mode: 'pv' },
  { image: 'dinghy-pv32', mode: 'pv' },
  { image: 'dinghy-hw64', mode: 'pvh' },
  { image: 'dinghy-hw32', mode: 'pvh' },
] as const;

/** 256 KiB whose CRC-32 the guest works out across the suspension. */
const contents = Uint8Array.from({ length: 256 * 1024 }, (_, i) => (i * 31 + (i >> 9)) & 0xff);
const sum = `${crc32(contents).toString(16).padStart(8, '0')} ${contents.length} /dev/xvda`;

async function dinghy(b: Booted, kind: (typeof KINDS)[number], vcpus: number): Promise<number> {
  const domid = await b.start({
    spec: {
      name: 'worker',
      mode: kind.mode,
      memoryMiB: 8,
      vcpus,
      disks: [{ path: 'test', format: 'raw', vdev: 'xvda', readOnly: false }],
      nics: [{ bridge: 'br0' }],
    },
    kernel: image(kind.image),
    disks: [new MemoryDisk(contents.slice())],
  });
  b.expect(domid, /dinghy\$ /, 1_000);
  return domid;
}

const mac = (b: Booted, domid: number): string | null => b.xen.store.get(`/local/domain/${domid}/device/vif/0/mac`);

describe.each(KINDS)('$image', (kind) => {
  it.each([1, 2])('with %i vCPUs works on after it was saved: here, and twice on another host', async (vcpus) => {
    const a = new Booted(64, 2);
    const b = new Booted(64, 2);
    const domid = await dinghy(a, kind, vcpus);
    a.type(domid, 'sum /dev/xvda');
    a.advance(3); // in the middle of it
    const source = suspend(a, domid);
    const printed = a.console(domid).length;
    const bytes = streamOf(source);
    expect(checkInvariants(a.xen.host)).toEqual([]);
    expect(a.xen.domainStatus(domid)).toMatchObject({ state: 'paused', shutdown: null });
    const stream = readStream(bytes);
    expect(stream.saved).toMatchObject({
      spec: { name: 'worker', vcpus },
      host: 'test',
      bits: kind.image.endsWith('64') ? 64 : 32,
    });

    const copies = UUIDS.map((uuid, i) =>
      restore(b, stream, { name: `copy${i}`, uuid }, [new MemoryDisk(contents.slice())]),
    );
    expect(checkInvariants(b.xen.host)).toEqual([]);
    for (const [i, copy] of copies.entries()) {
      b.expect(copy, new RegExp(`${sum}[^]*dinghy\\$ `), 3_000);
      expect(b.xen.store.get(`/local/domain/${copy}/name`)).toBe(`copy${i}`);
      b.type(copy, 'cpu');
      b.expect(copy, new RegExp(`vcpus ${vcpus}\\b[^]*dinghy\\$ `), 1_000);
      // its memory, its processes, user code and the balance of its allocator
      b.type(copy, 'forks 50');
      b.expect(copy, /result forks .* n=50 /, 3_000);
      // both of its devices are connected again
      for (const device of ['vbd/51712', 'vif/0'])
        expect(b.xen.store.get(`/local/domain/${copy}/device/${device}/state`)).toBe('4');
    }
    expect(new Set([mac(a, domid), ...copies.map((c) => mac(b, c))]).size).toBe(3);
    expect(checkInvariants(b.xen.host)).toEqual([]);
    for (const copy of copies) b.xen.destroyDomain(copy);
    expect(checkInvariants(b.xen.host)).toEqual([]);

    // nothing was said twice, and the original goes on as if it had never been asked
    expect(a.console(domid).length).toBe(printed);
    source.resumeHere();
    a.expect(domid, new RegExp(sum), 3_000);
    a.type(domid, 'dmesg');
    a.expect(domid, /suspend was cancelled at/, 1_000);
    expect(checkInvariants(a.xen.host)).toEqual([]);
  });

  it('comes back as small as its balloon had made it, and grows again when it is asked to', async () => {
    const a = new Booted(32, 1);
    const b = new Booted(32, 1);
    const domid = await dinghy(a, kind, 1);
    a.xen.setMemoryTarget(domid, 5);
    a.advance(100);
    expect(a.xen.domainStatus(domid).memoryMiB).toBeCloseTo(5, 1);
    const stream = readStream(streamOf(suspend(a, domid)));
    const copy = restore(b, stream, { uuid: UUIDS[0] }, [new MemoryDisk(contents.slice())]);
    b.advance(100);
    expect(b.xen.domainStatus(copy).memoryMiB).toBeCloseTo(5, 1);
    b.xen.setMemoryTarget(copy, 8);
    b.advance(100);
    expect(b.xen.domainStatus(copy).memoryMiB).toBeCloseTo(8, 1);
    b.type(copy, 'hog 5');
    b.expect(copy, /result hog .* mib=5/, 2_000);
    expect(checkInvariants(b.xen.host)).toEqual([]);
  });

  it('leaves nothing behind where it cannot be restored', async () => {
    const a = new Booted(32, 1);
    const b = new Booted(32, 1);
    await dinghy(b, kind, 1);
    const { free } = b.xen.host.frames;
    const stream = readStream(streamOf(suspend(a, await dinghy(a, kind, 1))));
    const { saved, records } = stream;
    const pages = records.find((r) => r.type === 'PAGE_DATA')!;
    const only = (keep: (r: LibxcRecord) => boolean) => ({ saved, records: records.filter(keep) });
    const changed = (type: LibxcRecord['type'], change: (r: LibxcRecord) => LibxcRecord) => ({
      saved,
      records: records.map((r) => (r.type === type ? change(r) : r)),
    });
    const cases: [typeof stream, RegExp][] = [
      [
        only((r) => r.type !== 'SHARED_INFO' && r.type !== 'HVM_CONTEXT'),
        /(SHARED_INFO|HVM_CONTEXT)\): the stream ended without it/,
      ],
      [{ saved: { ...saved, maxPages: 100 }, records }, /may have 100 pages and the stream has more/],
      [
        changed('X86_CPUID_POLICY', (r) =>
          r.type === 'X86_CPUID_POLICY' ? { ...r, leaves: r.leaves.map((l) => ({ ...l, c: l.c | (1 << 28) })) } : r,
        ),
        /CPU features that this host does not have.*leaf 0x1, ecx bits 0x10000000/,
      ],
      // as large as it was, beside the domain that is here
      [{ saved: { ...saved, spec: { ...saved.spec, memoryMiB: 64 }, maxPages: 64 * 256 }, records }, /MiB free/],
    ];
    if (kind.mode === 'pv')
      cases.push(
        [only((r) => r !== pages), /not (in the stream|there|one)/],
        [
          changed('PAGE_DATA', (r) =>
            r.type === 'PAGE_DATA' ? { ...r, types: r.types.map((t) => ((t & 7) === 1 ? 0 : t)) } : r,
          ),
          /the hypervisor refuses (the page table|it)/,
        ],
        [
          changed('X86_PV_VCPU_BASIC', (r) =>
            r.type === 'X86_PV_VCPU_BASIC' ? { ...r, context: r.context.slice(0, 100) } : r,
          ),
          /context has \d+ bytes and it has 100/,
        ],
        [
          changed('X86_PV_INFO', (r) => ({ ...r, guestWidth: saved.bits === 64 ? 4 : 8, ptLevels: 3 }) as LibxcRecord),
          /says otherwise/,
        ],
      );
    else
      for (const [offset, value, found] of [
        [680, 0x4000_0000, /CR4 0x[0-9a-f]+, which this CPU does not have/],
        [992, 0x2000, /EFER 0x2000, which this CPU does not have/],
        [656, 0x8000_0010, /a mode that does not exist/],
      ] as const)
        cases.push([
          changed('HVM_CONTEXT', (r) => {
            if (r.type !== 'HVM_CONTEXT') return r;
            // header entry, then the descriptor of the CPU entry
            const context = r.context.slice();
            new DataView(context.buffer).setUint32(8 + 24 + 8 + offset, value, true);
            return { ...r, context };
          }),
          found,
        ]);
    for (const [broken, sentence] of cases) {
      expect(() => restore(b, broken, { name: 'broken', uuid: UUIDS[0] }, [new MemoryDisk(contents)])).toThrow(
        sentence,
      );
      expect(b.xen.host.frames.free).toBe(free);
      expect(b.xen.domains()).toHaveLength(1);
      expect(checkInvariants(b.xen.host)).toEqual([]);
    }
    const whole = restore(b, stream, { name: 'whole', uuid: UUIDS[0] }, [new MemoryDisk(contents.slice())]);
    b.type(whole, 'uptime');
    b.expect(whole, /up \d/, 1_000);
  });
});

describe("Xen's own verifier", () => {
  const installed = new URL('../../.cache/guests/xen-utils/verify-stream-v2', import.meta.url).pathname;
  const python = existsSync('/usr/bin/python3');
  const here = existsSync(installed) && python;
  const why = here ? '' : python ? ' (not fetched: npm run guests)' : ' (no python3)';
  it.runIf(here).each(KINDS)(`accepts $image as it is saved${why}`, async (kind) => {
    const b = new Booted(32, 1);
    const bytes = streamOf(suspend(b, await dinghy(b, kind, 2)));
    const folder = mkdtempSync(join(tmpdir(), 'bulkhead-stream-'));
    try {
      const verify = (stream: Uint8Array): string => {
        writeFileSync(join(folder, 'domain.save'), stream);
        const env = { ...process.env, PYTHONPATH: join(installed, '../python'), PYTHONDONTWRITEBYTECODE: '1' };
        return execFileSync('/usr/bin/python3', [installed, '-v', '-f', 'xl', '-i', join(folder, 'domain.save')], {
          env,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        });
      };
      expect(verify(bytes)).toMatch(
        kind.mode === 'pv'
          ? /x86 PV from Xen 4\.17[^]*vcpu1 basic context[^]*Libxc Record: End[^]*Libxl Record: End/
          : /x86 HVM from Xen 4\.17[^]*HVM context[^]*Libxc Record: End[^]*Libxl Record: End/,
      );
      // it looks: a record that is not there is noticed
      expect(() => verify(bytes.slice(0, bytes.length - 200))).toThrow();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(!fetched('grub/x86_64-xen-shell.elf', 'grub/i386-xen_pvh-shell.elf'))(
  'GRUB, which cannot suspend itself',
  () => {
    it('is refused with a sentence, and nothing changes', async () => {
      const b = new Booted(192, 1);
      const pv = await b.start({ spec: { mode: 'pv', memoryMiB: 64 }, kernel: guestFile('grub/x86_64-xen-shell.elf') });
      const pvh = await b.start({
        spec: { mode: 'pvh', memoryMiB: 64 },
        kernel: guestFile('grub/i386-xen_pvh-shell.elf'),
      });
      for (const domid of [pv, pvh]) b.expect(domid, /grub> /, 5_000);
      expect(() => b.xen.domainSource(pv).headerRecords()).toThrow(/Loaders such as GRUB cannot be moved at all/);
      expect(() => suspend(b, pvh, 50e6)).toThrow(/asked and did nothing for 0\.05 seconds.*GRUB does not/);
      expect(b.xen.store.get(`/local/domain/${pvh}/control/shutdown`)).toBe('');
      for (const domid of [pv, pvh]) {
        b.type(domid, 'echo still here');
        b.expect(domid, /still here[^]*grub> /, 3_000);
      }
    });
  },
);

const LINUX = { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz' } as const;
const linux = fetched(LINUX.kernel, LINUX.ramdisk);
describe.skipIf(!linux)(`Linux 6.1${linux ? '' : ' (not fetched: npm run guests)'}`, () => {
  it('as a PV guest goes on with its loop, its mounted disk and its network', async () => {
    const a = new Booted(192, 1);
    const b = new Booted(192, 1);
    const disk = new MemoryDisk(new Uint8Array(1 << 20));
    const domid = await a.start({
      spec: {
        name: 'linux',
        mode: 'pv',
        memoryMiB: 96,
        cmdline: 'console=hvc0 cryptomgr.notests=1',
        disks: [{ path: 'test', format: 'raw', vdev: 'xvda', readOnly: false }],
        nics: [{ bridge: 'br0' }],
      },
      kernel: guestFile(LINUX.kernel),
      ramdisk: guestFile(LINUX.ramdisk),
      disks: [disk],
    });
    a.expect(domid, /bulkhead: shell ready[^]*# /, 30_000);
    a.type(
      domid,
      'stty -echo; mkdosfs /dev/xvda && mount -t vfat /dev/xvda /mnt && seq 1 9000 > /mnt/n && echo RE""ADY',
    );
    a.expect(domid, /READY/, 5_000);
    a.type(domid, 'ifconfig eth0 10.0.0.1 netmask 255.0.0.0 up');
    a.type(domid, 'for i in $(seq 1 60); do echo $i | sha256sum; done | sha256sum; echo DO""NE');
    a.advance(40);
    const stream = readStream(streamOf(suspend(a, domid)));
    a.xen.destroyDomain(domid);

    const peer = await b.start({
      spec: { name: 'peer', mode: 'pv', memoryMiB: 8, nics: [{ bridge: 'br0' }] },
      kernel: image('dinghy-pv64'),
    });
    b.expect(peer, /dinghy\$ /, 1_000);
    b.type(peer, 'dmesg');
    const address = b.expect(peer, /network: ([\d.]+)/, 1_000)[1];
    b.xen.advance(a.xen.host.now());
    const copy = restore(b, stream, { name: 'again', uuid: UUIDS[1] }, [disk]);
    expect(checkInvariants(b.xen.host)).toEqual([]);
    const digest = execFileSync('sh', ['-c', 'for i in $(seq 1 60); do echo $i | sha256sum; done | sha256sum'], {
      encoding: 'utf8',
    }).slice(0, 64);
    b.expect(copy, new RegExp(`${digest} [^]*DONE`), 10_000);
    b.type(copy, 'echo 3 > /proc/sys/vm/drop_caches; wc -l /mnt/n; umount /mnt && echo CL""EAN');
    b.expect(copy, /9000 \/mnt\/n[^]*CLEAN/, 5_000);
    b.type(copy, `ping -c 1 ${address}; xenstore read name`);
    b.expect(copy, /1 packets received[^]*again/, 5_000);
    b.xen.shutdownDomain(copy, 'poweroff');
    expect(b.expectShutdown(copy, 5_000)).toBe('poweroff');
    expect(checkInvariants(b.xen.host)).toEqual([]);
  });
});
