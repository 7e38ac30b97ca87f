// event_channel_op.

import { Errno } from '../abi/errno.ts';
import { DOMID_CONTROL, DOMID_SELF } from '../abi/constants.ts';
import { PortState } from '../events/port.ts';
import { copyOutView, viewIn } from '../guest-memory.ts';
import { type Call, type Result, u32 } from './call.ts';

/** Bytes of each sub-operation's structure, by number. */
const SIZES = [12, 12, 12, 4, 4, 24, 8, 8, 8, 4, 2, 24, 8, 8];

/** event_channel_op(command, argument). */
export function eventChannelOp(c: Call): Result {
  return run(c, u32(c.args[0]), c.args[1]);
}

/** The old form: one pointer to a command and a union. */
export function eventChannelOpCompat(c: Call): Result {
  const view = viewIn(c.v, c.args[0], 4);
  return view ? run(c, view.getUint32(0, true), c.args[0] + 4n) : -Errno.EFAULT;
}

function run(c: Call, command: number, pointer: bigint): number {
  const size = SIZES[command];
  if (size === undefined) return -Errno.ENOSYS;
  const a = viewIn(c.v, pointer, size);
  if (!a) return -Errno.EFAULT;
  const { events } = c.d;
  const word = (offset: number) => a.getUint32(offset, true);
  /** Stores a port (or passes an error on). */
  const port = (n: number, offset: number): number => {
    if (n < 0) return n;
    a.setUint32(offset, n, true);
    if (copyOutView(c.v, pointer, a)) return 0;
    events.close(n);
    return -Errno.EFAULT;
  };
  switch (command) {
    case 0:
      return port(events.bindInterdomain(a.getUint16(0, true), word(4)), 8);
    case 1:
      return port(events.bindVirq(word(0), word(4)), 8);
    case 2:
      // Physical interrupts belong to domains with devices.
      return -Errno.EPERM;
    case 3:
      return events.close(word(0));
    case 4:
      return events.send(word(0));
    case 5:
      return status(c, a, pointer);
    case 6: {
      const dom = a.getUint16(0, true);
      if (dom !== DOMID_SELF && dom !== c.d.domid) return -Errno.EPERM;
      const remote = a.getUint16(2, true);
      return port(events.allocUnbound(remote === DOMID_SELF ? c.d.domid : remote), 4);
    }
    case 7:
      return port(events.bindIpi(word(0)), 4);
    case 8:
      return events.bindVcpu(word(0), word(4));
    case 9:
      return events.unmask(word(0));
    case 10: {
      const dom = a.getUint16(0, true);
      if (dom !== DOMID_SELF && dom !== c.d.domid) return -Errno.EPERM;
      events.reset();
      return 0;
    }
    case 11: {
      const gfn = a.getBigUint64(0, true);
      if (gfn > 0xffff_ffffn) return -Errno.EINVAL;
      const error = events.initControl(word(12), c.d.gfnToMfn(Number(gfn)), word(8));
      if (error) return error;
      a.setUint8(16, 17); // EVTCHN_FIFO_LINK_BITS
      return copyOutView(c.v, pointer, a) ? 0 : -Errno.EFAULT;
    }
    case 12: {
      const gfn = a.getBigUint64(0, true);
      return gfn > 0xffff_ffffn ? -Errno.EINVAL : events.expandArray(c.d.gfnToMfn(Number(gfn)));
    }
    case 13:
      return events.setPriority(word(0), word(4));
    default:
      return -Errno.ENOSYS;
  }
}

/** EVTCHNSTAT_* by our state. */
const STATUS: Record<number, number> = {
  [PortState.Free]: 0,
  [PortState.Reserved]: 0,
  [PortState.Unbound]: 1,
  [PortState.Interdomain]: 2,
  [PortState.Pirq]: 3,
  [PortState.Virq]: 4,
  [PortState.Ipi]: 5,
};

function status(c: Call, a: DataView, pointer: bigint): number {
  const dom = a.getUint16(0, true);
  if (dom !== DOMID_SELF && dom !== c.d.domid && c.d.domid !== DOMID_CONTROL) return -Errno.EPERM;
  const p = c.d.events.ports[a.getUint32(4, true)];
  if (!p) return -Errno.EINVAL;
  a.setUint32(8, STATUS[p.state], true);
  a.setUint32(12, p.vcpu, true);
  if (p.state === PortState.Unbound) a.setUint16(16, p.remoteDomid, true);
  else if (p.state === PortState.Interdomain) {
    a.setUint16(16, p.remoteDomid, true);
    a.setUint32(20, p.remotePort, true);
  } else if (p.state === PortState.Virq) a.setUint32(16, p.virq, true);
  return copyOutView(c.v, pointer, a) ? 0 : -Errno.EFAULT;
}
