// sched_op and set_timer_op.

import { NS_PER_SECOND } from '../../../shared/units.ts';
import { Errno } from '../abi/errno.ts';
import { ShutdownReason } from '../abi/constants.ts';
import { NativeStruct, viewIn } from '../guest-memory.ts';
import { type Call, type Result, u32 } from './call.ts';

const MAX_POLL_PORTS = 128;

/** sched_op(command, argument). */
export function schedOp(c: Call): Result {
  const { v } = c;
  switch (u32(c.args[0])) {
    case 0:
      yieldNow(c);
      return 0;
    case 1:
      block(c);
      return 0;
    case 2: {
      const view = viewIn(v, c.args[1], 4);
      if (!view) return -Errno.EFAULT;
      return shutdown(c, view.getUint32(0, true));
    }
    case 3:
      return poll(c);
    case 5: {
      const view = viewIn(v, c.args[1], 4);
      if (!view) return -Errno.EFAULT;
      // The reason is recorded for a shutdown that the guest completes by stopping its vCPUs.
      return view.getUint32(0, true) > 5 ? -Errno.EINVAL : 0;
    }
    case 6:
      return watchdog(c);
    case 4:
    case 7:
      return -Errno.EPERM;
    default:
      return -Errno.ENOSYS;
  }
}

/** The old form: yield, block, and shutdown with the reason as the argument itself. */
export function schedOpCompat(c: Call): Result {
  switch (u32(c.args[0])) {
    case 0:
      yieldNow(c);
      return 0;
    case 1:
      block(c);
      return 0;
    case 2: {
      // Eight bits of the argument count, and any value ends the domain (do_sched_op_compat): kernels that pass a pointer, as
      // for the new form, rely on that.
      const reason = u32(c.args[1]) & 0xff;
      if (reason > ShutdownReason.SoftReset)
        c.d.crash(`it shut down with the reason ${reason} (sched_op_compat), which means nothing`);
      else shutdown(c, reason);
      return 0;
    }
    default:
      return -Errno.ENOSYS;
  }
}

function yieldNow(c: Call): void {
  c.host.scheduler.yield(c.v);
  c.host.yieldCurrent();
}

/** Enables events and sleeps until one is pending. */
function block(c: Call): void {
  if (c.d.isPv) c.v.setUpcallMask(0);
  if (!c.v.upcallPending) c.v.block();
}

function shutdown(c: Call, reason: number): number {
  if (reason > ShutdownReason.SoftReset) return -Errno.EINVAL;
  if (reason === ShutdownReason.Crash) c.d.crash('its kernel reported a crash (SCHEDOP_shutdown with SHUTDOWN_crash)');
  else c.d.shutdown(reason);
  return 0;
}

/** SCHEDOP_poll: sleep until one of the ports is pending, or the timeout. */
function poll(c: Call): number {
  const { v, d } = c;
  const view = viewIn(v, c.args[1], c.wide ? 24 : 16);
  if (!view) return -Errno.EFAULT;
  const ports = new NativeStruct(view, c.wide).long(0);
  const count = view.getUint32(c.wide ? 8 : 4, true);
  const timeout = view.getBigUint64(c.wide ? 16 : 8, true);
  if (count > MAX_POLL_PORTS) return -Errno.EINVAL;
  const list = viewIn(v, ports, count * 4);
  if (!list) return -Errno.EFAULT;
  const wanted: number[] = [];
  for (let i = 0; i < count; i++) {
    const port = list.getUint32(i * 4, true);
    if (!d.events.port(port)) return -Errno.EINVAL;
    if (d.events.abi.isPending(port)) return 0;
    wanted.push(port);
  }
  v.polling = wanted;
  v.block();
  if (timeout) {
    v.pollTimer = c.host.schedule(Number(timeout), () => {
      v.pollTimer = null;
      v.unblock();
    });
  }
  return 0;
}

/** SCHEDOP_watchdog: two per domain, numbered from 1; a timeout of 0 stops one. */
function watchdog(c: Call): number {
  const view = viewIn(c.v, c.args[1], 8);
  if (!view) return -Errno.EFAULT;
  const id = view.getUint32(0, true);
  const seconds = view.getUint32(4, true);
  const { watchdogs } = c.d;
  const arm = (slot: number) => {
    watchdogs[slot] = seconds
      ? c.host.schedule(c.host.now() + seconds * NS_PER_SECOND, () => c.d.shutdown(ShutdownReason.Watchdog))
      : null;
  };
  if (id === 0) {
    if (seconds === 0) return -Errno.EINVAL;
    const slot = watchdogs.indexOf(null);
    if (slot < 0) return -Errno.ENOSPC;
    arm(slot);
    return slot + 1;
  }
  const current = watchdogs[id - 1];
  if (!current) return -Errno.EINVAL;
  c.host.cancel(current);
  arm(id - 1);
  return 0;
}

/** set_timer_op(timeout): absolute system time in ns; 0 stops. 32-bit guests pass two words. */
export function setTimerOp(c: Call): Result {
  const timeout = c.wide ? c.args[0] : c.args[0] | (c.args[1] << 32n);
  if (timeout === 0n) c.v.stopSingleShot();
  else {
    const now = c.host.now();
    // A timeout in the far future or in the past: Xen fires soon, so that a guest that miscounts is not lost.
    c.v.setSingleShot(timeout > 0x7fff_ffff_ffff_ffffn ? now + 100_000_000 : Math.max(Number(timeout), now));
  }
  return 0;
}
