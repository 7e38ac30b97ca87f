// A kernel on the bare machine: the PC of main/machine/platform, with its serial port as console.

import { createHash } from 'node:crypto';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainSpec, Figures, HostSpec } from '../../shared/model.ts';
import { KernelImageError } from '../machine/boot/errors.ts';
import { CodeBreakpoints } from '../machine/cpu/system/code-breakpoints.ts';
import { PcMachine } from '../machine/platform/pc.ts';
import { kernelError } from './builder/kernel-image.ts';
import { EPOCH_SECONDS } from './epoch.ts';
import { breakpointSentence } from './host-report.ts';
import type { DomainFiles, HostCallbacks, HostDomainStatus } from './simulated-host.ts';

const NATIVE = 0;

export class NativeGuest {
  readonly machine: PcMachine;
  private readonly callbacks: HostCallbacks;
  private readonly spec: DomainSpec;
  private readonly clockMHz: number;
  /** Lab time at which the machine's own time was 0; grows while it is paused. */
  private startedAt: number;
  consoleBytes = 0;
  private lastInstructions = 0;
  private idle = false;
  private readonly bits: 32 | 64;
  private pending: number[] = [];
  paused = false;
  /** A debugger's. */
  readonly breakpoints = new CodeBreakpoints();
  /** The breakpoint it stands before since it was paused there, in words, or null. */
  private stoppedAt: string | null = null;

  constructor(host: HostSpec, spec: DomainSpec, files: DomainFiles, now: number, callbacks: HostCallbacks) {
    this.spec = spec;
    this.callbacks = callbacks;
    this.startedAt = now;
    this.clockMHz = host.clockMHz;
    if (spec.memoryMiB > host.memoryMiB)
      throw new BulkheadError({
        code: 'not-enough-memory',
        what: `${host.name} has ${host.memoryMiB} MiB and the machine asks for ${spec.memoryMiB} MiB.`,
        why: "A native kernel uses the host's own memory.",
        action: `Give it at most ${host.memoryMiB} MiB.`,
        field: 'memoryMiB',
      });
    this.machine = new PcMachine({
      ramBytes: spec.memoryMiB * 2 ** 20,
      vcpus: Math.min(spec.vcpus, host.pcpus),
      clockMHz: host.clockMHz,
      epochSeconds: EPOCH_SECONDS + Math.floor(now / 1e9),
      onSerial: (byte) => this.pending.push(byte),
    });
    try {
      const state = this.machine.load({
        kernel: files.kernel,
        ramdisk: files.ramdisk ?? null,
        commandLine: spec.cmdline,
      });
      this.bits = state.description.startsWith('64') || state.mode === 'long64' ? 64 : 32;
    } catch (error) {
      throw error instanceof KernelImageError ? kernelError(error) : error;
    }
  }

  /** Runs to lab time `until`; returns the lab time before which nothing can happen. */
  advance(until: number): number {
    if (this.paused || this.machine.stop) {
      if (this.paused) this.startedAt = until - this.machine.now();
      return Infinity;
    }
    const result = this.machine.runUntil(until - this.startedAt);
    if (this.pending.length) {
      const bytes = Uint8Array.from(this.pending);
      this.pending = [];
      this.consoleBytes += bytes.length;
      this.callbacks.console(NATIVE, bytes);
    }
    this.idle = result.idleUntil > result.now;
    if (result.breakpoint >= 0) {
      this.paused = true;
      this.stoppedAt = breakpointSentence(result.breakpoint, this.machine.vcpus[result.breakpoint]!.stoppedAt!);
      this.callbacks.stateChanged(NATIVE);
      return Infinity;
    }
    if (result.stop) {
      this.callbacks.stateChanged(NATIVE);
      return Infinity;
    }
    return result.idleUntil + this.startedAt;
  }

  unpause(now: number): void {
    if (this.paused) this.startedAt = now - this.machine.now();
    this.paused = false;
    this.stoppedAt = null;
  }

  get name(): string {
    return this.spec.name;
  }

  input(bytes: Uint8Array): void {
    this.machine.board.serial.receive(bytes);
  }

  /** The ACPI power button. @throws BulkheadError when the kernel does not listen to it. */
  pressPowerButton(): void {
    if (this.machine.board.power.pressPowerButton()) return;
    throw new BulkheadError({
      code: 'not-possible-now',
      what: `${this.spec.name} did not react to its power button.`,
      why: 'Its kernel has not asked for power button events.',
      action: 'Shut it down from its console, or destroy it.',
    });
  }

  status(): HostDomainStatus {
    const { stop } = this.machine;
    const reason =
      stop?.reason === 'triple-fault'
        ? `Processor ${stop.vcpu} shut down after a triple fault.`
        : stop?.reason === 'reset'
          ? 'The kernel reset the machine.'
          : stop
            ? 'The kernel switched the machine off.'
            : this.stoppedAt;
    return {
      domid: NATIVE,
      state: stop
        ? stop.reason === 'triple-fault'
          ? 'crashed'
          : 'shutdown'
        : this.paused
          ? 'paused'
          : this.idle
            ? 'blocked'
            : 'running',
      reason,
      shutdown: stop ? (stop.reason === 'power-off' ? 'poweroff' : stop.reason === 'reset' ? 'reboot' : 'crash') : null,
      bits: this.bits,
      cpuNs: Math.floor((this.machine.instructions * 1000) / this.clockMHz),
      memoryMiB: this.spec.memoryMiB,
      consoleBytes: this.consoleBytes,
    };
  }

  figures(): Figures {
    const { instructions } = this.machine;
    return {
      instructions,
      cpuNs: Math.floor((instructions * 1000) / this.clockMHz),
      hypercalls: {},
      exits: {},
      faults: {},
      pages: { RAM: this.spec.memoryMiB * 256 },
      io: {},
    };
  }

  pcpuUse(pcpus: number): { running: number | null; busy: { domid: number; ns: number }[] }[] {
    const ran = this.machine.instructions - this.lastInstructions;
    this.lastInstructions = this.machine.instructions;
    // The machine counts all processors together: shared evenly among those it has.
    const share = Math.floor((ran * 1000) / this.clockMHz / this.machine.vcpus.length);
    return Array.from({ length: pcpus }, (_, i) =>
      i < this.machine.vcpus.length && share > 0
        ? { running: NATIVE, busy: [{ domid: NATIVE, ns: share }] }
        : { running: null, busy: [] },
    );
  }

  digest(): string {
    const hash = createHash('sha256');
    for (const v of this.machine.vcpus)
      hash.update(
        JSON.stringify(v.saveState(), (_k, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value)),
      );
    hash.update(this.machine.memory.copyOut(0, this.machine.memory.ramBytes));
    return hash.digest('hex');
  }
}
