// The CPU core of a host: runs one vCPU at a time, for an exact number of instructions, in the manner of KVM_RUN.
// Invariant: an instruction counts exactly once when it retires (a long string operation once for each of its steps); with the same state
// and inputs the same instructions run, however the budget was cut.

import { EMPTY_BUS, type Bus } from './bus.ts';
import { readEflags, writeEflags } from './flag-functions.ts';
import type { HostMemory } from './host-memory.ts';
import { decodeTables, interpreterImage } from './interpreter.ts';
import { probe } from './probe.ts';
import { tableBase } from './decode-tables.ts';
import { writeHeads } from './decode-templates.ts';
import { writePrefixTables } from './decoder.ts';
import {
  Careful,
  Clock,
  F,
  MAX_VCPUS,
  Next,
  RunExit,
  STATE,
  STATE_BYTES,
  Seg,
  SegAttr,
  Shadow,
  Stall,
  VCPU_AREA,
  VCPU_STATE_BYTES,
  Waited,
} from './layout.ts';
import type { CodeBreakpoints } from './system/code-breakpoints.ts';
import { Dr6, instructionBreakpoints, mayCache, noteDebugException } from './system/debug-registers.ts';
import { Access, DEFAULT_CPUID, ExitCode, Delivery, createSystem, type System } from './system/index.ts';
import type { CpuidPolicy } from './system/index.ts';
import { Tlb } from './tlb.ts';
import { LONGEST_RUN, Tier, type Shared, type TierOptions } from './translator/tier.ts';
import { translateRegions } from './translator/translate.ts';
import { Vcpu } from './vcpu.ts';

/** Guest pages that NESTED_TLB can hold: 4 GiB of them. */
const NESTED_PAGES = 1 << 20;
const EFER_LMA = 0x400;
const EFLAGS_TF = 0x100;
const EFLAGS_IF = 0x200;
const EFLAGS_RF = 0x1_0000;
const DEBUG = 1;
const NMI = 2;

/** Why run() returned. `code` is an ExitCode; info0..3 as documented there. The object is reused by the next run. */
export interface Exit {
  code: number;
  info0: number;
  info1: number;
  info2: number;
  info3: number;
  /** Instructions retired in this run. */
  retired: number;
}

/** `interpreter`: nothing is translated. Default: BULKHEAD_TIER in the environment, else the translator. */
export interface CoreOptions {
  readonly tier?: 'interpreter' | 'translator';
  /** For tests: how eagerly. */
  readonly translator?: Partial<TierOptions>;
}

export class CpuCore {
  readonly mem: HostMemory;
  readonly tlb: Tlb;
  readonly system: System;
  /** The translating tier, or null if everything is interpreted. */
  readonly tier: Tier | null;
  bus: Bus;
  readonly vcpus: Vcpu[] = [];
  /** Second-level translation for vCPUs with F.nested != 0: (guest page, write) -> frame or -1. */
  nested: (gpaPage: number, write: boolean) => number = () => -1;
  cpuidPolicy: ((vcpu: Vcpu) => CpuidPolicy) | null = null;
  /** Cycles of the host's clock, which the TSC counts: set by who also lets time pass while nothing runs. Default: busyNow. */
  cycles: (() => number) | null = null;
  /** False: time does not simply go on by one with each instruction of a run, so that `cycles` is to be asked each time. */
  timeFollowsInstructions = true;
  #current: Vcpu | null = null;
  #run: Partial<Record<32 | 64, () => number>> = {};
  #shared: Partial<Record<32 | 64, Shared>> = {};
  /** Instructions generated code may run without returning. */
  readonly #longestRun: number;
  /** Enters the handler of an interrupt from outside in everyday cases; 0 = it did nothing. */
  #external: Partial<Record<32 | 64, (vector: number) => number>> = {};
  /** Instructions retired on this core before the current entry into generated code. */
  #retired = 0;
  /** Fuel given to generated code at the current entry. */
  #entryFuel = 0;
  /** Fuel taken away during it to make it return early. */
  #withheld = 0;
  /** Cycles that instructions had waited (`wait`) before the current entry. */
  #waited = 0;
  #returnRequested = false;
  /** #retired when an instruction last began an interrupt shadow: it lasts for exactly one more. */
  #shadowAt = 0;
  /** Exceptions delivered in this run since an instruction last retired: none where a budget ends. */
  #stalled = 0;
  /** INT n and its like clear TF before it could trap. */
  #softwareInterrupt = false;
  readonly #exit: Exit = { code: 0, info0: 0, info1: 0, info2: 0, info3: 0, retired: 0 };

  constructor(mem: HostMemory, bus: Bus = EMPTY_BUS, options: CoreOptions = {}) {
    this.mem = mem;
    const interpreted = (options.tier ?? process.env.BULKHEAD_TIER ?? 'translator') === 'interpreter';
    this.tier = interpreted
      ? null
      : new Tier(this, translateRegions, (mode) => this.#shared[mode]!, options.translator);
    this.#longestRun = interpreted ? 0x3fff_ffff : LONGEST_RUN;
    this.bus = bus;
    const self = this;
    const busProxy: Bus = {
      ioRead: (p, s) => self.bus.ioRead(p, s),
      ioWrite: (p, s, v) => self.bus.ioWrite(p, s, v),
      mmioRead: (a, s) => self.bus.mmioRead(a, s),
      mmioWrite: (a, s, v) => self.bus.mmioWrite(a, s, v),
      readMsr: (i, m) => self.bus.readMsr(i, m),
      writeMsr: (i, m, lo, hi) => self.bus.writeMsr(i, m, lo, hi),
      interruptPending: (i) => self.bus.interruptPending(i),
      acknowledgeInterrupt: (i) => self.bus.acknowledgeInterrupt(i),
    };
    this.tlb = new Tlb(mem, busProxy);
    this.system = createSystem({
      mem,
      bus: busProxy,
      readEflags: () => readEflags(mem.i32),
      writeEflags: (v, mask) => writeEflags(mem.i32, v, mask),
      flushTlb: (all) => this.tlb.flush(all),
      invlpg: (lo, hi) => this.tlb.invlpg(lo, hi),
      retiredNow: () => this.cycles?.() ?? this.busyNow(),
      nested: (page, write) => {
        const frame = this.nested(page, write);
        if (frame >= 0 && page < NESTED_PAGES) this.tlb.rememberNested(page, write, frame);
        return frame;
      },
      wait: (cycles) => this.wait(cycles),
      interruptsEnabled: () => this.#interruptsEnabled(),
      boundary: () => this.#withhold(0),
      cpuidPolicy: () => this.cpuidPolicy?.(this.#current!) ?? DEFAULT_CPUID,
    });
    this.tlb.attach(this.system);
    const tables = decodeTables();
    for (const mode of [32, 64] as const) mem.u8.set(tables.image[mode], tableBase(mode));
    writePrefixTables(mem.u8);
    writeHeads(mem.view);
  }

  #field(offset: number): number {
    return this.mem.i32[(STATE + offset) >> 2]!;
  }
  #setField(offset: number, v: number): void {
    this.mem.i32[(STATE + offset) >> 2] = v;
  }

  /** A new vCPU in power-on state. */
  createVcpu(): Vcpu {
    const free = Array.from({ length: MAX_VCPUS }, (_, n) => n).find((n) => !this.vcpus.some((v) => v.index === n));
    if (free === undefined) throw new RangeError(`A host has at most ${MAX_VCPUS} vCPUs.`);
    const v = new Vcpu(this.mem, free);
    v.onChanged = () => {
      if (v.base === STATE) this.system.recomputeMode();
    };
    this.vcpus.push(v);
    v.reset();
    return v;
  }
  /** Frees a vCPU's place. It must not be used afterwards. */
  destroyVcpu(v: Vcpu): void {
    if (this.#current === v) {
      this.tlb.flush(true);
      this.#current = null;
    }
    this.vcpus.splice(this.vcpus.indexOf(v), 1);
  }

  /** Makes a vCPU the one whose state is at STATE. */
  select(v: Vcpu): void {
    if (this.#current === v) return;
    const u8 = this.mem.u8;
    if (this.#current) {
      const home = VCPU_AREA + this.#current.index * VCPU_STATE_BYTES;
      u8.copyWithin(home, STATE, STATE + STATE_BYTES);
      this.#current.base = home;
    }
    u8.copyWithin(STATE, v.base, v.base + STATE_BYTES);
    v.base = STATE;
    this.#current = v;
    this.tlb.flush(true);
    this.system.recomputeMode();
  }

  /** Instructions retired on this core so far; exact also inside callbacks from generated code. */
  retiredNow(): number {
    return this.#retired + this.#entryFuel - this.#withheld - this.mem.u32[Waited.taken >> 2]! - this.#field(F.fuel);
  }

  /** Cycles of this core so far: one for each retired instruction, and those that instructions waited. Exact also inside callbacks. */
  busyNow(): number {
    return this.retiredNow() + this.#waited + this.mem.u32[Waited.cycles >> 2]!;
  }

  /**
   * For device accesses and PAUSE: lets the instruction that runs take that many cycles more. They come out of the run's budget; the run ends after this
   * instruction if they are more than what is left of it.
   */
  wait(cycles: number): void {
    const fuel = this.#field(F.fuel);
    const taken = Math.min(cycles, fuel);
    const { u32 } = this.mem;
    u32[Waited.cycles >> 2]! += cycles;
    u32[Waited.taken >> 2]! += taken;
    this.#setField(F.fuel, fuel - taken);
    // what generated code knows is when this run ends
    if (taken < cycles) this.#setClock();
  }
  /** Makes the running vCPU return to run() before its next instruction (for interrupts raised by device accesses). */
  requestExit(): void {
    this.#withhold(0);
  }
  /** Like requestExit, and run() returns with ExitCode.Requested at that boundary (the owner has something to do first). */
  requestReturn(): void {
    this.#returnRequested = true;
    this.#withhold(0);
  }
  #withhold(keep: number): void {
    const fuel = this.#field(F.fuel);
    if (fuel <= keep) return;
    this.#withheld += fuel - keep;
    this.#setField(F.fuel, keep);
    this.#setClock();
  }
  /** Lets generated code know the time. F.fuel is that of the entry it is in or about to begin. */
  #setClock(): void {
    const u32 = this.mem.u32;
    u32[Clock.counted >> 2] = this.timeFollowsInstructions ? 1 : 0;
    if (!this.timeFollowsInstructions) return;
    const end = (this.cycles?.() ?? this.busyNow()) + this.#field(F.fuel);
    u32[Clock.cycles >> 2] = end;
    u32[(Clock.cycles >> 2) + 1] = end / 0x1_0000_0000;
  }

  /** IF went from 0 to 1: if an interrupt waits, generated code returns when the shadow is over. */
  #interruptsEnabled(): void {
    if (this.bus.interruptPending(this.#current!.index)) this.#withhold(this.#field(F.shadow) === 0 ? 0 : 1);
  }

  /** Which of the interpreters runs the current code. */
  #width(): 32 | 64 {
    return (this.#field(F.mode) & 2) !== 0 ? 64 : 32;
  }

  #enter(mode: 32 | 64): number {
    let run = this.#run[mode];
    if (!run) {
      const image = interpreterImage(mode, this.tier !== null);
      const t = this.tlb;
      const env: Record<string, WebAssembly.ImportValue> = {
        memory: this.mem.memory,
        js_slow_read: (op: number, lo: number, hi: number, info: number) => t.slowRead(op, lo, hi, info),
        js_slow_write: (op: number, lo: number, hi: number, info: number) => t.slowWrite(op, lo, hi, info),
        js_slow_modify: (op: number, lo: number, hi: number, info: number) => t.slowModify(op, lo, hi, info),
        flush_bounce: () => t.flushBounce(),
        js_fetch_fill: (lo: number, hi: number) => t.fetchFill(lo, hi),
        new_code_page: (frame: number) => this.mem.code.newPage(frame),
        segment_full: (frame: number) => this.mem.code.segmentFull(frame),
        fetch_cross: () => t.fetchCross(),
        interrupts_enabled: () => this.#interruptsEnabled(),
        shadow_began: () => {
          this.#interruptsEnabled();
          this.#shadowAt = this.retiredNow();
        },
        place_hot: (record: number) => this.tier?.hot(record),
        place_left: (record: number) => this.tier?.left(record),
        code_page_written: (frame: number) => this.mem.code.written(frame),
        code_changed: (frame: number, offset: number) => this.mem.code.listener?.recordGone(frame, offset),
      };
      if (probe.dispatched) env.dispatched = probe.dispatched;
      for (const name of image.routines) {
        const routine = (this.system.routines as Record<string, (op: number) => number>)[name];
        if (!routine) throw new TypeError(`The instruction table names a system routine ${name} that does not exist.`);
        env[`sys_${name}`] = MAY_SET_TF.has(name)
          ? (op: number) => {
              const next = routine(op);
              if (this.#field(F.eflags) & EFLAGS_TF) this.#withhold(0);
              return next;
            }
          : MAY_SET_SHADOW.has(name)
            ? (op: number) => {
                const next = routine(op);
                if (this.#field(F.shadow) !== 0) this.#shadowAt = this.retiredNow();
                return next;
              }
            : SOFTWARE_INTERRUPTS.has(name)
              ? (op: number) => {
                  const next = routine(op);
                  if (next === Next.Jump) this.#softwareInterrupt = true;
                  return next;
                }
              : routine;
      }
      const instance = new WebAssembly.Instance(new WebAssembly.Module(image.bytes), { env });
      this.#run[mode] = run = instance.exports.run as () => number;
      this.#shared[mode] = {
        table: instance.exports.table as WebAssembly.Table,
        env: { ...env, ...(instance.exports as Record<string, WebAssembly.ImportValue>) },
      };
      this.#external[mode] = instance.exports.fast_external as (vector: number) => number;
    }
    return run();
  }

  /**
   * Runs a vCPU for at most `budget` cycles; fewer when it exits. A cycle is an instruction, or one that an instruction waits: only the last
   * instruction may wait for longer. Pending injections and interrupts are delivered first.
   */
  run(v: Vcpu, budget: number): Exit {
    this.select(v);
    const start = this.#retired;
    const end = this.busyNow() + budget;
    this.#shadowAt = start; // a shadow that a run left behind is still on
    this.#stalled = 0;
    const exit = this.#exit;
    const leave = (code: number, fromState: boolean): Exit => {
      exit.code = code;
      if (fromState) {
        exit.info0 = this.#field(F.exitInfo0) >>> 0;
        exit.info1 = this.#field(F.exitInfo1) >>> 0;
        exit.info2 = this.#field(F.exitInfo2) >>> 0;
        exit.info3 = this.#field(F.exitInfo3) >>> 0;
      }
      exit.retired = this.#retired - start;
      return exit;
    };
    const deliver = (
      vector: number,
      error: number | null,
      kind: 'fault' | 'trap' | 'external' | 'software' | 'nmi',
      length: number,
    ): Exit | null => {
      const result = this.system.deliver(vector, error !== null, error ?? 0, kind, length);
      if (result === Delivery.Done) return null;
      if (result === Delivery.Shutdown) return leave(ExitCode.Shutdown, true);
      return leave(this.#field(F.exit), true);
    };
    for (;;) {
      this.tier?.poll();
      if (v.injection) {
        const e = v.injection;
        v.injection = null;
        this.#setField(F.halted, 0);
        const out = deliver(e.vector, e.error, e.kind, e.length);
        if (out) return out;
      }
      const shadow = this.#field(F.shadow);
      // priorities: traps of the instruction before, NMI, interrupts, breakpoint on the next instruction (SDM vol. 3, table 6-2)
      if (this.#field(F.pendingDebug) !== 0 && shadow !== Shadow.MovSs) {
        const out = this.#debugException(deliver, leave);
        if (out) return out;
        continue;
      }
      if (this.#field(F.nmiPending) !== 0 && this.#field(F.nmiBlocked) === 0 && shadow === 0) {
        this.#setField(F.nmiPending, 0);
        this.#setField(F.nmiBlocked, 1);
        this.#setField(F.halted, 0);
        const out = deliver(NMI, null, 'nmi', 0);
        if (out) return out;
        continue;
      }
      const interruptible = shadow === 0 && (this.#field(F.eflags) & EFLAGS_IF) !== 0;
      if (interruptible && this.bus.interruptPending(v.index)) {
        const vector = this.bus.acknowledgeInterrupt(v.index);
        if (vector >= 0) {
          this.#setField(F.halted, 0);
          if (this.#external[this.#width()]?.(vector)) {
            this.system.unfinished.valid = false;
            continue;
          }
          const out = deliver(vector, null, 'external', 0);
          if (out) return out;
          continue;
        }
      }
      if (this.#field(F.halted) !== 0) return leave(ExitCode.Halt, false);
      if (this.#returnRequested) {
        this.#returnRequested = false;
        return leave(ExitCode.Requested, false);
      }
      const left = end - this.busyNow();
      if (left <= 0) return leave(ExitCode.Budget, false);
      const step = (this.#field(F.eflags) & EFLAGS_TF) !== 0;
      let single = shadow !== 0 || step;
      this.tlb.stepping = false;
      let passing = false;
      if ((this.#field(F.careful) & Careful.Debugger) !== 0) {
        const at = this.#nextInstruction();
        const { breakpoints } = this.system.state;
        if (breakpoints?.inPage(at.lo, at.hi)) {
          if (breakpoints.has(at.lo, at.hi)) {
            const address = (BigInt.asUintN(32, BigInt(at.hi)) << 32n) | BigInt(at.lo);
            if (v.stoppedAt !== address) {
              v.stoppedAt = address;
              return leave(ExitCode.Breakpoint, false);
            }
            passing = true;
          }
          this.tlb.stepping = single = true;
        }
      }
      if ((this.#field(F.careful) & Careful.Code) !== 0) {
        const resume = (this.#field(F.eflags) & EFLAGS_RF) !== 0;
        const hits = this.#breakpointsHere();
        if (hits > 0 && !resume && shadow !== Shadow.MovSs) {
          this.#setField(F.pendingDebug, hits);
          const out = this.#debugException(deliver, leave);
          if (out) return out;
          this.#noteStall();
          continue;
        }
        this.tlb.stepping ||= hits >= 0;
        single ||= resume || hits >= 0;
        this.#setField(F.eflags, this.#field(F.eflags) & ~EFLAGS_RF);
      }
      const fuel = single ? 1 : Math.min(left, this.#longestRun);
      this.#softwareInterrupt = false;
      this.#entryFuel = fuel;
      this.#withheld = 0;
      this.#setField(F.fuel, fuel);
      this.#setClock();
      const u32 = this.mem.u32;
      u32[Stall.fuel >> 2] = fuel;
      u32[Stall.count >> 2] = this.#stalled;
      const reason = this.#enter(this.#width());
      this.#stalled = u32[Stall.fuel >> 2] === this.#field(F.fuel) ? u32[Stall.count >> 2]! : 0;
      const done = fuel - this.#withheld - u32[Waited.taken >> 2]! - this.#field(F.fuel);
      this.#waited += u32[Waited.cycles >> 2]!;
      u32[Waited.cycles >> 2] = u32[Waited.taken >> 2] = 0;
      this.#retired += done;
      this.#entryFuel = this.#withheld = 0;
      this.#setField(F.fuel, 0);
      if (passing && done > 0) v.stoppedAt = null;
      if (this.#retired > this.#shadowAt) this.#setField(F.shadow, 0);
      if (step && done > 0 && !this.#softwareInterrupt && this.#field(F.shadow) !== Shadow.MovSs)
        this.#setField(F.pendingDebug, this.#field(F.pendingDebug) | Dr6.BS);
      switch (reason) {
        case RunExit.Budget:
        case RunExit.Mode:
          break;
        case RunExit.Fault: {
          const vector = this.#field(F.faultVector);
          if (this.tlb.stepWanted) {
            this.tlb.stepWanted = false;
            break;
          }
          // what an instruction touched that then faulted traps when it is done again
          this.#setField(F.pendingDebug, 0);
          // No exception is pending when the access left instead, for want of a second-level translation
          if (vector < 0) return leave(this.#field(F.exit), true);
          const error = this.#field(F.faultHasError) ? this.#field(F.faultError) : null;
          this.#setField(F.faultVector, -1);
          const out = this.#exception(v, vector, error, 'fault', deliver, leave);
          if (out) return out;
          this.#noteStall();
          break;
        }
        case RunExit.Intercept: {
          const code = this.#field(F.exit);
          if (code === ExitCode.Halt && this.#field(F.exitInfo0) === 0) break; // see what wakes it
          return leave(code, true);
        }
        default:
          throw new Error(`Generated code returned ${reason}.`);
      }
    }
  }

  /** Handlers that fault at once, over and over: time goes on, or this would never end (hardware takes interrupts in between). */
  #noteStall(): void {
    if (++this.#stalled < Stall.limit) return;
    this.#stalled = 0;
    this.#retired++;
  }

  /** B0 to B3 for the next instruction; -1 if no breakpoint is in its page. */
  #breakpointsHere(): number {
    const { state } = this.system;
    const { lo, hi } = this.#nextInstruction();
    if (mayCache(state, lo, hi, Access.Exec, false)) return -1;
    return instructionBreakpoints(state, lo, hi);
  }

  /** Linear address of the next instruction: low half unsigned, high half signed. */
  #nextInstruction(): { lo: number; hi: number } {
    const { state } = this.system;
    const rip = state.rip + (state.in64 ? 0 : state.base(Seg.CS));
    return { lo: rip >>> 0, hi: state.in64 ? Math.floor(rip / 0x1_0000_0000) : 0 };
  }

  /** Linear address of a vCPU's next instruction, whether it is selected or not. */
  linearRip(v: Vcpu): bigint {
    const wide = (v.get32(F.efer) & EFER_LMA) !== 0 && (v.segment(Seg.CS).attr & SegAttr.L) !== 0;
    return wide ? v.rip : BigInt.asUintN(32, v.rip + v.segment(Seg.CS).base);
  }

  /**
   * Sets a debugger's breakpoints for what runs from now on: run() returns with ExitCode.Breakpoint before an instruction that has one. The
   * same set again means that it changed. Null = none.
   */
  setBreakpoints(breakpoints: CodeBreakpoints | null): void {
    const set = breakpoints?.size ? breakpoints : null;
    if (set === null && this.system.state.breakpoints === null) return;
    this.system.state.breakpoints = set;
    this.system.recomputeMode();
    this.tlb.flush(true);
  }

  /** Delivers the #DB that F.pendingDebug stands for; DR6 says why. */
  #debugException(
    deliver: (vector: number, error: number | null, kind: 'fault' | 'trap', length: number) => Exit | null,
    leave: (code: number, fromState: boolean) => Exit,
  ): Exit | null {
    noteDebugException(this.system.state, this.#field(F.pendingDebug));
    this.#setField(F.pendingDebug, 0);
    this.#setField(F.halted, 0);
    return this.#exception(this.#current!, DEBUG, null, 'trap', deliver, leave);
  }

  #exception(
    v: Vcpu,
    vector: number,
    error: number | null,
    kind: 'fault' | 'trap',
    deliver: (vector: number, error: number | null, kind: 'fault' | 'trap', length: number) => Exit | null,
    leave: (code: number, fromState: boolean) => Exit,
  ): Exit | null {
    void v;
    if ((this.#field(F.interceptExceptions) >>> vector) & 1) {
      this.#setField(F.exitInfo0, vector);
      this.#setField(F.exitInfo1, error ?? 0);
      this.#setField(F.exitInfo2, error === null ? 0 : 1);
      this.#setField(F.exitInfo3, 0);
      return leave(ExitCode.Exception, true);
    }
    return deliver(vector, error, kind, 0);
  }

  /** Machine address of a linear address as the selected vCPU sees it (A/D bits are set as by hardware), or -1; then walk.errorCode says why. */
  translate(lo: number, hi: number, access: number, user: boolean): number {
    return this.system.pageWalk(lo, hi, access, user) ? this.system.walk.frame * 4096 + (lo & 0xfff) : -1;
  }
}
const MAY_SET_TF = new Set(['popf', 'iret', 'sysret', 'sysexit']);
const SOFTWARE_INTERRUPTS = new Set(['int_n', 'int3', 'into', 'int1']);
const MAY_SET_SHADOW = new Set(['sti', 'mov_to_sreg', 'pop_sreg']);
