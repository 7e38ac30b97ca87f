// A domain's event channels: allocation, binding, sending, closing (Xen common/event_channel.c; behaviour only).
// Invariant: an interdomain port's peer names it back; port 0 is never used.

import { DOMID_CONTROL, DOMID_SELF, NR_VIRQS, PER_VCPU_VIRQS } from '../abi/constants.ts';
import { Errno } from '../abi/errno.ts';
import type { Domain } from '../domain.ts';
import type { EventAbi } from './event-abi.ts';
import { FifoEvents } from './fifo.ts';
import { traceName } from '../trace.ts';
import { Port, PortState } from './port.ts';
import { TwoLevel } from './two-level.ts';

const TRACE = {
  send: traceName('event', 'send', ['port']),
  raiseInterdomain: traceName('event', 'raise interdomain', ['port', 'vcpu', 'remote']),
  raiseVirq: traceName('event', 'raise virq', ['port', 'vcpu', 'virq']),
  raise: traceName('event', 'raise', ['port', 'vcpu']),
} as const;

export class EventChannels {
  readonly d: Domain;
  abi: EventAbi;
  readonly ports: (Port | undefined)[] = [];
  /** virq -> port, per vCPU (global ones under vCPU 0). */
  readonly virqPorts: Uint32Array[] = [];
  /** Most ports this domain may use (its quota). */
  limit: number;
  sent = 0;

  constructor(d: Domain, limit: number) {
    this.d = d;
    this.abi = new TwoLevel(d);
    this.limit = limit;
    const reserved = new Port();
    reserved.state = PortState.Reserved;
    this.ports[0] = reserved;
  }

  /** A used port, or undefined. */
  port(n: number): Port | undefined {
    const p = this.ports[n];
    return p && p.state !== PortState.Free && p.state !== PortState.Reserved ? p : undefined;
  }

  /** A free port number, or a negative errno. */
  allocate(): number {
    const max = Math.min(this.limit, this.d.isControl ? this.limit : this.abi.maxPorts);
    for (let n = 1; n < max; n++) {
      const p = (this.ports[n] ??= new Port());
      if (p.state === PortState.Free) {
        p.vcpu = 0;
        p.priority = 7;
        p.handler = null;
        return n;
      }
    }
    return -Errno.ENOSPC;
  }

  /** EVTCHNOP_alloc_unbound: a port that `remote` may bind. */
  allocUnbound(remote: number): number {
    const n = this.allocate();
    if (n < 0) return n;
    const p = this.ports[n]!;
    p.state = PortState.Unbound;
    p.remoteDomid = remote === DOMID_SELF ? this.d.domid : remote;
    return n;
  }

  /** EVTCHNOP_bind_interdomain; returns the local port or a negative errno. */
  bindInterdomain(remoteDomid: number, remotePort: number): number {
    const remote = this.d.host.domain(remoteDomid === DOMID_SELF ? this.d.domid : remoteDomid);
    if (!remote) return -Errno.ESRCH;
    const n = this.allocate();
    if (n < 0) return n;
    const rp = remote.events.port(remotePort);
    if (!rp || rp.state !== PortState.Unbound || rp.remoteDomid !== this.d.domid) return -Errno.EINVAL;
    const p = this.ports[n]!;
    p.state = PortState.Interdomain;
    p.remoteDomid = remote.domid;
    p.remotePort = remotePort;
    rp.state = PortState.Interdomain;
    rp.remoteDomid = this.d.domid;
    rp.remotePort = n;
    // The remote may have signalled already: the binder starts with an event (evtchn_bind_interdomain).
    this.setPending(n);
    return n;
  }

  /** EVTCHNOP_bind_virq. */
  bindVirq(virq: number, vcpu: number): number {
    if (virq >= NR_VIRQS) return -Errno.EINVAL;
    if (!PER_VCPU_VIRQS.has(virq)) {
      if (vcpu !== 0) return -Errno.EINVAL;
    }
    if (!this.d.vcpus[vcpu]) return -Errno.ENOENT;
    const map = (this.virqPorts[vcpu] ??= new Uint32Array(NR_VIRQS));
    if (map[virq]) return -Errno.EEXIST;
    const n = this.allocate();
    if (n < 0) return n;
    const p = this.ports[n]!;
    p.state = PortState.Virq;
    p.virq = virq;
    p.vcpu = vcpu;
    map[virq] = n;
    return n;
  }

  /** EVTCHNOP_bind_ipi. */
  bindIpi(vcpu: number): number {
    if (!this.d.vcpus[vcpu]) return -Errno.ENOENT;
    const n = this.allocate();
    if (n < 0) return n;
    const p = this.ports[n]!;
    p.state = PortState.Ipi;
    p.vcpu = vcpu;
    return n;
  }

  /** EVTCHNOP_close: 0 or a negative errno. */
  close(n: number): number {
    const p = this.port(n);
    if (!p) return -Errno.EINVAL;
    if (p.state === PortState.Interdomain) {
      const remote = this.d.host.domain(p.remoteDomid);
      const rp = remote?.events.port(p.remotePort);
      if (rp && rp.state === PortState.Interdomain) {
        rp.state = PortState.Unbound;
        rp.remoteDomid = this.d.domid;
        rp.remotePort = 0;
      }
    } else if (p.state === PortState.Virq) {
      const map = this.virqPorts[p.vcpu];
      // A virq port may have moved to another vCPU only if it is global, which sits under vCPU 0.
      for (const m of [map, this.virqPorts[0]]) if (m && m[p.virq] === n) m[p.virq] = 0;
    }
    if (!this.d.isControl) this.abi.clearPending(n);
    p.state = PortState.Free;
    p.pendingEarly = false;
    p.handler = null;
    return 0;
  }

  /** EVTCHNOP_send. */
  send(n: number): number {
    const p = this.port(n);
    if (!p) return -Errno.EINVAL;
    this.sent++;
    if (this.d.host.trace.recording && !this.d.isControl) this.d.host.trace.add(TRACE.send, this.d.domid, p.vcpu, n);
    switch (p.state) {
      case PortState.Interdomain: {
        const remote = this.d.host.domain(p.remoteDomid);
        remote?.events.setPending(p.remotePort);
        return 0;
      }
      case PortState.Ipi:
        this.setPending(n);
        return 0;
      case PortState.Unbound:
        return 0; // the event is lost, as in Xen
      default:
        return -Errno.EINVAL;
    }
  }

  /** Raises a port of this domain. */
  setPending(n: number): void {
    const p = this.port(n);
    if (!p) return;
    if (p.handler) p.handler();
    else if (!this.d.isControl) {
      if (this.d.host.trace.recording) this.traceRaise(n, p);
      this.abi.setPending(n, p);
    }
  }

  private traceRaise(n: number, p: Port): void {
    const { trace } = this.d.host;
    const { domid } = this.d;
    if (p.state === PortState.Interdomain) trace.add(TRACE.raiseInterdomain, domid, p.vcpu, n, p.vcpu, p.remoteDomid);
    else if (p.state === PortState.Virq) trace.add(TRACE.raiseVirq, domid, p.vcpu, n, p.vcpu, p.virq);
    else trace.add(TRACE.raise, domid, p.vcpu, n, p.vcpu);
  }

  /** Raises a virtual interrupt, if the guest has bound it. */
  raiseVirq(virq: number, vcpu: number): void {
    const n = this.virqPorts[vcpu]?.[virq];
    if (n) this.setPending(n);
  }

  /** EVTCHNOP_unmask. */
  unmask(n: number): number {
    const p = this.port(n);
    if (!p) return -Errno.EINVAL;
    this.abi.unmask(n, p);
    return 0;
  }

  /** EVTCHNOP_bind_vcpu. */
  bindVcpu(n: number, vcpu: number): number {
    const p = this.port(n);
    if (!p) return -Errno.EINVAL;
    if (!this.d.vcpus[vcpu]) return -Errno.ENOENT;
    if (p.state === PortState.Ipi || (p.state === PortState.Virq && PER_VCPU_VIRQS.has(p.virq))) return -Errno.EINVAL;
    p.vcpu = vcpu;
    return 0;
  }

  setPriority(n: number, priority: number): number {
    const p = this.port(n);
    if (!p) return -Errno.EINVAL;
    if (this.abi instanceof TwoLevel) return -Errno.ENOSYS;
    return this.abi.setPriority(p, priority);
  }

  /** EVTCHNOP_init_control: the first call turns the domain over to FIFO queues. */
  initControl(vcpu: number, mfn: number, offset: number): number {
    if (!this.d.vcpus[vcpu]) return -Errno.ENOENT;
    if (this.abi instanceof FifoEvents) return this.abi.initControl(vcpu, mfn, offset);
    const fifo = new FifoEvents(this.d);
    const error = fifo.initControl(vcpu, mfn, offset);
    if (error) return error;
    const old = this.abi;
    this.abi = fifo;
    this.ports.forEach((p, n) => {
      if (p && p.state !== PortState.Free && p.state !== PortState.Reserved && old.isPending(n)) p.pendingEarly = true;
    });
    return 0;
  }

  expandArray(mfn: number): number {
    return this.abi instanceof FifoEvents ? this.abi.expand(mfn) : -Errno.EOPNOTSUPP;
  }

  /** Closes every port; the domain goes back to 2-level (EVTCHNOP_reset, and the end of the domain). */
  reset(): void {
    for (let n = 1; n < this.ports.length; n++) if (this.port(n)) this.close(n);
    if (this.abi instanceof FifoEvents) {
      this.abi.release();
      this.abi = new TwoLevel(this.d);
    }
  }
}

/**
 * Connects a backend to a guest: an unbound port of the guest that the control domain has bound at once.
 * @returns the guest's port and a function that raises it, or a negative errno
 */
export function connectBackend(
  guest: Domain,
  handler: () => void,
): { guestPort: number; controlPort: number; notify: () => void } | number {
  const control = guest.host.control;
  const guestPort = guest.events.allocUnbound(DOMID_CONTROL);
  if (guestPort < 0) return guestPort;
  return bindBackend(guest, guestPort, handler) ?? -Errno.EINVAL;

  function bindBackend(g: Domain, port: number, h: () => void) {
    const local = control.events.bindInterdomain(g.domid, port);
    if (local < 0) return null;
    control.events.ports[local]!.handler = h;
    return { guestPort: port, controlPort: local, notify: () => void control.events.send(local) };
  }
}

/** Binds a port that the guest allocated for the control domain (split drivers). Null when it is not one. */
export function bindGuestPort(
  guest: Domain,
  guestPort: number,
  handler: () => void,
): { controlPort: number; notify: () => void } | null {
  const control = guest.host.control;
  const local = control.events.bindInterdomain(guest.domid, guestPort);
  if (local < 0) return null;
  control.events.ports[local]!.handler = handler;
  return { controlPort: local, notify: () => void control.events.send(local) };
}
