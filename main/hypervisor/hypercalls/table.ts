// The one table of hypercalls: number, name, which guests have it, handler. Everything else (dispatch, counters, trace
// names) comes from it.

import { Errno } from '../abi/errno.ts';
import { Reg } from '../cpu-view.ts';
import { isLongMode } from '../hvm/mode.ts';
import { copyIn, copyOut, NativeStruct } from '../guest-memory.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { type Call, NO_RESULT, type Result, u32 } from './call.ts';
import { consoleIo } from './console.ts';
import { eventChannelOp, eventChannelOpCompat } from './event-channel.ts';
import { grantTableOp } from './grant.ts';
import { hvmOp } from './hvm.ts';
import { memoryOp } from './memory.ts';
import { mmuUpdate, updateVaMapping, updateVaMappingOtherDomain } from './mmu.ts';
import { mmuextOp } from './mmuext.ts';
import { physdevOp, physdevOpCompat } from './physdev.ts';
import { schedOp, schedOpCompat, setTimerOp } from './sched.ts';
import {
  callbackOp,
  fpuTaskswitch,
  getDebugreg,
  iret,
  nmiOp,
  setCallbacks,
  setDebugreg,
  setGdt,
  setSegmentBase,
  setTrapTable,
  stackSwitch,
  updateDescriptor,
  vmAssist,
} from './traps.ts';
import { traceName } from '../trace.ts';
import { ARGUMENT_COUNT, operationOf, resultText } from './operation-names.ts';
import { vcpuOp } from './vcpu.ts';
import { xenVersion } from './version.ts';

export type GuestAbi = 'pv32' | 'pv64' | 'hvm32' | 'hvm64';

export interface Hypercall {
  readonly number: number;
  readonly name: string;
  readonly abis: readonly GuestAbi[];
  readonly handler: (c: Call) => Result;
}

const PV: readonly GuestAbi[] = ['pv32', 'pv64'];
const ALL: readonly GuestAbi[] = ['pv32', 'pv64', 'hvm32', 'hvm64'];
const HVM: readonly GuestAbi[] = ['hvm32', 'hvm64'];

/** Only privileged domains may. */
const privileged = (): Result => -Errno.EPERM;

export const HYPERCALLS: readonly Hypercall[] = [
  { number: 0, name: 'set_trap_table', abis: PV, handler: setTrapTable },
  { number: 1, name: 'mmu_update', abis: PV, handler: mmuUpdate },
  { number: 2, name: 'set_gdt', abis: PV, handler: setGdt },
  { number: 3, name: 'stack_switch', abis: PV, handler: stackSwitch },
  { number: 4, name: 'set_callbacks', abis: PV, handler: setCallbacks },
  { number: 5, name: 'fpu_taskswitch', abis: PV, handler: fpuTaskswitch },
  { number: 6, name: 'sched_op_compat', abis: PV, handler: schedOpCompat },
  { number: 7, name: 'platform_op', abis: ALL, handler: privileged },
  { number: 8, name: 'set_debugreg', abis: PV, handler: setDebugreg },
  { number: 9, name: 'get_debugreg', abis: PV, handler: getDebugreg },
  { number: 10, name: 'update_descriptor', abis: PV, handler: updateDescriptor },
  { number: 12, name: 'memory_op', abis: ALL, handler: memoryOp },
  { number: 13, name: 'multicall', abis: ALL, handler: multicall },
  { number: 14, name: 'update_va_mapping', abis: PV, handler: updateVaMapping },
  { number: 15, name: 'set_timer_op', abis: ALL, handler: setTimerOp },
  { number: 16, name: 'event_channel_op_compat', abis: ALL, handler: eventChannelOpCompat },
  { number: 17, name: 'xen_version', abis: ALL, handler: xenVersion },
  { number: 18, name: 'console_io', abis: ALL, handler: consoleIo },
  { number: 19, name: 'physdev_op_compat', abis: PV, handler: physdevOpCompat },
  { number: 20, name: 'grant_table_op', abis: ALL, handler: grantTableOp },
  { number: 21, name: 'vm_assist', abis: ALL, handler: vmAssist },
  { number: 22, name: 'update_va_mapping_otherdomain', abis: PV, handler: updateVaMappingOtherDomain },
  { number: 23, name: 'iret', abis: PV, handler: iret },
  { number: 24, name: 'vcpu_op', abis: ALL, handler: vcpuOp },
  { number: 25, name: 'set_segment_base', abis: ['pv64'], handler: setSegmentBase },
  { number: 26, name: 'mmuext_op', abis: PV, handler: mmuextOp },
  { number: 28, name: 'nmi_op', abis: PV, handler: nmiOp },
  { number: 29, name: 'sched_op', abis: ALL, handler: schedOp },
  { number: 30, name: 'callback_op', abis: PV, handler: callbackOp },
  { number: 32, name: 'event_channel_op', abis: ALL, handler: eventChannelOp },
  { number: 33, name: 'physdev_op', abis: PV, handler: physdevOp },
  { number: 34, name: 'hvm_op', abis: HVM, handler: hvmOp },
  { number: 35, name: 'sysctl', abis: ALL, handler: privileged },
  { number: 36, name: 'domctl', abis: ALL, handler: privileged },
  { number: 37, name: 'kexec_op', abis: ALL, handler: privileged },
];

/** The trace's name of each hypercall, by number. */
const TRACE_NAMES: number[] = [];
for (const { number, name } of HYPERCALLS)
  TRACE_NAMES[number] = traceName('hypercall', name, [], { operation: operationOf(name), result: resultText });

const UNKNOWN = traceName('hypercall', 'unknown', ['number'], { result: resultText });

const MAX_MULTICALLS = 1 << 16;

/** multicall(entries, count): each entry is op, result, six arguments. */
function multicall(c: Call): Result {
  const count = u32(c.args[1]);
  if (count > MAX_MULTICALLS) return -Errno.EINVAL;
  const long = c.wide ? 8 : 4;
  const size = 8 * long;
  for (let i = 0; i < count; i++) {
    const at = c.args[0] + BigInt(i * size);
    const bytes = copyIn(c.v, at, size);
    if (!bytes) return -Errno.EFAULT;
    const s = new NativeStruct(new DataView(bytes.buffer), c.wide);
    const args = [0, 1, 2, 3, 4, 5].map((n) => s.long((2 + n) * long));
    const result = c.host.hypercalls.call(c.v, u32(s.long(0)), args, c.wide);
    if (result === NO_RESULT) return NO_RESULT;
    s.setLong(long, BigInt.asUintN(64, BigInt(result)));
    if (!copyOut(c.v, at + BigInt(long), bytes.subarray(long, 2 * long))) return -Errno.EFAULT;
    if (c.d.shutdownReason !== null) return 0;
  }
  return 0;
}

export class HypercallTable {
  private readonly byNumber: (Hypercall | undefined)[] = [];

  constructor() {
    for (const h of HYPERCALLS) this.byNumber[h.number] = h;
  }

  /** Runs one hypercall for the loaded vCPU. */
  call(v: GuestVcpu, number: number, args: readonly bigint[], wide: boolean): Result {
    const d = v.domain;
    const h = this.byNumber[number];
    const abi = `${d.isPv ? 'pv' : 'hvm'}${wide ? 64 : 32}` as GuestAbi;
    if (!h || !h.abis.includes(abi)) {
      d.counters.unknownHypercalls++;
      d.count(d.counters.hypercalls, `unknown ${number}`);
      if (d.host.trace.recording)
        d.host.trace.end(d.host.trace.begin(UNKNOWN, d.domid, v.id, [BigInt(number)], 1), -Errno.ENOSYS);
      return -Errno.ENOSYS;
    }
    d.count(d.counters.hypercalls, h.name);
    const { trace } = d.host;
    if (!trace.recording) return h.handler({ v, d, host: d.host, wide, args });
    const slot = trace.begin(TRACE_NAMES[number], d.domid, v.id, args, ARGUMENT_COUNT[h.name] ?? 2);
    const result = h.handler({ v, d, host: d.host, wide, args });
    trace.end(slot, result === NO_RESULT ? null : result);
    return result;
  }

  /** A PV guest's hypercall: RIP is already past the instruction. */
  fromPv(v: GuestVcpu): void {
    const { cpu } = v;
    const wide = !v.domain.is32;
    const args = wide
      ? [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9].map((r) => cpu.reg(r))
      : [Reg.RBX, Reg.RCX, Reg.RDX, Reg.RSI, Reg.RDI, Reg.RBP].map((r) => cpu.reg(r) & 0xffff_ffffn);
    this.finish(v, this.call(v, cpu.regLo(Reg.RAX), args, wide), wide);
  }

  /** An HVM guest's VMCALL: only its kernel may call. */
  fromHvm(v: GuestVcpu): void {
    const { cpu } = v;
    const wide = isLongMode(v);
    if (cpu.cpl !== 0) return this.finish(v, -Errno.EPERM, wide);
    const args = wide
      ? [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9].map((r) => cpu.reg(r))
      : [Reg.RBX, Reg.RCX, Reg.RDX, Reg.RSI, Reg.RDI, Reg.RBP].map((r) => cpu.reg(r) & 0xffff_ffffn);
    this.finish(v, this.call(v, cpu.regLo(Reg.RAX), args, wide), wide);
  }

  private finish(v: GuestVcpu, result: Result, wide: boolean): void {
    if (result === NO_RESULT) return;
    if (wide) v.cpu.setResult(result);
    else v.cpu.setReg32(Reg.RAX, result >>> 0);
  }
}
