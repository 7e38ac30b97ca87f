// What has been translated serves others: a second guest with the same kernel on one host, and the same Linux in a later run, which computes what
// it computes interpreted.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { RAM_BASE } from '../../main/machine/cpu/layout.ts';
import type { TierName } from '../../main/machine/cpu/translator/lockstep.ts';
import { Booted, fetched, guestFile } from './booted.ts';

const PVH = ['linux-686-pae/vmlinuz', 'initramfs-i386.cpio.gz'] as const;
const cache = new URL('../../.cache/guests/', import.meta.url);
const KERNEL = new URL('linux-686/vmlinuz', cache);
const RAMDISK = new URL('initramfs-i386.cpio.gz', cache);
const MEMORY = 96 * 1024 * 1024;

it.skipIf(!fetched(...PVH))('a second Linux with the same kernel enters what the first had translated', async () => {
  const b = new Booted(384, 1);
  const statistics = () => b.xen.host.core.tier!.statistics();
  const start = async (): Promise<void> => {
    const domid = await b.start({
      spec: { mode: 'pvh', memoryMiB: 96, cmdline: 'console=hvc0 nokaslr cryptomgr.notests=1' },
      kernel: guestFile(PVH[0]),
      ramdisk: guestFile(PVH[1]),
    });
    b.expect(domid, /bulkhead: shell ready/, 30_000);
  };
  await start();
  const first = statistics();
  expect(first.made).toBeGreaterThan(100);
  await start();
  const second = statistics();
  expect(second.reused - first.reused).toBeGreaterThan(first.made / 2);
  expect(second.made - first.made).toBeLessThan(first.made / 2);
});

const folder = mkdtempSync(path.join(tmpdir(), 'translations-'));
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it.skipIf(!existsSync(KERNEL) || !existsSync(RAMDISK))(
  'Linux that finds the archive of an earlier run is the same as interpreted',
  async () => {
    /** The boot in a run of its own, as far as 250 ms; what is compared, and what the tier did. */
    const boot = async (tier: TierName) => {
      vi.resetModules();
      const { PcMachine } = await import('../../main/machine/platform/pc.ts');
      const { writeTranslations } = await import('../../main/machine/cpu/translator/background.ts');
      let output = '';
      const machine = new PcMachine({
        ...{ ramBytes: MEMORY, vcpus: 1, clockMHz: 1000, epochSeconds: 0 },
        onSerial: (byte) => (output += String.fromCharCode(byte)),
        core: { tier, translator: { threshold: 272 } },
      });
      machine.load({
        ...{ kernel: readFileSync(KERNEL), ramdisk: readFileSync(RAMDISK) },
        commandLine: 'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1',
      });
      // the other thread has then read the archive
      if (tier === 'translator') await writeTranslations();
      for (let ms = 10; ms <= 250; ms += 10) machine.runUntil(ms * 1e6);
      if (tier === 'translator') await writeTranslations();
      return {
        state: { vcpus: machine.vcpus.map((v) => v.saveState()), instructions: machine.instructions, output },
        ram: Buffer.from(machine.memory.u8.slice(RAM_BASE, RAM_BASE + MEMORY)),
        statistics: machine.core.tier?.statistics(),
      };
    };
    vi.stubEnv('BULKHEAD_TRANSLATIONS', folder);
    const interpreted = await boot('interpreter');
    const first = await boot('translator');
    const second = await boot('translator');
    expect(first.statistics!.loaded).toBe(0);
    expect(first.statistics!.made).toBeGreaterThan(20);
    expect(second.statistics!.loaded).toBeGreaterThan(0);
    expect(second.statistics!.reused).toBeGreaterThan(20);
    for (const run of [first, second]) {
      expect(run.state).toEqual(interpreted.state);
      expect(run.ram.equals(interpreted.ram)).toBe(true);
    }
  },
);
