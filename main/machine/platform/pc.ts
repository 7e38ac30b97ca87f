// A bare PC: processors, memory and board under one virtual clock, running one kernel.
// Invariant: what happens depends only on the construction, the kernel's bytes, the inputs with their virtual times and, with
// several processors, the times that runUntil() is called with (they bound the turns processors take).
//
// Every processor has its own position on the clock, in cycles, and they take turns in slices that end at the next event.
// One cycle is one instruction. While a processor runs, time is its own position, so that device accesses see exact time.
import { EventQueue, type DeviceClock, type ScheduledEvent, nsAtTick, ticksAt } from '../clock.ts';
import type { BootMemory, BootState } from '../boot/boot-state.ts';
import { loadKernel } from '../boot/load.ts';
import type { Bus } from '../cpu/bus.ts';
import { CpuCore, type CoreOptions } from '../cpu/core.ts';
import { HostMemory } from '../cpu/host-memory.ts';
import { PAGE, PAGE_FLAGS, PageFlag } from '../cpu/layout.ts';
import { ExitCode } from '../cpu/system/index.ts';
import type { Vcpu } from '../cpu/vcpu.ts';
import { DeviceStateError, requireVersion } from '../devices/contract.ts';
import { VGA_WINDOW, VGA_WINDOW_BYTES } from '../devices/vga-text/registers.ts';
import { buildAcpiTables } from './acpi-tables.ts';
import { Board } from './board.ts';
import { enterKernel, enterStartup } from './enter.ts';
import { PhysicalAddress, pcMemoryMap } from './memory-map.ts';
import { type PcState, restoreMemory, saveMemory } from './state.ts';

export interface PcOptions {
  /** Machine memory in bytes: whole pages, at least 2 MiB. */
  readonly ramBytes: number;
  /** Processors, 1-64. */
  readonly vcpus: number;
  /** Nominal clock in MHz (whole): this many cycles pass in a microsecond. */
  readonly clockMHz: number;
  /** Unix time at virtual time 0, in seconds. */
  readonly epochSeconds: number;
  /** Receives every byte the kernel sends to COM1. */
  readonly onSerial: (byte: number) => void;
  /** How code is executed; nothing of it shows in what a guest computes. */
  readonly core?: CoreOptions;
}

export interface KernelFiles {
  readonly kernel: Uint8Array;
  readonly ramdisk: Uint8Array | null;
  readonly commandLine: string;
}

/** Why a machine no longer runs. */
export type PcStop =
  | { readonly reason: 'power-off' }
  | { readonly reason: 'reset' }
  /** A processor could not even deliver a double fault. */
  | { readonly reason: 'triple-fault'; readonly vcpu: number };

export interface PcRunResult {
  /** Virtual ns reached. */
  readonly now: number;
  /** Nothing will happen before this virtual ns unless input arrives; equal to `now` while a processor has work. */
  readonly idleUntil: number;
  readonly stop: PcStop | null;
  /** The processor that stands before a debugger's breakpoint, or -1. */
  readonly breakpoint: number;
}

/** Processors take turns at least this often when there are several, in virtual ns. */
const SLICE_NS = 50_000;
/**
 * Virtual ns that an access of a port takes, at least: about what it is on the bus of a PC (Linux counts on a write to port 0x80 for a delay of that
 * length). Loops that ask a timer's port until some milliseconds are over would go round a hundred times as often without.
 */
const PORT_NS = 1000;

export class PcMachine {
  readonly core: CpuCore;
  readonly memory: HostMemory;
  readonly board: Board;
  readonly vcpus: readonly Vcpu[];
  readonly #hz: number;
  readonly #sliceCycles: number;
  readonly #portCycles: number;
  readonly #queue = new EventQueue();
  /** Cycle up to which each processor has run. */
  readonly #position: number[];
  /** Processors that wait for a start-up message. */
  readonly #waiting: boolean[];
  /** Instructions each has retired. */
  readonly #retired: number[];
  /** INIT, start-up and NMI messages that take effect before the processor's next instruction. */
  readonly #messages: { kind: 'nmi' | 'init' | 'startup'; vector: number }[][];
  /** The machine's cycle: all processors have run at least this far. */
  #cycle = 0;
  #sliceEnd = 0;
  /** Index of the processor that runs now, or -1. */
  #running = -1;
  #runStart = 0;
  #busyAtStart = 0;
  /** Time of the event whose callback runs now, or -1. */
  #eventTime = -1;
  #highestTsc = 0;
  #stop: PcStop | null = null;
  /** The processor that stands before a debugger's breakpoint since the last run began, or -1. */
  #breakpoint = -1;

  constructor(options: PcOptions) {
    const { ramBytes, vcpus, clockMHz } = options;
    this.#hz = clockMHz * 1_000_000;
    this.#sliceCycles = Math.max(1, ticksAt(SLICE_NS, this.#hz));
    this.#portCycles = ticksAt(PORT_NS, this.#hz);
    this.memory = new HostMemory(ramBytes);
    this.#position = new Array<number>(vcpus).fill(0);
    this.#retired = new Array<number>(vcpus).fill(0);
    this.#waiting = Array.from({ length: vcpus }, (_, index) => index !== 0);
    this.#messages = Array.from({ length: vcpus }, () => []);
    const clock: DeviceClock = {
      now: () => this.now(),
      schedule: (at, callback) => this.#schedule(at, callback),
      cancel: (event) => this.#queue.cancel(event),
    };
    this.board = new Board(clock, vcpus, ramBytes, options.epochSeconds, {
      serialOutput: options.onSerial,
      interruptsChanged: (vcpu) => this.#interruptsChanged(vcpu),
      nmi: (vcpu) => this.#message(vcpu, 'nmi', 0),
      init: (vcpu) => this.#message(vcpu, 'init', 0),
      startup: (vcpu, vector) => this.#message(vcpu, 'startup', vector),
      powerOff: () => this.#end({ reason: 'power-off' }),
      reset: () => this.#end({ reason: 'reset' }),
    });
    const { board } = this;
    const bus: Bus = {
      ioRead: (port, size) => {
        this.core.wait(this.#portCycles);
        return board.ioRead(port, size);
      },
      ioWrite: (port, size, value) => {
        this.core.wait(this.#portCycles);
        board.ioWrite(port, size, value);
      },
      mmioRead: (address, size) => board.mmioRead(address, size),
      mmioWrite: (address, size, value) => board.mmioWrite(address, size, value),
      readMsr: (vcpu, msr) => board.readMsr(vcpu, msr),
      writeMsr: (vcpu, msr, lo, hi) => board.writeMsr(vcpu, msr, lo, hi),
      interruptPending: (vcpu) => board.interruptPending(vcpu),
      acknowledgeInterrupt: (vcpu) => board.acknowledgeInterrupt(vcpu),
    };
    this.core = new CpuCore(this.memory, bus, options.core);
    this.core.cycles = () => this.#timeStamp();
    // processors take turns: what one of them has read must not be ahead of the next one's
    this.core.timeFollowsInstructions = vcpus === 1;
    this.vcpus = Array.from({ length: vcpus }, () => this.core.createVcpu());
    const firstFrame = VGA_WINDOW / PAGE;
    for (let frame = firstFrame; frame < firstFrame + VGA_WINDOW_BYTES / PAGE; frame++)
      this.memory.u8[PAGE_FLAGS + frame] |= PageFlag.Device;
  }

  /**
   * Loads a kernel and sets the bootstrap processor to start it.
   * @throws KernelImageError with a sentence when it cannot be started
   */
  load(files: KernelFiles): BootState {
    const { memory } = this;
    const tables = buildAcpiTables(this.vcpus.length, memory.ramBytes);
    memory.copyIn(tables.address, tables.bytes);
    this.#writeBiosData();
    const target: BootMemory = {
      size: memory.ramBytes,
      write: (address, bytes) => memory.copyIn(address, bytes),
      clear: (address, length) => memory.fill(address, 0, length),
    };
    const state = loadKernel(target, files.kernel, {
      commandLine: files.commandLine,
      ramdisk: files.ramdisk,
      memoryMap: pcMemoryMap(memory.ramBytes),
      rsdp: tables.address,
    });
    this.board.initializeLikeFirmware();
    enterKernel(this.vcpus[0], state);
    return state;
  }

  /** Virtual ns. Exact inside device accesses. */
  now(): number {
    if (this.#eventTime >= 0) return this.#eventTime;
    return nsAtTick(this.#currentCycle(), this.#hz);
  }

  /** Why the machine stopped, or null while it runs. */
  get stop(): PcStop | null {
    return this.#stop;
  }

  /** Instructions retired by all processors. */
  get instructions(): number {
    return this.core.retiredNow();
  }

  /** Runs all processors and events up to a virtual time; returns early only when the machine stops or reaches a debugger's breakpoint. */
  runUntil(untilNs: number): PcRunResult {
    const target = ticksAt(untilNs, this.#hz);
    this.#breakpoint = -1;
    while (this.#stop === null) {
      this.#runEvents();
      if (this.#stop !== null || this.#cycle >= target) break;
      const next = Math.min(target, this.#nextEventCycle());
      if (this.vcpus.every((_, index) => this.#idle(index))) {
        this.#skipTo(next);
        continue;
      }
      this.#sliceEnd = this.vcpus.length > 1 ? Math.min(next, this.#cycle + this.#sliceCycles) : next;
      for (let index = 0; index < this.vcpus.length && this.#going; index++) this.#runVcpu(index);
      // the others finish the slice when it runs on
      if (this.#breakpoint >= 0) break;
      if (this.#stop === null) this.#skipTo(this.#sliceEnd);
    }
    return { now: this.now(), idleUntil: this.#idleUntil(), stop: this.#stop, breakpoint: this.#breakpoint };
  }

  /**
   * Runs one instruction of one processor while the others stand still, and lets time pass for it.
   * @returns false when the processor waits, for an interrupt or to be started
   */
  step(index: number): boolean {
    if (this.#stop !== null || this.#idle(index)) return false;
    this.#breakpoint = -1;
    const from = this.#position[index];
    const vcpu = this.vcpus[index];
    vcpu.stoppedAt = this.core.linearRip(vcpu);
    this.#sliceEnd = from + 1;
    this.#runVcpu(index);
    if (this.#stop === null) this.#skipTo(Math.max(this.#cycle, this.#position[index]));
    this.#runEvents();
    return true;
  }

  /** Instructions that a processor has retired since the machine was made. */
  instructionsOf(index: number): number {
    return this.#retired[index];
  }

  /** What a processor does: `waiting` to be started, `halted` until an interrupt, or running. */
  stateOf(index: number): 'running' | 'halted' | 'waiting' {
    if (this.#waiting[index]) return 'waiting';
    return this.vcpus[index].halted ? 'halted' : 'running';
  }

  get #going(): boolean {
    return this.#stop === null && this.#breakpoint < 0;
  }

  /** Everything the machine is, between two calls of runUntil. */
  getState(): PcState {
    return {
      version: 1,
      clockMHz: this.#hz / 1_000_000,
      cycle: this.#cycle,
      positions: [...this.#position],
      waiting: [...this.#waiting],
      messages: this.#messages.map((messages) => [...messages]),
      highestTsc: this.#highestTsc,
      vcpus: this.vcpus.map((vcpu) => vcpu.saveState()),
      board: this.board.getState(),
      memory: saveMemory(this.memory),
    };
  }

  /**
   * Goes on where another machine of the same shape was saved. Only on a machine that has not run.
   * @throws DeviceStateError when the version or the shape is another one
   */
  setState(state: PcState): void {
    requireVersion('machine', state.version, 1);
    const { vcpus, memory } = this;
    if (
      state.vcpus.length !== vcpus.length ||
      state.memory.bytes !== memory.ramBytes ||
      state.clockMHz * 1_000_000 !== this.#hz
    ) {
      throw new DeviceStateError(
        `The saved machine has ${state.vcpus.length} processors at ${state.clockMHz} MHz and ${state.memory.bytes} bytes of memory, and this one has ${vcpus.length} at ${this.#hz / 1_000_000} MHz and ${memory.ramBytes}. Restore it on a machine of the same shape.`,
      );
    }
    this.#cycle = state.cycle;
    this.#highestTsc = state.highestTsc;
    state.positions.forEach((position, index) => (this.#position[index] = position));
    state.waiting.forEach((waiting, index) => (this.#waiting[index] = waiting));
    state.messages.forEach((messages, index) => (this.#messages[index] = [...messages]));
    restoreMemory(memory, state.memory);
    state.vcpus.forEach((saved, index) => vcpus[index].loadState(saved));
    this.board.setState(state.board);
  }

  #writeBiosData(): void {
    const words: [number, number][] = [
      [0x00, 0x3f8], // COM1
      [0x0e, PhysicalAddress.Ebda >> 4],
      [0x10, 0x0226], // equipment: one serial port, 80x25 colour, mouse, coprocessor
      [0x13, PhysicalAddress.Ebda >> 10],
      [0x49, 0x5003], // video mode 3, 80 columns
    ];
    for (const [offset, value] of words) this.memory.write16(PhysicalAddress.BiosData + offset, value);
    this.memory.write8(PhysicalAddress.Ebda, 1); // its size in KiB
  }

  #currentCycle(): number {
    if (this.#running < 0) return this.#cycle;
    return this.#runStart + this.core.busyNow() - this.#busyAtStart;
  }

  /** Processors run one after the other: the counter never goes back from one to the next, as on one crystal. */
  #timeStamp(): number {
    this.#highestTsc = Math.max(this.#highestTsc, this.#currentCycle());
    return this.#highestTsc;
  }

  #nextEventCycle(): number {
    const at = this.#queue.nextTime();
    if (at === Infinity) return Infinity;
    // The first cycle whose time is not before the event.
    const cycle = ticksAt(at, this.#hz);
    return nsAtTick(cycle, this.#hz) >= at ? cycle : cycle + 1;
  }

  #schedule(at: number, callback: () => void): ScheduledEvent {
    const event = this.#queue.schedule(at, callback);
    if (this.#running >= 0) {
      const cycle = Math.max(this.#nextEventCycle(), this.#currentCycle());
      if (cycle < this.#sliceEnd) {
        this.#sliceEnd = cycle;
        this.core.requestReturn();
      }
    }
    return event;
  }

  #runEvents(): void {
    const now = nsAtTick(this.#cycle, this.#hz);
    for (;;) {
      const due = this.#queue.takeDue(now);
      if (due === null || this.#stop !== null) break;
      this.#eventTime = due.at;
      due.callback();
    }
    this.#eventTime = -1;
  }

  #skipTo(cycle: number): void {
    this.#cycle = cycle;
    for (let index = 0; index < this.#position.length; index++)
      this.#position[index] = Math.max(this.#position[index], cycle);
  }

  #idle(index: number): boolean {
    if (this.#messages[index].length > 0) return false;
    if (this.#waiting[index]) return true;
    const vcpu = this.vcpus[index];
    return vcpu.halted && vcpu.injection === null && !this.board.interruptPending(index);
  }

  #idleUntil(): number {
    if (this.#stop !== null) return Infinity;
    if (!this.vcpus.every((_, index) => this.#idle(index))) return this.now();
    return Math.max(this.now(), this.#queue.nextTime());
  }

  #runVcpu(index: number): void {
    this.#takeMessages(index);
    const vcpu = this.vcpus[index];
    this.board.currentVcpu = index;
    while (this.#going && this.#position[index] < this.#sliceEnd && !this.#idle(index)) {
      this.#running = index;
      this.#runStart = this.#position[index];
      this.#busyAtStart = this.core.busyNow();
      const exit = this.core.run(vcpu, this.#sliceEnd - this.#runStart);
      this.#position[index] = this.#currentCycle();
      this.#retired[index] += exit.retired;
      this.#running = -1;
      switch (exit.code) {
        case ExitCode.Budget:
        case ExitCode.Requested:
          this.#takeMessages(index);
          break;
        case ExitCode.Halt:
          // Halted with interrupts off: only a message could wake it.
          if (exit.retired === 0) return;
          break;
        case ExitCode.Breakpoint:
          this.#breakpoint = index;
          break;
        case ExitCode.Shutdown:
          this.#end({ reason: 'triple-fault', vcpu: index });
          break;
        default:
          throw new Error(`A bare processor left run() with exit ${exit.code}, although nothing is intercepted.`);
      }
    }
  }

  #interruptsChanged(vcpu: number): void {
    if (vcpu === this.#running && this.board.interruptPending(vcpu)) this.core.requestExit();
  }

  #message(vcpu: number, kind: 'nmi' | 'init' | 'startup', vector: number): void {
    this.#messages[vcpu].push({ kind, vector });
    if (vcpu === this.#running) this.core.requestReturn();
  }

  #takeMessages(index: number): void {
    for (const message of this.#messages[index].splice(0)) {
      const vcpu = this.vcpus[index];
      switch (message.kind) {
        case 'nmi':
          if (!this.#waiting[index]) vcpu.inject(2, null, 'nmi');
          break;
        case 'init':
          vcpu.reset();
          this.board.localApics[index].initReset();
          // The bootstrap processor would start its firmware again, and there is none.
          if (index === 0) this.#end({ reason: 'reset' });
          else this.#waiting[index] = true;
          break;
        case 'startup':
          if (!this.#waiting[index]) break;
          this.#waiting[index] = false;
          enterStartup(vcpu, message.vector);
          break;
      }
    }
  }

  #end(stop: PcStop): void {
    this.#stop ??= stop;
    if (this.#running >= 0) this.core.requestReturn();
  }
}
