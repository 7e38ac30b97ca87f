// One end of an event channel.

export const PortState = { Free: 0, Unbound: 1, Interdomain: 2, Pirq: 3, Virq: 4, Ipi: 5, Reserved: 6 } as const;

export class Port {
  state: number = PortState.Free;
  /** vCPU that is notified. */
  vcpu = 0;
  remoteDomid = 0;
  remotePort = 0;
  virq = 0;
  /** FIFO queue, 0 highest; EVTCHN_FIFO_PRIORITY_DEFAULT. */
  priority = 7;
  /** FIFO: raised before its event word existed. */
  pendingEarly = false;
  /** FIFO: vCPU and queue it was last linked on. */
  lastVcpu = 0;
  lastPriority = 7;
  /** The control domain's ends call this instead of setting a bit. */
  handler: (() => void) | null = null;
}
