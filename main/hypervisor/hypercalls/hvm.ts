// hvm_op: parameters and event upcalls of HVM guests.

import { Errno } from '../abi/errno.ts';
import { DOMID_SELF } from '../abi/constants.ts';
import { copyOutView, viewIn } from '../guest-memory.ts';
import { isLongMode } from '../hvm/mode.ts';
import { updateWallClock } from '../time/pv-clock.ts';
import { type Call, type Result, u32 } from './call.ts';

const Param = {
  CALLBACK_IRQ: 0,
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  PAE_ENABLED: 4,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
  VM86_TSS: 15,
} as const;
const NR_PARAMS = 39;
/** What a guest may read of itself, besides what it may set. */
const READABLE = new Set<number>([
  Param.CALLBACK_IRQ,
  Param.STORE_PFN,
  Param.STORE_EVTCHN,
  Param.CONSOLE_PFN,
  Param.CONSOLE_EVTCHN,
  19,
  34,
]);

/** hvm_op(command, argument). */
export function hvmOp(c: Call): Result {
  const command = u32(c.args[0]);
  switch (command) {
    case 0:
    case 1:
      return param(c, command === 0);
    case 5: // flush_tlbs
      c.host.core.tlb.flush(true);
      return 0;
    case 9: // pagetable_dying: only shadow paging would want to know
      return -Errno.EOPNOTSUPP;
    case 10: {
      // get_time
      const view = viewIn(c.v, c.args[1], 16);
      return view ? -Errno.ENOSYS : -Errno.EFAULT;
    }
    case 23: {
      const view = viewIn(c.v, c.args[1], 5);
      if (!view) return -Errno.EFAULT;
      const v = c.d.vcpus[view.getUint32(0, true)];
      const vector = view.getUint8(4);
      if (!v) return -Errno.ENOENT;
      if (vector < 16) return -Errno.EINVAL;
      v.hvm!.upcallVector = vector;
      return 0;
    }
    default:
      return -Errno.ENOSYS;
  }
}

function param(c: Call, set: boolean): number {
  const view = viewIn(c.v, c.args[1], 16);
  if (!view) return -Errno.EFAULT;
  const domid = view.getUint16(0, true);
  const index = view.getUint32(4, true);
  if (domid !== DOMID_SELF && domid !== c.d.domid) return -Errno.EPERM;
  if (index >= NR_PARAMS) return -Errno.EINVAL;
  if (set) {
    // The rest is the toolstack's.
    if (index !== Param.CALLBACK_IRQ && index !== Param.VM86_TSS) return -Errno.EPERM;
    c.d.params[index] = view.getBigUint64(8, true);
    if (index === Param.CALLBACK_IRQ) {
      c.d.shinfo32 = !isLongMode(c.v);
      updateWallClock(c.d); // it lies elsewhere in the other layout
    }
    return 0;
  }
  if (!READABLE.has(index)) return -Errno.EPERM;
  view.setBigUint64(8, c.d.params[index], true);
  return copyOutView(c.v, c.args[1], view) ? 0 : -Errno.EFAULT;
}
