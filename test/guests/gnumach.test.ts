// GNU Mach's Xen images, which say what they are in a __xen_guest section and use the compatibility calls of Xen 3.0. They get as far
// as their own page tables, traps, GDT and stack; then the kernel stores into its page directory (an L2 table) as if it were memory,
// which Xen allows for L1 tables only, takes the fault it gets as a panic, and ends the domain through sched_op_compat.

import { describe, expect, it } from 'vitest';
import { F } from '../../main/machine/cpu/layout.ts';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { FrameType } from '../../main/hypervisor/memory/frame-table.ts';
import { translate } from '../../main/hypervisor/guest-memory.ts';
import { Booted, fetched, guestFile } from './booted.ts';

for (const [architecture, bits] of [
  ['amd64', 64],
  ['i386', 32],
] as const) {
  const file = `gnumach-xen-${architecture}/gnumach.gz`;
  const here = fetched(file);
  describe.skipIf(!here)(`GNU Mach for ${architecture}${here ? '' : ' (not fetched: npm run guests)'}`, () => {
    it('is loaded through its __xen_guest section and sets itself up, as far as its own mistake', async () => {
      const b = new Booted(128, 1);
      const domid = await b.start({ spec: { mode: 'pv', memoryMiB: 64 }, kernel: guestFile(file) });
      expect(b.expectShutdown(domid, 100)).toBe('crash');
      expect(b.xen.domainStatus(domid)).toMatchObject({ bits, reason: expect.stringContaining('sched_op_compat') });
      const d = b.xen.host.domain(domid)!;
      // Everything before the fault was answered well, or it had panicked there.
      const calls = Object.fromEntries(d.counters.hypercalls);
      expect(calls).toMatchObject({ set_callbacks: 1, set_gdt: 1, set_trap_table: 1, stack_switch: 1 });
      expect(calls.mmu_update).toBeGreaterThan(100);
      expect(calls.mmuext_op).toBeGreaterThan(100);
      expect(d.counters).toMatchObject({ pageFaults: 1, injected: 1, unknownHypercalls: 0 });
      b.xen.host.core.select(d.vcpus[0].machine);
      b.xen.host.loaded = d.vcpus[0];
      const at = translate(d.vcpus[0], d.vcpus[0].cpu.u64(F.cr2), false);
      expect(b.xen.host.frames.type[at >>> 12]).toBe(FrameType.L2);
      expect(checkInvariants(b.xen.host)).toEqual([]);
      b.xen.destroyDomain(domid);
      expect(checkInvariants(b.xen.host)).toEqual([]);
    });
  });
}
