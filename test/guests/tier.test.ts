// Linux in lockstep: the same boot interpreted and translated, compared every few million instructions, down to the last byte of memory.
// BULKHEAD_LOCKSTEP=ms of virtual time runs on to there instead of through the first part; then every place is translated early.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RAM_BASE } from '../../main/machine/cpu/layout.ts';
import { lockstep, type LockstepMachine, type TierName } from '../../main/machine/cpu/translator/lockstep.ts';
import type { VcpuState } from '../../main/machine/cpu/vcpu.ts';
import { PcMachine } from '../../main/machine/platform/pc.ts';

const cache = new URL('../../.cache/guests/', import.meta.url);
const LONG = Number(process.env.BULKHEAD_LOCKSTEP ?? 0);
/** ms of virtual time, into which fork, exec and the first programs fall. */
const SHORT = 1000;
const MEMORY = 96 * 1024 * 1024;
const MS = 1e6;

class LinuxInLockstep implements LockstepMachine {
  readonly machine: PcMachine;
  #output = '';

  constructor(tier: TierName, kernel: string, ramdisk: string, vcpus: number) {
    this.machine = new PcMachine({
      ramBytes: MEMORY,
      vcpus,
      clockMHz: 1000,
      epochSeconds: Date.UTC(2026, 0, 1) / 1000,
      onSerial: (byte) => (this.#output += String.fromCharCode(byte)),
      core: { tier, translator: { threshold: LONG > 0 ? 100 : 1000, background: false } },
    });
    this.machine.load({
      kernel: readFileSync(new URL(kernel, cache)),
      ramdisk: readFileSync(new URL(ramdisk, cache)),
      commandLine: 'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1',
    });
  }
  runUntil(time: number): boolean {
    this.machine.runUntil(time);
    return this.machine.stop === null;
  }
  vcpus(): VcpuState[] {
    return this.machine.vcpus.map((v) => v.saveState());
  }
  ram(): Uint8Array {
    return this.machine.memory.u8.subarray(RAM_BASE, RAM_BASE + MEMORY);
  }
  other(): string {
    return `${this.machine.instructions} instructions, output ...${this.#output.slice(-200)}`;
  }
  code(): { bytes: Uint8Array; size: 32 | 64 } | null {
    const [vcpu] = this.machine.vcpus;
    const at = this.machine.core.translate(Number(vcpu!.rip & 0xffff_ffffn), Number(vcpu!.rip >> 32n), 0, false);
    if (at < 0) return null;
    return { bytes: this.ram().slice(at, at + 15), size: (vcpu!.segment(1).attr & 0x2000) !== 0 ? 64 : 32 };
  }
}

const CASES = [
  { name: '686', kernel: 'linux-686/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz', vcpus: 1 },
  { name: 'amd64 with 2 processors', kernel: 'linux-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz', vcpus: 2 },
];
for (const { name, kernel, ramdisk, vcpus } of CASES) {
  const here = [kernel, ramdisk].every((file) => existsSync(new URL(file, cache)));
  describe.skipIf(!here)(`Linux ${name}${here ? '' : ' (not fetched: npm run guests)'}`, () => {
    it(`is the same in both tiers for ${LONG || SHORT} ms`, () => {
      const machines = new Map<TierName, LinuxInLockstep>();
      const make = (tier: TierName): LinuxInLockstep => {
        const m = new LinuxInLockstep(tier, kernel, ramdisk, vcpus);
        machines.set(tier, m);
        return m;
      };
      const difference = lockstep(make, (LONG || SHORT) * MS, 20 * MS);
      expect(difference?.report ?? null).toBeNull();
      expect(machines.get('translator')!.machine.core.tier!.statistics().made).toBeGreaterThan(20);
    });
  });
}
