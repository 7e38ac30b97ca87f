// One host under the hypervisor: its machine memory, domains, pCPUs, and the loop that runs them on virtual time.
//
// The loop is deterministic. Time is cut into rounds that end at the next timer, or earlier when several pCPUs are busy,
// so that one pCPU never gets far ahead of another. Within a round every pCPU runs in order; a timer that is set for
// earlier than the round's end shortens the round.

import { EventQueue, type ScheduledEvent } from '../machine/clock.ts';
import { CpuCore, type Exit } from '../machine/cpu/core.ts';
import type { HostMemory } from '../machine/cpu/host-memory.ts';
import type { CodeBreakpoints } from '../machine/cpu/system/code-breakpoints.ts';
import { ExitCode } from '../machine/cpu/system/exit.ts';
import { DOMID_CONTROL, DOMID_FIRST_RESERVED, DOMID_SELF, PAGE_SIZE, Runstate } from './abi/constants.ts';
import { COST } from './costs.ts';
import { Domain, type DomainKind } from './domain.ts';
import { FrameFlag, FrameTable } from './memory/frame-table.ts';
import { M2p } from './memory/m2p.ts';
import { MAX_VCPUS } from '../machine/cpu/layout.ts';
import { PageTypes } from './memory/page-types.ts';
import { GuestBus } from './guest-bus.ts';
import { HvmDomain } from './hvm/hvm-domain.ts';
import { handleHvmExit, prepareHvm } from './hvm/exits.ts';
import { handlePvExit, preparePv } from './pv/exits.ts';
import { PvDomain } from './pv/pv-domain.ts';
import { Credit } from './scheduling/credit.ts';
import type { Scheduler } from './scheduling/scheduler.ts';
import { SLICE_ENDS, SliceLog } from './scheduling/slices.ts';
import { HypercallTable } from './hypercalls/table.ts';
import { refreshTimeInfo } from './time/pv-clock.ts';
import { Trace, traceName } from './trace.ts';
import { GuestVcpu } from './vcpu.ts';

export interface HostOptions {
  mem: HostMemory;
  pcpus: number;
  clockMHz: number;
  scheduler?: Scheduler;
  /** Unix time in nanoseconds at system time zero. */
  wallClockBaseNs: bigint;
}

export interface Pcpu {
  readonly index: number;
  /** Cycles of this pCPU's clock: its time. */
  cycles: number;
  idleCycles: number;
  /** Cycles by domid since the report was last taken. */
  busy: Map<number, number>;
  current: GuestVcpu | null;
  /** Cycle at which the current slice ends, and at which it began. */
  sliceEnd: number;
  sliceStart: number;
}

/** Longest a pCPU may run ahead of the others, in ns, while several are busy. */
const QUANTUM_NS = 50_000;

const TRACE = {
  attach: traceName('schedule', 'runs', ['pcpu', 'slice ns']),
  detach: SLICE_ENDS.map((end) => traceName('schedule', `stops: ${end}`, ['pcpu'])),
} as const;
const END = Object.fromEntries(SLICE_ENDS.map((end, n) => [end, n])) as Record<(typeof SLICE_ENDS)[number], number>;

export class Host {
  readonly mem: HostMemory;
  readonly core: CpuCore;
  readonly bus: GuestBus;
  readonly frames: FrameTable;
  readonly types: PageTypes;
  readonly m2p: M2p;
  readonly clockMHz: number;
  readonly scheduler: Scheduler;
  readonly pcpus: Pcpu[] = [];
  readonly domains = new Map<number, Domain>();
  readonly control: Domain;
  /** Domids of dead domains of which others still map pages: not given to anyone again. */
  private readonly lingering = new Set<number>();
  readonly hypercalls = new HypercallTable();
  readonly wallClockBaseNs: bigint;
  readonly trace = new Trace(() => this.now());
  readonly slices = new SliceLog();
  private readonly queue = new EventQueue();
  /** The vCPU whose state is in the core. */
  loaded: GuestVcpu | null = null;
  /** The breakpoints that are set in the core now. */
  private armed: CodeBreakpoints | null = null;
  private running: Pcpu | null = null;
  /** CpuCore.busyNow when the core was entered. */
  private runStart = 0;
  private inCore = false;
  private timeNs = 0;
  private roundEndNs = 0;
  private reschedule = false;
  private nextDomid = 1;

  constructor(options: HostOptions) {
    this.mem = options.mem;
    this.clockMHz = options.clockMHz;
    this.wallClockBaseNs = options.wallClockBaseNs;
    this.bus = new GuestBus(this);
    this.core = new CpuCore(this.mem, this.bus);
    this.core.cycles = () => this.nowCycles();
    this.core.nested = (page, write) => this.loaded!.domain.hvm!.translate(page, write);
    const m2pFrames = M2p.framesNeeded(this.mem.ramBytes / PAGE_SIZE);
    this.frames = new FrameTable(this.mem, m2pFrames);
    this.types = new PageTypes(this.frames, (domid) => this.domains.get(domid));
    this.m2p = new M2p(this.frames);
    this.scheduler = options.scheduler ?? new Credit(options.pcpus);
    for (let index = 0; index < options.pcpus; index++)
      this.pcpus.push({ index, cycles: 0, idleCycles: 0, busy: new Map(), current: null, sliceEnd: 0, sliceStart: 0 });
    this.control = new Domain(this, DOMID_CONTROL, 'control', 'Domain-0', new Uint8Array(16));
    this.control.pauseCount = 0;
    this.domains.set(DOMID_CONTROL, this.control);
  }

  // ---- time

  /** Cycles of the pCPU that runs now, exact inside callbacks; between runs, those of the host's time. */
  nowCycles(): number {
    const p = this.running;
    if (!p) return Math.floor((this.timeNs * this.clockMHz) / 1000);
    return this.inCore ? p.cycles + (this.core.busyNow() - this.runStart) : p.cycles;
  }

  /** Virtual nanoseconds since the host started. */
  now(): number {
    return this.running ? this.cyclesToNs(this.nowCycles()) : this.timeNs;
  }

  cyclesToNs(cycles: number): number {
    return Math.floor((cycles * 1000) / this.clockMHz);
  }
  nsToCycles(ns: number): number {
    return Math.ceil((ns * this.clockMHz) / 1000);
  }

  schedule(at: number, callback: () => void): ScheduledEvent {
    if (at < this.roundEndNs) {
      this.roundEndNs = Math.max(at, this.now());
      if (this.inCore) this.core.requestReturn();
    }
    return this.queue.schedule(at, callback);
  }

  cancel(event: ScheduledEvent): void {
    this.queue.cancel(event);
  }

  // ---- domains

  domain(domid: number): Domain | undefined {
    return this.domains.get(domid);
  }

  /** The domain a caller names: itself, or another by number. */
  lookup(caller: Domain, domid: number): Domain | undefined {
    return domid === DOMID_SELF || domid === caller.domid ? caller : this.domains.get(domid);
  }

  /** An empty, paused domain without memory or vCPUs. Domids count up and are not reused until they wrap. */
  createDomain(kind: DomainKind, name: string, uuid: Uint8Array): Domain | null {
    for (let tries = 0; tries < DOMID_FIRST_RESERVED; tries++) {
      const domid = this.nextDomid;
      this.nextDomid = domid + 1 >= DOMID_FIRST_RESERVED ? 1 : domid + 1;
      if (this.domains.has(domid) || this.lingering.has(domid)) continue;
      const d = new Domain(this, domid, kind, name, uuid);
      d.wallClockBaseNs = this.wallClockBaseNs;
      d.sharedInfoMfn = this.frames.allocateShared(domid);
      if (d.sharedInfoMfn < 0) return null;
      this.domains.set(domid, d);
      if (d.isPv) d.pv = new PvDomain(d);
      else d.hvm = new HvmDomain(d);
      return d;
    }
    return null;
  }

  /** How many more vCPUs the machine has room for. */
  get freeVcpus(): number {
    return MAX_VCPUS - this.core.vcpus.length;
  }

  /** Adds a vCPU in its power-on state, offline. Null when the machine has no room for one more. */
  addVcpu(d: Domain): GuestVcpu | null {
    if (this.freeVcpus <= 0) return null;
    const machine = this.core.createVcpu();
    const v = new GuestVcpu(d, d.vcpus.length, machine);
    d.vcpus.push(v);
    if (d.pv) d.pv.addVcpu(v);
    else d.hvm?.addVcpu(v);
    this.scheduler.add(v);
    return v;
  }

  /** Ends a domain: everything it holds goes back. */
  destroyDomain(d: Domain): void {
    d.dying = true;
    d.pauseCount++;
    for (const v of d.vcpus) {
      v.stopTimers();
      v.sleep();
      this.scheduler.remove(v);
      for (const p of this.pcpus) if (p.current === v) this.detach(p);
      if (this.loaded === v) this.loaded = null;
    }
    for (const timer of d.watchdogs) if (timer) this.cancel(timer);
    d.watchdogs.fill(null);
    d.logDirty.stop();
    d.events.reset();
    d.grants.release();
    if (d.pv) d.pv.release();
    for (const v of d.vcpus) {
      // VCPUOP_register_vcpu_info holds a writable reference to its frame
      if (v.infoRegistered) this.types.putPageAndType(v.infoMfn);
      this.core.destroyVcpu(v.machine);
    }
    const f = this.frames;
    // Pins first: then the tables unwind by themselves and every frame loses its last type reference.
    for (let mfn = 0; mfn < f.frames; mfn++)
      if (f.owner[mfn] === d.domid && f.flags[mfn] & FrameFlag.Pinned) {
        f.flags[mfn] &= ~FrameFlag.Pinned;
        this.types.putPageAndType(mfn);
      }
    for (let mfn = 0; mfn < f.frames; mfn++)
      if (f.owner[mfn] === d.domid) {
        f.release(mfn);
        // A page that another domain maps through a grant goes when that mapping does.
        if (f.owner[mfn] === d.domid) this.lingering.add(d.domid);
      }
    this.domains.delete(d.domid);
  }

  // ---- the loop

  /** True when some vCPU runs or waits to run. */
  private get busy(): number {
    let n = 0;
    for (const d of this.domains.values()) if (d.runnable) for (const v of d.vcpus) if (v.runnable) n++;
    return n;
  }

  /** Some vCPU runs or could run. */
  get busyNow(): boolean {
    return this.busy > 0;
  }

  /**
   * Runs until virtual time `untilNs`.
   * @returns the time reached, and the time of the next thing that will happen if every pCPU is idle (else `now`)
   */
  advance(untilNs: number): { now: number; idleUntil: number } {
    while (this.timeNs < untilNs) {
      this.fireTimers();
      const busy = this.busy;
      let end = Math.min(untilNs, this.queue.nextTime());
      if (busy === 0) {
        this.idleTo(end);
        continue;
      }
      if (busy > 1 && this.pcpus.length > 1) end = Math.min(end, this.timeNs + QUANTUM_NS);
      this.roundEndNs = Math.max(end, this.timeNs + 1);
      for (const p of this.pcpus) this.runPcpu(p);
      this.timeNs = Math.max(this.timeNs + 1, this.roundEndNs);
      this.roundEndNs = 0;
    }
    this.fireTimers();
    return { now: this.timeNs, idleUntil: this.busy > 0 ? this.timeNs : this.queue.nextTime() };
  }

  private fireTimers(): void {
    for (;;) {
      const due = this.queue.takeDue(this.timeNs);
      if (!due) return;
      due.callback();
    }
  }

  private idleTo(ns: number): void {
    this.timeNs = Math.max(ns, this.timeNs);
    const cycles = this.nsToCycles(this.timeNs);
    for (const p of this.pcpus)
      if (p.cycles < cycles) {
        p.idleCycles += cycles - p.cycles;
        p.cycles = cycles;
      }
  }

  private runPcpu(p: Pcpu): void {
    this.running = p;
    for (;;) {
      const end = this.nsToCycles(this.roundEndNs);
      if (p.cycles >= end) break;
      const v = p.current;
      if (v && (!v.runnable || p.cycles >= p.sliceEnd || this.scheduler.shouldPreempt(p.index, v))) this.detach(p);
      if (!p.current && !this.attach(p)) {
        p.idleCycles += end - p.cycles;
        p.cycles = end;
        break;
      }
      this.runVcpu(p, p.current!, Math.min(end, p.sliceEnd));
      if (this.reschedule) {
        this.reschedule = false;
        if (p.current) this.detach(p, true);
      }
    }
    this.running = null;
  }

  private attach(p: Pcpu): boolean {
    const decision = this.scheduler.pick(p.index, this.now());
    if (!decision) return false;
    const v = decision.vcpu;
    p.current = v;
    p.sliceStart = p.cycles;
    p.sliceEnd = p.cycles + this.nsToCycles(decision.sliceNs);
    v.runningOn = p.index;
    v.lastPcpu = p.index;
    v.setRunstate(Runstate.Running);
    if (this.trace.recording)
      this.trace.add(TRACE.attach, v.domain.domid, v.id, p.index, Math.min(decision.sliceNs, 0xffff_ffff));
    return true;
  }

  private detach(p: Pcpu, yielded = false): void {
    const v = p.current!;
    this.noteSlice(p, v, yielded);
    p.current = null;
    v.runningOn = -1;
    v.setRunstate(v.runnable ? Runstate.Runnable : v.online ? Runstate.Blocked : Runstate.Offline);
    this.scheduler.returned(v, p.index, this.cyclesToNs(p.cycles - p.sliceStart), this.now());
  }

  private noteSlice(p: Pcpu, v: GuestVcpu, yielded: boolean): void {
    const { domid } = v.domain;
    const ended = !v.domain.runnable
      ? END.paused
      : !v.runnable
        ? END.blocked
        : yielded
          ? END.yielded
          : p.cycles >= p.sliceEnd
            ? END.slice
            : END.preempted;
    const from = this.cyclesToNs(p.sliceStart);
    const to = this.cyclesToNs(p.cycles);
    if (to > from) this.slices.add(p.index, domid, v.id, from, to, ended);
    if (this.trace.recording)
      this.trace.add(TRACE.detach[ended]!, domid, v.id, p.index, -1, -1, Math.min(to, this.now()) - from);
  }

  /** The running vCPU gives up its pCPU when the current exit has been handled. */
  yieldCurrent(): void {
    this.reschedule = true;
  }

  private runVcpu(p: Pcpu, v: GuestVcpu, until: number): void {
    this.load(v);
    const d = v.domain;
    while (p.cycles < until && v.runnable && !this.reschedule) {
      refreshTimeInfo(v);
      if (d.pv) preparePv(v);
      else prepareHvm(v);
      if (!v.runnable) return;
      this.flushIfNeeded();
      const exit = this.inner(() => this.core.run(v.machine, Math.min(until - p.cycles, 1_000_000)));
      if (exit.code === ExitCode.Breakpoint) this.stopAtBreakpoint(v);
      else if (d.pv) handlePvExit(v, exit);
      else handleHvmExit(v, exit);
      until = Math.min(until, this.nsToCycles(this.roundEndNs));
    }
  }

  private load(v: GuestVcpu): void {
    if (this.loaded !== v) {
      this.core.select(v.machine);
      this.loaded = v;
    }
    const wanted = v.domain.breakpoints.size > 0 ? v.domain.breakpoints : null;
    if (this.armed === wanted) return;
    this.armed = wanted;
    this.core.setBreakpoints(wanted);
  }

  // ---- for a debugger

  private stopAtBreakpoint(v: GuestVcpu): void {
    const d = v.domain;
    d.breakpointHit = { vcpu: v.id, address: v.machine.stoppedAt! };
    d.pause();
    d.onBreakpoint?.(d);
  }

  /** A domain's breakpoints have changed: the core is told before it runs again. */
  breakpointsChanged(d: Domain): void {
    if (this.armed !== d.breakpoints) return;
    this.armed = null;
    this.core.setBreakpoints(null);
  }

  /**
   * Runs one instruction of a paused domain's vCPU at the host's present time, as if on the pCPU it last ran on. Time itself goes on when the
   * host is advanced next: the price is counted on the vCPU.
   * @returns virtual ns that it cost, or null when the vCPU is offline or waits for an event
   */
  step(v: GuestVcpu): number | null {
    if (!v.online || v.blocked || v.domain.shutdownReason !== null || v.domain.dying) return null;
    const cycles = this.nsToCycles(this.timeNs);
    const p: Pcpu = {
      index: v.lastPcpu,
      cycles,
      idleCycles: 0,
      busy: new Map(),
      current: v,
      sliceEnd: cycles,
      sliceStart: cycles,
    };
    this.running = p;
    try {
      this.load(v);
      v.setRunstate(Runstate.Running);
      refreshTimeInfo(v);
      if (v.domain.pv) preparePv(v);
      else prepareHvm(v);
      this.flushIfNeeded();
      const before = v.instructions;
      const { stoppedAt } = v.machine;
      v.machine.stoppedAt = this.core.linearRip(v.machine);
      const exit = this.inner(() => this.core.run(v.machine, 1));
      if (v.instructions > before) v.machine.stoppedAt = null;
      else v.machine.stoppedAt = stoppedAt;
      if (v.domain.pv) handlePvExit(v, exit);
      else handleHvmExit(v, exit);
      v.setRunstate(v.blocked ? Runstate.Blocked : Runstate.Runnable);
    } finally {
      this.running = null;
      this.reschedule = false;
    }
    return this.cyclesToNs(p.cycles) - this.cyclesToNs(cycles);
  }

  /** Runs the loaded vCPU in the core and accounts for what it did. */
  inner(run: () => Exit): Exit {
    this.core.system.recomputeMode();
    this.runStart = this.core.busyNow();
    const logged = this.mem.loggedWrites;
    this.inCore = true;
    const exit = run();
    this.inCore = false;
    const ran = this.core.busyNow() - this.runStart + (this.mem.loggedWrites - logged) * COST.logDirtyWrite;
    const p = this.running;
    if (p) {
      p.cycles += ran;
      const { domid } = this.loaded!.domain;
      p.busy.set(domid, (p.busy.get(domid) ?? 0) + ran);
    }
    this.loaded!.instructions += exit.retired;
    return exit;
  }

  flushIfNeeded(): void {
    if (this.frames.flushNeeded) {
      this.frames.flushNeeded = false;
      this.core.tlb.flush(true);
    }
  }

  /** Adds the price of work done for a guest to the running pCPU's clock. */
  charge(cycles: number): void {
    if (this.running) this.running.cycles += cycles;
  }
}
