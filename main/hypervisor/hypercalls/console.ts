// console_io: the hypervisor's own console. Unprivileged guests may write to it (Xen's "guest logging").

import { Errno } from '../abi/errno.ts';
import { copyIn } from '../guest-memory.ts';
import { type Call, type Result, u32 } from './call.ts';

const MAX_WRITE = 4096;

/** console_io(command, count, buffer). */
export function consoleIo(c: Call): Result {
  const command = u32(c.args[0]);
  const count = u32(c.args[1]);
  if (command === 0) {
    for (let done = 0; done < count;) {
      const chunk = Math.min(MAX_WRITE, count - done);
      const bytes = copyIn(c.v, c.args[2] + BigInt(done), chunk);
      if (!bytes) return -Errno.EFAULT;
      c.d.onConsoleIo?.(bytes);
      done += chunk;
      if (done >= 65536) break;
    }
    return 0;
  }
  // Reading is Domain-0's.
  return command === 1 ? -Errno.EPERM : -Errno.ENOSYS;
}
