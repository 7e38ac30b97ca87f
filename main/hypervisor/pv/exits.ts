// What a PV vCPU's exits mean, and what happens before it runs again (test_all_events).

import type { Exit } from '../../machine/cpu/core.ts';
import { F } from '../../machine/cpu/layout.ts';
import { ExitCode } from '../../machine/cpu/system/exit.ts';
import { Reg } from '../cpu-view.ts';
import { Cr0, Eflags, Vector } from '../abi/constants.ts';
import { COST } from '../costs.ts';
import { traceName } from '../trace.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { deliverCallback, deliverTrap } from './bounce.ts';
import { handlePageFault } from './page-fault.ts';
import { emulateCpuid, emulatePrivileged, isForcedEmulation } from './privileged-op.ts';

const TRACE = {
  softint: traceName('exit', 'INT n', ['vector']),
  syscall: traceName('exit', 'SYSCALL'),
  cpuid: traceName('exit', 'CPUID', ['leaf', 'subleaf']),
  other: traceName('exit', 'exit', ['code']),
} as const;
/** By vector. */
const TRACE_FAULTS = Array.from({ length: 32 }, (_, vector) => {
  const mnemonic = Object.entries(Vector).find(([, n]) => n === vector)?.[0];
  return traceName('fault', mnemonic ? `#${mnemonic}` : `exception ${vector}`, [
    'rip',
    'error',
    ...(vector === Vector.PF ? ['address'] : []),
  ]);
});

/** Records why a vCPU left, before anything is charged for it. Only while recording. */
function traceExit(v: GuestVcpu, { code, info0, info1 }: Exit): void {
  const { trace } = v.domain.host;
  const { domid } = v.domain;
  trace.enter();
  if (code === ExitCode.Exception) {
    const args = [v.cpu.rip, BigInt(info1)];
    if (info0 === Vector.PF) args.push(v.cpu.u64(F.cr2));
    trace.addWide(TRACE_FAULTS[info0]!, domid, v.id, args);
  } else if (code === ExitCode.Cpuid) trace.add(TRACE.cpuid, domid, v.id, v.cpu.regLo(Reg.RAX), v.cpu.regLo(Reg.RCX));
  else if (code === ExitCode.SoftInt) trace.add(TRACE.softint, domid, v.id, info0);
  else if (code === ExitCode.Syscall) trace.add(TRACE.syscall, domid, v.id);
  else trace.add(TRACE.other, domid, v.id, code);
}

/** Delivers what is pending. */
export function preparePv(v: GuestVcpu): void {
  const pv = v.pv!;
  if (v.nmiPending && !pv.nmiMasked && pv.nmi.address !== 0n) {
    v.nmiPending = false;
    pv.nmiMasked = true;
    deliverCallback(v, pv.nmi, true);
  }
  if (v.upcallPending && !v.upcallMasked && pv.event.address !== 0n) deliverCallback(v, pv.event, true);
}

export function handlePvExit(v: GuestVcpu, exit: Exit): void {
  const { cpu, domain } = v;
  const { code, info0 } = exit;
  if (code === ExitCode.Budget || code === ExitCode.Requested || code === ExitCode.None) return;
  if (domain.host.trace.recording) traceExit(v, exit);
  domain.host.charge(
    code === ExitCode.Syscall ? COST.pvHypercall : code === ExitCode.SoftInt ? COST.pvSoftInt : COST.pvException,
  );
  const length = exit.info3;
  switch (code) {
    case ExitCode.Exception:
      domain.count(domain.counters.exits, 'exception');
      // INT1, INT3 and INTO leave before the instruction, with its length; a fault has none.
      if (length && info0 !== Vector.DB) return handleSoftInt(v, info0, length);
      cpu.rip = advance(v, length);
      return handleException(v, info0, exit.info1, exit.info2 !== 0);
    case ExitCode.Syscall:
      domain.count(domain.counters.exits, 'syscall');
      return handleSyscall(v, length, info0 === 1);
    case ExitCode.SoftInt:
      domain.count(domain.counters.exits, 'softint');
      return handleSoftInt(v, info0, length);
    case ExitCode.Cpuid:
      domain.count(domain.counters.exits, 'cpuid');
      emulateCpuid(v);
      cpu.rip = advance(v, length);
      return;
    case ExitCode.Hypercall:
      return deliverTrap(v, Vector.UD, null);
    case ExitCode.Shutdown:
      return domain.crash(`vCPU ${v.id}: triple fault`);
    default:
      return deliverTrap(v, Vector.GP, 0);
  }
}

/** The next instruction's address. */
export function advance(v: GuestVcpu, length: number): bigint {
  const next = v.cpu.rip + BigInt(length);
  return v.domain.is32 ? next & 0xffff_ffffn : BigInt.asUintN(64, next);
}

function handleException(v: GuestVcpu, vector: number, error: number, hasError: boolean): void {
  const { cpu, domain } = v;
  switch (vector) {
    case Vector.PF:
      return handlePageFault(v, error);
    case Vector.GP:
      // An INT n that the (empty) IDT refused: bit 1 of the code says so.
      if ((error & 3) === 2) return handleSoftInt(v, error >>> 3, 2);
      if (error === 0 && emulatePrivileged(v)) return;
      return deliverTrap(v, Vector.GP, error);
    case Vector.UD:
      if (isForcedEmulation(v)) return;
      return deliverTrap(v, Vector.UD, null);
    case Vector.NM:
      // The TS bit is the guest's own (fpu_taskswitch); taking the fault clears it, as Xen does.
      cpu.setU32(F.cr0, cpu.u32(F.cr0) & ~Cr0.TS);
      return deliverTrap(v, Vector.NM, null);
    case Vector.DB:
      v.pv!.debugRegs[6] = cpu.u64(F.dr + 48);
      return deliverTrap(v, Vector.DB, null);
    default:
      if (vector === Vector.MC || vector === Vector.DF)
        return domain.crash(`vCPU ${v.id}: exception ${vector} at 0x${cpu.rip.toString(16)}`);
      return deliverTrap(v, vector, hasError ? error : null);
  }
}

function handleSyscall(v: GuestVcpu, length: number, sysenter: boolean): void {
  const { cpu, domain } = v;
  const pv = v.pv!;
  if (sysenter) {
    if (pv.sysenter.address === 0n) return deliverTrap(v, Vector.GP, 0);
    cpu.rip = 0n;
    return deliverCallback(v, pv.sysenter, pv.sysenter.maskEvents);
  }
  if (!domain.is32 && pv.kernelMode64) {
    cpu.rip = advance(v, length);
    return domain.host.hypercalls.fromPv(v);
  }
  const compat = (cpu.segAttr(1) & 0x2000) === 0;
  const callback = compat ? pv.syscall32 : pv.syscall;
  if (callback.address === 0n) return deliverTrap(v, compat ? Vector.GP : Vector.UD, compat ? 0 : null);
  cpu.rip = advance(v, length);
  cpu.setReg(Reg.RCX, cpu.rip);
  cpu.setReg(Reg.R11, BigInt(cpu.rflags & ~Eflags.RF));
  deliverCallback(v, callback, callback.maskEvents);
}

function handleSoftInt(v: GuestVcpu, vector: number, length: number): void {
  const { cpu, domain } = v;
  const pv = v.pv!;
  if (domain.is32 && vector === 0x82) {
    if (!pv.kernelMode) return deliverTrap(v, Vector.GP, (vector << 3) | 2);
    cpu.rip = advance(v, length);
    return domain.host.hypercalls.fromPv(v);
  }
  const registered = pv.trapAddress[vector] !== 0n;
  const dpl = pv.trapFlags[vector] & 3;
  // A 64-bit guest's kernel counts as ring 0 here, though it runs in ring 3.
  const cpl = domain.is32 ? cpu.cpl : pv.kernelMode64 ? 0 : 3;
  if (!registered || dpl < cpl) return deliverTrap(v, Vector.GP, (vector << 3) | 2);
  cpu.rip = advance(v, length);
  deliverTrap(v, vector, null);
}
