// What an HVM vCPU's exits mean.

import type { Exit } from '../../machine/cpu/core.ts';
import { F } from '../../machine/cpu/layout.ts';
import { ExitCode } from '../../machine/cpu/system/exit.ts';
import { guestCpuid } from '../cpuid.ts';
import { Reg } from '../cpu-view.ts';
import { COST } from '../costs.ts';
import { traceName } from '../trace.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { isLongMode } from './mode.ts';

const TRACE = {
  hlt: traceName('exit', 'HLT'),
  vmcall: traceName('exit', 'VMCALL'),
  cpuid: traceName('exit', 'CPUID', ['leaf', 'subleaf']),
  nested: traceName('exit', 'NESTED_FAULT', ['gpa']),
  other: traceName('exit', 'exit', ['code']),
} as const;

/** Records why a vCPU left, before anything is charged for it. Only while recording. */
function traceExit(v: GuestVcpu, { code, info0, info1 }: Exit): void {
  const { trace } = v.domain.host;
  const { domid } = v.domain;
  trace.enter();
  if (code === ExitCode.Cpuid) trace.add(TRACE.cpuid, domid, v.id, v.cpu.regLo(Reg.RAX), v.cpu.regLo(Reg.RCX));
  else if (code === ExitCode.Halt) trace.add(TRACE.hlt, domid, v.id);
  else if (code === ExitCode.Hypercall) trace.add(TRACE.vmcall, domid, v.id);
  else if (code === ExitCode.NestedFault)
    trace.addWide(TRACE.nested, domid, v.id, [(BigInt(info1) << 32n) | BigInt(info0)]);
  else trace.add(TRACE.other, domid, v.id, code);
}

export function prepareHvm(v: GuestVcpu): void {
  if (v.cpu.u32(F.halted) && v.hvm!.interruptPending()) v.cpu.setU32(F.halted, 0);
}

/** RIP after an instruction of `length` bytes, wrapped to the code's size. */
function skip(v: GuestVcpu, length: number): void {
  const next = v.cpu.rip + BigInt(length);
  v.cpu.rip = isLongMode(v) ? BigInt.asUintN(64, next) : next & 0xffff_ffffn;
}

export function handleHvmExit(v: GuestVcpu, exit: Exit): void {
  const { cpu, domain } = v;
  const length = exit.info3;
  if (exit.code !== ExitCode.Budget && exit.code !== ExitCode.Requested) {
    if (domain.host.trace.recording) traceExit(v, exit);
    domain.host.charge(COST.hvmExit);
  }
  switch (exit.code) {
    case ExitCode.Budget:
    case ExitCode.Requested:
    case ExitCode.InterruptWindow:
    case ExitCode.None:
      return;
    case ExitCode.Halt:
      domain.count(domain.counters.exits, 'hlt');
      if (!v.hvm!.interruptPending()) v.block();
      return;
    case ExitCode.Hypercall:
      domain.count(domain.counters.exits, 'vmcall');
      skip(v, length);
      return domain.host.hypercalls.fromHvm(v);
    case ExitCode.Cpuid: {
      domain.count(domain.counters.exits, 'cpuid');
      const r = guestCpuid(v, cpu.regLo(Reg.RAX), cpu.regLo(Reg.RCX));
      cpu.setReg32(Reg.RAX, r.eax);
      cpu.setReg32(Reg.RBX, r.ebx);
      cpu.setReg32(Reg.RCX, r.ecx);
      cpu.setReg32(Reg.RDX, r.edx);
      skip(v, length);
      return;
    }
    case ExitCode.NestedFault: {
      const gpa = (BigInt(exit.info1) << 32n) | BigInt(exit.info0);
      return domain.crash(
        `vCPU ${v.id} reached guest-physical address 0x${gpa.toString(16)}, where it has no memory, at 0x${cpu.rip.toString(16)}`,
      );
    }
    case ExitCode.Shutdown:
      return domain.crash(`vCPU ${v.id}: triple fault at 0x${cpu.rip.toString(16)}`);
    default:
      return domain.crash(`vCPU ${v.id}: exit ${exit.code} that an HVM guest does not have`);
  }
}
