// The dirty log against the truth: whatever changed in a running guest's memory, by its CPU, the hypervisor or a backend, is in the log.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COST } from '../../main/hypervisor/costs.ts';
import type { Domain } from '../../main/hypervisor/domain.ts';
import { Booted, MemoryDisk } from './booted.ts';

const image = (name: string): Uint8Array =>
  readFileSync(new URL(`../../main/guests/dinghy/images/${name}`, import.meta.url));

function snapshot(d: Domain): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  d.logDirty.forEachPage((pfn, mfn) => pages.set(pfn, d.mem.frame(mfn).slice()));
  return pages;
}

for (const [mode, kernel] of [
  ['pv', 'dinghy-pv64'],
  ['pv', 'dinghy-pv32'],
  ['pvh', 'dinghy-hw64'],
  ['pvh', 'dinghy-hw32'],
] as const)
  it(`${mode}, ${kernel}: every change is in the log, round after round, and idle memory is not`, async () => {
    const lab = new Booted(64, 1);
    const disk = new MemoryDisk(new Uint8Array(256 * 1024).fill(0x5a));
    const domid = await lab.start({
      spec: {
        mode,
        memoryMiB: 12,
        nics: [{ bridge: 'br0' }],
        disks: [{ path: 'memory', format: 'raw', vdev: 'xvda', readOnly: false }],
        cmdline: 'ip=10.0.0.1/24',
      },
      kernel: image(kernel),
      disks: [disk],
    });
    const other = await lab.start({
      spec: { mode: 'pv', memoryMiB: 8, nics: [{ bridge: 'br0' }], cmdline: 'ip=10.0.0.2/24' },
      kernel: image('dinghy-pv64'),
    });
    lab.expect(domid, /\$ /, 2000);
    lab.expect(other, /\$ /, 2000);
    lab.type(domid, 'httpd &');
    const d = lab.xen.host.domain(domid)!;
    lab.type(domid, 'forks 100000 & dirty 3000 1 100000 & db /dev/xvda 100000 256 & game 100000');
    lab.type(other, 'web 10.0.0.1 100000 /etc/motd');
    lab.advance(50);
    const pages = d.logDirty.start();
    let most = 0;
    for (let round = 0; round < 6; round++) {
      const before = snapshot(d);
      expect(before.size).toBeGreaterThan(2900);
      lab.advance(10);
      const changed: number[] = [];
      d.logDirty.forEachPage((pfn, mfn) => {
        const old = before.get(pfn);
        if (!old || Buffer.compare(old, d.mem.frame(mfn))) changed.push(pfn);
      });
      const peeked = new Set(changed.filter((pfn) => d.logDirty.peek(pfn)));
      const dirty = new Set<number>();
      const count = d.logDirty.countDirty();
      expect(d.logDirty.clean((pfn) => dirty.add(pfn))).toBe(pages);
      expect(changed.filter((pfn) => !dirty.has(pfn))).toEqual([]);
      expect(peeked.size).toBe(changed.length);
      expect(count).toBe(dirty.size);
      most = Math.max(most, changed.length);
      // most of the memory is not being written
      expect(dirty.size).toBeLessThan(1500);
      // nothing ran: nothing is dirty
      d.logDirty.clean((pfn) => expect(pfn).toBe('clean'));
    }
    const { io } = lab.xen.figures(domid);
    expect(Object.entries(io).filter(([name, n]) => n === 0 && name !== 'packetsDropped')).toEqual([]);
    expect(most).toBeGreaterThan(30);
    expect(d.mem.loggedWrites).toBeGreaterThan(100);
    expect(COST.logDirtyWrite).toBeGreaterThan(0);
    d.logDirty.stop();
    const writes = d.mem.loggedWrites;
    lab.advance(5);
    expect(d.mem.loggedWrites).toBe(writes);
  });
