// The HVM side of a vCPU: its local APIC, its start-up protocol, and the event-channel upcall.

import type { LocalApic } from '../../machine/devices/local-apic/device.ts';
import { F, Seg } from '../../machine/cpu/layout.ts';
import { interceptHvm } from '../intercepts.ts';
import type { GuestVcpu } from '../vcpu.ts';

const PARAM_CALLBACK_IRQ = 0;
const CALLBACK_TYPE_VECTOR = 2n;

export class HvmVcpu {
  private readonly v: GuestVcpu;
  readonly apic: LocalApic;
  /** HVMOP_set_evtchn_upcall_vector: delivered through the local APIC; 0 = off. */
  upcallVector = 0;
  private waitingForStartup = false;

  constructor(v: GuestVcpu, apic: LocalApic) {
    this.v = v;
    this.apic = apic;
  }

  /** The domain-wide callback vector, or 0 (HVM_PARAM_CALLBACK_IRQ of type "vector"). */
  private get callbackVector(): number {
    const via = this.v.domain.params[PARAM_CALLBACK_IRQ];
    return via >> 56n === CALLBACK_TYPE_VECTOR ? Number(via & 0xffn) : 0;
  }

  /** An event became pending on this vCPU. */
  assertEventUpcall(): void {
    if (this.upcallVector) this.apic.raise(this.upcallVector, false);
  }

  interruptPending(): boolean {
    if (!this.upcallVector && this.v.upcallPending && this.callbackVector) return true;
    return this.apic.interruptPending();
  }

  acknowledge(): number {
    if (!this.upcallVector && this.v.upcallPending) {
      const vector = this.callbackVector;
      if (vector) return vector;
    }
    return this.apic.acknowledge();
  }

  /** INIT: back to the power-on state, waiting for a start-up message (the bootstrap processor restarts instead). */
  init(): void {
    if (this.v.id === 0) return;
    this.v.takeDown();
    this.apic.initReset();
    this.waitingForStartup = true;
  }

  /** SIPI: begin in real mode at vector << 12. */
  startup(vector: number): void {
    if (!this.waitingForStartup && this.v.online) return;
    this.waitingForStartup = false;
    const { cpu, machine } = this.v;
    machine.reset();
    interceptHvm(machine);
    cpu.setSegment(Seg.CS, vector << 8, BigInt(vector << 12), 0xffff, 0x9b);
    cpu.rip = 0n;
    cpu.setU32(F.halted, 0);
    this.v.initialised = true;
    this.v.blocked = false;
    this.v.bringUp();
  }
}
