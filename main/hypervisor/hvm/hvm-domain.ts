// What all vCPUs of an HVM domain share: the second-level table and its special pages.

import { LocalApic } from '../../machine/devices/local-apic/device.ts';
import { routeMessage } from '../../machine/devices/local-apic/messages.ts';
import { Shorthand } from '../../machine/devices/local-apic/registers.ts';
import { PAGE_FLAGS, PageFlag } from '../../machine/cpu/layout.ts';
import type { Domain } from '../domain.ts';
import { interceptHvm } from '../intercepts.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { HvmVcpu } from './hvm-vcpu.ts';
import { P2m } from './p2m.ts';

/** Guest frame of the local APIC's page; the same number is the machine's device frame (above all RAM). */
export const APIC_GFN = 0xfee00;

export class HvmDomain {
  private readonly d: Domain;
  readonly p2m = new P2m();
  /** Guest frames that map another domain's page through a read-only grant. */
  readonly readOnly = new Set<number>();
  /** The core's second-level translation: a guest frame's machine frame, or -1. */
  readonly translate: (gpaPage: number, write: boolean) => number;

  constructor(d: Domain) {
    this.d = d;
    d.mem.u8[PAGE_FLAGS + APIC_GFN] = PageFlag.Device;
    this.p2m.set(APIC_GFN, APIC_GFN);
    this.translate = (gpaPage, write) => (write && this.readOnly.has(gpaPage) ? -1 : this.p2m.get(gpaPage));
  }

  addVcpu(v: GuestVcpu): void {
    const { host, vcpus } = this.d;
    const connections = {
      send: (message: Parameters<typeof routeMessage>[1], shorthand: number) => {
        const all = vcpus.map((o) => o.hvm!.apic);
        if (shorthand === Shorthand.None) routeMessage(all, message);
        else for (const o of vcpus) if (shorthand === Shorthand.All || o !== v) o.hvm!.apic.accept(message);
      },
      endOfInterrupt: () => {},
      nmi: () => v.sendNmi(),
      init: () => v.hvm?.init(),
      startup: (vector: number) => v.hvm?.startup(vector),
      changed: () => {
        if (!v.hvm?.interruptPending()) return;
        if (v.blocked) v.unblock();
        else if (host.loaded === v) host.core.requestExit();
      },
    };
    const apic = new LocalApic(v.id * 2, v.id === 0, host, connections);
    v.hvm = new HvmVcpu(v, apic);
    interceptHvm(v.machine);
  }
}
