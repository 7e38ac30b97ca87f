// What a debugger needs of a domain, the same for one under the hypervisor and for a bare machine.

import type { GuestVcpu } from '../../hypervisor/vcpu.ts';
import { Runstate } from '../../hypervisor/abi/constants.ts';
import type { HostMemory } from '../../machine/cpu/host-memory.ts';
import { F, Seg, SegAttr } from '../../machine/cpu/layout.ts';
import type { CodeBreakpoints } from '../../machine/cpu/system/code-breakpoints.ts';
import type { Vcpu } from '../../machine/cpu/vcpu.ts';
import type { Entry } from '../host-report.ts';
import type { NativeGuest } from '../native-guest.ts';
import type { PhysicalMemory } from './linear-memory.ts';
import { codeWidth } from './registers.ts';

export interface DebugVcpu {
  readonly machine: Vcpu;
  /** In words: running, runnable, blocked, offline. */
  readonly state: string;
  /** Such as `64-bit, ring 3 (guest kernel)`. */
  readonly mode: string;
  readonly instructions: number;
  /** DR0 to DR7 as the guest sees them, where that is not what the processor holds. */
  readonly debug: BigUint64Array | null;
}

export interface DebugTarget {
  readonly name: string;
  readonly paused: boolean;
  /** As they are now. */
  vcpus(): DebugVcpu[];
  readonly mem: HostMemory;
  /** What page tables mean by an address. */
  readonly table: PhysicalMemory;
  /** What the guest calls physical memory (pseudo-physical for PV). */
  readonly physical: PhysicalMemory;
  readonly breakpoints: CodeBreakpoints;
  /** The breakpoints have changed. */
  breakpointsChanged(): void;
  /** Runs one instruction; the virtual ns that it cost, or null when the vCPU waits for something. */
  step(vcpu: number): number | null;
}

const CR0_PE = 1;
const EFLAGS_VM = 0x2_0000;

/** Mode and privilege in words. @param part what runs there, when the ring does not say it */
function modeText(cpu: Vcpu, part: string): string {
  if ((cpu.get32(F.cr0) & CR0_PE) === 0) return 'real mode';
  if (cpu.rflags & EFLAGS_VM) return 'virtual 8086 mode, ring 3';
  const compatible = cpu.get32(F.efer) & 0x400 && !(cpu.get32(F.segAttr + Seg.CS * 4) & SegAttr.L);
  return `${codeWidth(cpu)}-bit${compatible ? ' (compatibility)' : ''}, ring ${cpu.cpl}${part ? ` (${part})` : ''}`;
}

const RUNSTATES: Record<number, string> = {
  [Runstate.Running]: 'running',
  [Runstate.Runnable]: 'runnable',
  [Runstate.Blocked]: 'blocked',
  [Runstate.Offline]: 'offline',
};

function partOf(v: GuestVcpu): string {
  if (v.domain.kind === 'pv64') return v.pv!.kernelMode64 ? 'guest kernel' : 'guest program';
  if (v.domain.kind === 'pv32') return v.machine.cpl === 1 ? 'guest kernel' : 'guest program';
  return '';
}

/** A domain under the hypervisor. */
export function domainTarget({ domain: d }: Entry): DebugTarget {
  const { host } = d;
  const paged = (translate: (page: number) => number): PhysicalMemory => {
    return (address) => {
      const page = translate(Math.floor(address / 4096));
      return page < 0 ? -1 : page * 4096 + (address % 4096);
    };
  };
  const own = (mfn: number): number => (host.frames.valid(mfn) ? mfn : -1);
  const pfnToMfn = (pfn: number): number => {
    for (let mfn = 0; mfn < host.frames.frames; mfn++)
      if (host.frames.owner[mfn] === d.domid && host.m2p.get(mfn) === pfn) return mfn;
    return -1;
  };
  const guest = d.hvm ? (page: number) => own(d.hvm!.p2m.get(page)) : null;
  return {
    name: d.name,
    paused: d.pauseCount > 0,
    vcpus: () =>
      d.vcpus.map((v) => ({
        machine: v.machine,
        state: !v.online ? 'offline' : v.blocked ? 'blocked' : (RUNSTATES[v.runstate] ?? 'runnable'),
        mode: modeText(v.machine, partOf(v)),
        instructions: v.instructions,
        debug: v.pv ? v.pv.debugRegs : null,
      })),
    mem: host.mem,
    table: paged(guest ?? own),
    physical: paged(guest ?? pfnToMfn),
    breakpoints: d.breakpoints,
    breakpointsChanged: () => host.breakpointsChanged(d),
    step: (vcpu) => host.step(d.vcpus[vcpu]!),
  };
}

/** A kernel on the bare machine. */
export function machineTarget(native: NativeGuest): DebugTarget {
  const { machine } = native;
  return {
    name: native.name,
    paused: native.paused,
    vcpus: () =>
      machine.vcpus.map((cpu, n) => ({
        machine: cpu,
        state: { running: 'running', halted: 'blocked', waiting: 'offline' }[machine.stateOf(n)],
        mode: modeText(cpu, ''),
        instructions: machine.instructionsOf(n),
        debug: null,
      })),
    mem: machine.memory,
    table: (address) => address,
    physical: (address) => address,
    breakpoints: native.breakpoints,
    breakpointsChanged: () => machine.core.setBreakpoints(native.breakpoints),
    step: (vcpu) => {
      const before = machine.now();
      return machine.step(vcpu) ? machine.now() - before : null;
    },
  };
}
