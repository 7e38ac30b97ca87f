// The system side of the CPU: what generated code and the run loop call.

import { GuestAccess } from './access.ts';
import type { SystemContext } from './context.ts';
import { controlRegisterRoutines, writeCr0, writeCr3, writeCr4 } from './control-registers.ts';
import { createDelivery } from './deliver.ts';
import type { EventKind, EventRecord } from './deliver.ts';
import { descriptorTableRoutines } from './descriptor-tables.ts';
import { FAULT, LEAVE } from './fault.ts';
import { flagRoutines } from './flag-routines.ts';
import { fpuRoutines } from '../fpu/index.ts';
import { identificationRoutines } from './identification.ts';
import { iretRoutines } from './iret.ts';
import { F, Next } from '../layout.ts';
import { msrRoutines, readMsr, writeMsr } from './msr.ts';
import type { MsrValue } from './msr.ts';
import { PageWalker } from './paging.ts';
import { modeChanged } from './parts.ts';
import type { Routine, SystemParts } from './parts.ts';
import { portRoutines } from './port-io.ts';
import { ROUTINE_NAMES } from './routine-names.ts';
import type { RoutineName } from './routine-names.ts';
import { segmentRoutines } from './segments.ts';
import { softwareInterruptRoutines } from './software-interrupts.ts';
import { CpuState } from './state.ts';
import { systemCallRoutines } from './system-calls.ts';
import { transferRoutines } from './transfer.ts';

export interface System {
  /** By name: given an operation record's address, do the instruction and return a value of Next. They never throw. */
  readonly routines: Record<RoutineName, Routine>;
  readonly state: CpuState;
  /** Guest memory for TypeScript. Its methods throw FAULT or LEAVE: call them inside guard(). */
  readonly access: GuestAccess;
  /** The result of the last pageWalk(). */
  readonly walk: PageWalker;
  /**
   * Delivers an event through the guest's own tables, double fault and shutdown included.
   * F.rip is the faulting instruction, or for a trap or interrupt the next one to run; software events give their length.
   * Returns a value of Delivery; only Shutdown is falsy.
   */
  deliver(vector: number, hasError: boolean, error: number, kind: EventKind, instructionLength: number): number;
  /** The event that an exit during deliver() left undone. */
  readonly unfinished: EventRecord;
  /** Walks the page tables for a canonical linear address; results in `walk`. 1 = mapped, 0 = fault. */
  pageWalk(lo: number, hi: number, access: number, user: boolean): number;
  updateTlbSelect(): void;
  /** After CPL, CR0, EFER, EFLAGS.VM or a segment changed. True if the mode key changed. */
  recomputeMode(): boolean;
  /** Runs TypeScript that may raise: Next.Fault or Next.ExitBefore if it did, else what it returned (nothing = Next.Sequential). */
  guard(body: () => number | void): number;
  /** Control and model-specific registers for those who hold the vCPU: same checks as the instructions. */
  readMsr(msr: number): MsrValue | null;
  writeMsr(msr: number, lo: number, hi: number): boolean;
  /** True if the value is allowed and now in force; false where the instruction would raise #GP(0). */
  writeControlRegister(number: 0 | 3 | 4, lo: number, hi: number): boolean;
}

/** Turns raising and leaving into values of Next. */
function guarded(body: Routine): Routine {
  return (op) => {
    try {
      return body(op);
    } catch (caught) {
      if (caught === FAULT) return Next.Fault;
      if (caught === LEAVE) return Next.ExitBefore;
      throw caught;
    }
  };
}

export function createSystem(ctx: SystemContext): System {
  const state = new CpuState(ctx.mem);
  const walker = new PageWalker(ctx, state);
  const access = new GuestAccess(ctx, state, walker);
  const parts: SystemParts = { ctx, state, walker, access };
  const bodies: Partial<Record<RoutineName, Routine>> = {
    ...softwareInterruptRoutines(parts),
    ...iretRoutines(parts),
    ...transferRoutines(parts),
    ...segmentRoutines(parts),
    ...descriptorTableRoutines(parts),
    ...controlRegisterRoutines(parts),
    ...msrRoutines(parts),
    ...identificationRoutines(parts),
    ...portRoutines(parts),
    ...flagRoutines(parts),
    ...systemCallRoutines(parts),
    ...fpuRoutines(parts),
  };
  const routines = Object.fromEntries(
    ROUTINE_NAMES.map((name) => {
      const body = bodies[name];
      if (body === undefined) throw new TypeError(`No system routine is called ${name}.`);
      return [name, guarded(body)];
    }),
  ) as Record<RoutineName, Routine>;
  const unfinished: EventRecord = {
    valid: false,
    vector: 0,
    hasError: false,
    error: 0,
    kind: 'fault',
    instructionLength: 0,
  };

  const guard = (body: () => number | void): number => guarded(() => body() ?? Next.Sequential)(0);

  return {
    routines,
    state,
    access,
    walk: walker,
    deliver: createDelivery(parts, unfinished),
    unfinished,
    pageWalk: (lo, hi, kind, user) => (walker.walk(lo, hi, kind, user) ? 1 : 0),
    updateTlbSelect: () => state.updateTlbSelect(),
    recomputeMode: () => modeChanged(parts),
    guard,
    readMsr: (msr) => readMsr(parts, msr),
    writeMsr: (msr, lo, hi) => writeMsr(parts, msr, lo, hi),
    writeControlRegister(number, lo, hi) {
      const write = number === 0 ? writeCr0 : number === 3 ? writeCr3 : writeCr4;
      const allowed = guard(() => {
        write(parts, lo, hi);
        return Next.Sequential;
      });
      if (allowed === Next.Sequential) return true;
      state.set32(F.faultVector, 0xffff_ffff);
      return false;
    },
  };
}

export { Delivery } from './deliver.ts';
export type { EventKind, EventRecord } from './deliver.ts';
export type { SystemBus, SystemContext, SystemMemory } from './context.ts';
export { ExitCode } from './exit.ts';
export { Access } from './paging.ts';
export { ROUTINE_NAMES } from './routine-names.ts';
export type { RoutineName } from './routine-names.ts';
export { DEFAULT_CPUID } from './cpuid-policy.ts';
export type { CpuidPolicy } from './cpuid-policy.ts';
