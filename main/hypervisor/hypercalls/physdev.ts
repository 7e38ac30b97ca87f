// physdev_op as far as domains without devices use it.

import { Errno } from '../abi/errno.ts';
import { viewIn } from '../guest-memory.ts';
import { type Call, type Result, u32 } from './call.ts';

const Op = {
  eoi: 12,
  irq_status_query: 5,
  set_iopl: 6,
  set_iobitmap: 7,
  pirq_eoi_gmfn_v1: 17,
  pirq_eoi_gmfn_v2: 28,
} as const;

export function physdevOp(c: Call): Result {
  return run(c, u32(c.args[0]), c.args[1]);
}

/** The old form: a pointer to a command and a union. */
export function physdevOpCompat(c: Call): Result {
  const view = viewIn(c.v, c.args[0], 4);
  return view ? run(c, view.getUint32(0, true), c.args[0] + (c.wide ? 8n : 4n)) : -Errno.EFAULT;
}

function run(c: Call, command: number, pointer: bigint): number {
  switch (command) {
    case Op.set_iopl: {
      const view = viewIn(c.v, pointer, 4);
      if (!view) return -Errno.EFAULT;
      const iopl = view.getUint32(0, true);
      if (iopl > 3) return -Errno.EINVAL;
      c.v.pv!.iopl = iopl;
      return 0;
    }
    case Op.set_iobitmap:
      return 0;
    case Op.eoi:
    case Op.irq_status_query:
      // No physical interrupt is ever bound to a domain here.
      return -Errno.EINVAL;
    case Op.pirq_eoi_gmfn_v1:
    case Op.pirq_eoi_gmfn_v2:
      return -Errno.ENOSYS;
    default:
      return command > 31 ? -Errno.ENOSYS : -Errno.EPERM;
  }
}
