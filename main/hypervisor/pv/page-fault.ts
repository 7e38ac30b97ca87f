// A PV guest's page fault: its LDT mapped on demand, a write to one of its own page tables emulated, a stale translation
// forgotten, or the fault delivered.
//
// Page-table writes are emulated without decoding: the mapping is made writable for exactly one instruction, the page is
// compared, put back, and each entry that changed is applied through the validating update. Nothing else runs meanwhile,
// so the guest's atomic instruction stays atomic, whatever instruction it was.

import { F } from '../../machine/cpu/layout.ts';
import { ExitCode } from '../../machine/cpu/system/exit.ts';
import { HYPERVISOR_VIRT_END_HI, HYPERVISOR_VIRT_START_HI, PERDOMAIN_LDT_OFFSET, Vector } from '../abi/constants.ts';
import { FrameType } from '../memory/frame-table.ts';
import { updateEntry } from '../memory/page-table-update.ts';
import { Pte, pteMfn } from '../memory/pte.ts';
import { traceName } from '../trace.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { deliverPageFault, deliverTrap } from './bounce.ts';
import { mapLdtPage } from './descriptors.ts';
import { findL1Entry } from './walk.ts';
import { frameAddress } from '../memory/frames.ts';

const TRACE_TABLE_WRITE = traceName('memory', 'emulated table write', ['address']);

const ERROR_P = 1;
const ERROR_W = 2;

/** The last fault judged stale: twice at one place without progress means that it is not. */
const lastStale = new WeakMap<GuestVcpu, { rip: bigint; cr2: bigint; instructions: number }>();

export function handlePageFault(v: GuestVcpu, errorCode: number): void {
  const { cpu, domain } = v;
  const lo = cpu.u32(F.cr2);
  const hi = cpu.u32(F.cr2 + 4);
  domain.counters.pageFaults++;
  const inHole = hi >= HYPERVISOR_VIRT_START_HI && hi < HYPERVISOR_VIRT_END_HI;
  if (inHole) {
    const offset = cpu.u64(F.cr2) - v.pv!.ldtArea;
    if (offset >= 0n && offset < BigInt(PERDOMAIN_LDT_OFFSET)) {
      if ((errorCode & ERROR_P) === 0 && mapLdtPage(v, Number(offset >> 12n))) return;
      // A selector beyond its table: the guest sees what the CPU would have said, a fault on the LDT's own address.
      const guest = v.pv!.ldtBase + offset;
      deliverPageFault(v, Number(guest & 0xffff_ffffn), Number(guest >> 32n), errorCode);
      return;
    }
    deliverPageFault(v, lo, hi, errorCode);
    return;
  }
  if ((errorCode & (ERROR_P | ERROR_W)) === (ERROR_P | ERROR_W) && v.pv!.kernelMode && emulatePageTableWrite(v, lo, hi))
    return;
  if (isStale(v, lo, hi, errorCode)) return;
  deliverPageFault(v, lo, hi, errorCode);
}

function isStale(v: GuestVcpu, lo: number, hi: number, errorCode: number): boolean {
  const { core } = v.domain.host;
  const access = errorCode & 0x10 ? 2 : errorCode & ERROR_W ? 1 : 0;
  if (core.translate(lo | 0, hi | 0, access, v.cpu.cpl === 3) < 0) return false;
  const now = { rip: v.cpu.rip, cr2: v.cpu.u64(F.cr2), instructions: v.instructions };
  const last = lastStale.get(v);
  lastStale.set(v, now);
  if (last && last.rip === now.rip && last.cr2 === now.cr2 && last.instructions === now.instructions) return false;
  core.tlb.flush(true);
  return true;
}

/** Index pairs [offset in page] of entries that differ. */
function emulatePageTableWrite(v: GuestVcpu, lo: number, hi: number): boolean {
  const { domain, cpu } = v;
  const { host, mem } = domain;
  const { frames, types, core } = host;
  const entry = findL1Entry(v, lo, hi);
  if (entry < 0) return false;
  const entryWord = (frameAddress(0) + entry) >>> 2;
  const mapping = mem.u32[entryWord];
  if ((mapping & (Pte.P | Pte.RW)) !== Pte.P) return false;
  const target = pteMfn(mapping, mem.u32[entryWord + 1]);
  if (!frames.valid(target) || frames.owner[target] !== domain.domid) return false;
  if (frames.type[target] !== FrameType.L1 || frames.typeCount[target] === 0) return false;

  domain.counters.emulatedWrites++;
  if (domain.host.trace.recording) domain.host.trace.addWide(TRACE_TABLE_WRITE, domain.domid, v.id, [v.cpu.u64(F.cr2)]);
  mem.u32[entryWord] = mapping | Pte.RW;
  core.tlb.flush(true);
  const base = frameAddress(target) >>> 2;
  const before = mem.u32.slice(base, base + 1024);
  const exit = host.inner(() => core.run(v.machine, 1));
  const { code: reason, info0: vector } = exit;
  const code = exit.info2 ? exit.info1 : null;
  const after = mem.u32.slice(base, base + 1024);
  mem.u32.set(before, base);
  mem.u32[entryWord] = mem.u32[entryWord] & ~Pte.RW;
  core.tlb.flush(true);
  if (reason === ExitCode.Exception) {
    // The instruction faulted on something else first.
    if (vector === Vector.PF) {
      if (cpu.u32(F.cr2) === lo && cpu.u32(F.cr2 + 4) === hi) return false;
      handlePageFault(v, code ?? 0);
    } else deliverTrap(v, vector, code);
    return true;
  }
  for (let i = 0; i < 1024; i += 2) {
    if (after[i] === before[i] && after[i + 1] === before[i + 1]) continue;
    // The page's own mapping, changed above, is not the guest's doing.
    if (
      target * 4096 + i * 4 === entry &&
      ((after[i] ^ before[i]) & ~(Pte.RW | Pte.A | Pte.D)) === 0 &&
      after[i + 1] === before[i + 1]
    )
      continue;
    const error = updateEntry(types, FrameType.L1, target * 4096 + i * 4, after[i], after[i + 1], domain, false);
    if (error) {
      // Xen answers a bad emulated write with the fault itself.
      deliverPageFault(v, lo, hi, ERROR_P | ERROR_W);
      return true;
    }
  }
  host.flushIfNeeded();
  return true;
}
