// A guest's virtual CPU: its machine registers, its vcpu_info, run state and timers.

import type { Vcpu } from '../machine/cpu/vcpu.ts';
import { PAGE_SIZE, Runstate, Virq } from './abi/constants.ts';
import { CpuView } from './cpu-view.ts';
import type { Domain } from './domain.ts';
import type { HvmVcpu } from './hvm/hvm-vcpu.ts';
import type { PvVcpu } from './pv/pv-vcpu.ts';
import type { ScheduledEvent } from '../machine/clock.ts';
import { frameAddress } from './memory/frames.ts';

export class GuestVcpu {
  readonly domain: Domain;
  readonly id: number;
  readonly machine: Vcpu;
  readonly cpu: CpuView;
  pv: PvVcpu | null = null;
  hvm: HvmVcpu | null = null;
  /** Frame and byte offset of its vcpu_info; moved by VCPUOP_register_vcpu_info. */
  infoMfn: number;
  infoOffset: number;
  infoRegistered = false;
  online = false;
  initialised = false;
  blocked = false;
  /** Ports it polls on (empty = none in particular), or null when it does not poll. */
  polling: number[] | null = null;
  pollTimer: ScheduledEvent | null = null;
  singleShot: ScheduledEvent | null = null;
  periodic: ScheduledEvent | null = null;
  runstate: number = Runstate.Offline;
  runstateEntryNs = 0;
  readonly runstateTimes = [0, 0, 0, 0];
  /** Guest linear address of a registered runstate area. */
  runstateArea: bigint | null = null;
  timeArea: bigint | null = null;
  timeVersion = 0;
  timeUpdatedNs = 0;
  /** pCPU it last ran on, and the pCPU it runs on now (-1 none). */
  lastPcpu = 0;
  runningOn = -1;
  /** Instructions retired since creation. */
  instructions = 0;
  /** Scheduler's own data. */
  sched: unknown = null;
  /** A PV guest's NMI waits for its callback; an HVM guest's waits in the machine's own state. */
  nmiPending = false;

  constructor(domain: Domain, id: number, machine: Vcpu) {
    this.domain = domain;
    this.id = id;
    this.machine = machine;
    this.cpu = new CpuView(domain.mem, machine);
    this.infoMfn = domain.sharedInfoMfn;
    this.infoOffset = id * 64;
    this.runstateEntryNs = domain.host.now();
  }

  /** Byte address of its vcpu_info in host memory. */
  get info(): number {
    return frameAddress(this.infoMfn) + this.infoOffset;
  }

  /** The hypervisor writes its vcpu_info: where the guest has registered one, that is a page of its memory. */
  noteInfoWrite(): void {
    if (this.infoRegistered) this.domain.mem.noteWrite(this.infoMfn * PAGE_SIZE + this.infoOffset, 64);
  }

  get upcallPending(): boolean {
    return this.domain.mem.u8[this.info] !== 0;
  }
  get upcallMasked(): boolean {
    return this.domain.mem.u8[this.info + 1] !== 0;
  }
  setUpcallMask(value: number): void {
    this.noteInfoWrite();
    this.domain.mem.u8[this.info + 1] = value;
  }

  /** May be scheduled now. */
  get runnable(): boolean {
    return this.online && !this.blocked && this.domain.runnable;
  }

  markEventsPending(): void {
    const m = this.domain.mem.u8;
    if (m[this.info] === 0) {
      this.noteInfoWrite();
      m[this.info] = 1;
      this.hvm?.assertEventUpcall();
    }
    this.unblock();
  }

  /** A non-maskable interrupt: to a PV guest's NMI callback, to an HVM guest's vector 2 as the processor delivers it. Wakes the vCPU. */
  sendNmi(): void {
    const { host } = this.domain;
    if (!this.hvm) this.nmiPending = true;
    else {
      this.machine.inject(2, null, 'nmi');
      // Its own APIC may have sent it in the middle of a run.
      if (host.loaded === this) host.core.requestExit();
    }
    this.unblock();
  }

  block(): void {
    if (this.blocked) return;
    this.blocked = true;
    this.domain.host.scheduler.sleep(this);
    if (this.runningOn < 0) this.setRunstate(this.online ? Runstate.Blocked : Runstate.Offline);
  }

  unblock(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.polling = null;
    this.stopPoll();
    this.wakeIfRunnable();
  }

  wakeIfRunnable(): void {
    if (!this.runnable) return;
    if (this.runningOn < 0) this.setRunstate(Runstate.Runnable);
    this.domain.host.scheduler.wake(this, this.domain.host.now());
  }

  /** Stops being schedulable (paused, shut down, taken offline). */
  sleep(): void {
    this.domain.host.scheduler.sleep(this);
    if (this.runningOn < 0) this.setRunstate(this.online ? Runstate.Blocked : Runstate.Offline);
  }

  bringUp(): void {
    if (this.online) return;
    this.online = true;
    this.wakeIfRunnable();
  }

  takeDown(): void {
    if (!this.online) return;
    this.online = false;
    this.sleep();
  }

  setRunstate(state: number): void {
    const now = this.domain.host.now();
    this.runstateTimes[this.runstate] += Math.max(0, now - this.runstateEntryNs);
    this.runstate = state;
    this.runstateEntryNs = now;
  }

  /** Nanoseconds in each run state up to now. */
  runstateSnapshot(): number[] {
    const times = [...this.runstateTimes];
    times[this.runstate] += Math.max(0, this.domain.host.now() - this.runstateEntryNs);
    return times;
  }

  /** One VIRQ_TIMER at `atNs` (or at once when that is past); replaces an earlier one. */
  setSingleShot(atNs: number): void {
    this.stopSingleShot();
    this.singleShot = this.domain.host.schedule(atNs, () => {
      this.singleShot = null;
      this.domain.events.raiseVirq(Virq.TIMER, this.id);
      this.unblock();
    });
  }

  stopSingleShot(): void {
    if (this.singleShot) this.domain.host.cancel(this.singleShot);
    this.singleShot = null;
  }

  setPeriodic(periodNs: number): void {
    this.stopPeriodic();
    const host = this.domain.host;
    const arm = (at: number) => {
      this.periodic = host.schedule(at, () => {
        this.domain.events.raiseVirq(Virq.TIMER, this.id);
        arm(at + periodNs);
      });
    };
    arm(host.now() + periodNs);
  }

  stopPeriodic(): void {
    if (this.periodic) this.domain.host.cancel(this.periodic);
    this.periodic = null;
  }

  stopPoll(): void {
    if (this.pollTimer) this.domain.host.cancel(this.pollTimer);
    this.pollTimer = null;
  }

  stopTimers(): void {
    this.stopSingleShot();
    this.stopPeriodic();
    this.stopPoll();
  }
}
