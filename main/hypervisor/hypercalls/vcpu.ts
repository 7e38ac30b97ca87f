// vcpu_op: bringing vCPUs up and down, run state, timers, where vcpu_info lives.

import { Errno } from '../abi/errno.ts';
import { copyOutView, copyOut, viewIn } from '../guest-memory.ts';
import { FrameType } from '../memory/frame-table.ts';
import { initialisePv } from '../pv/guest-context.ts';
import { updateTimeInfo } from '../time/pv-clock.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { type Call, type Result, frameNumber, u32 } from './call.ts';
import { frameAddress } from '../memory/frames.ts';

const MIN_PERIOD_NS = 1_000_000;

/** vcpu_op(command, vcpu id, argument). */
export function vcpuOp(c: Call): Result {
  const v = c.d.vcpus[u32(c.args[1])];
  const pointer = c.args[2];
  if (!v) return -Errno.ENOENT;
  switch (u32(c.args[0])) {
    case 0:
      if (v.initialised) return -Errno.EEXIST;
      return c.d.isPv ? initialisePv(c, v, pointer) : -Errno.ENOSYS;
    case 1:
      if (!v.initialised) return -Errno.EINVAL;
      v.bringUp();
      return 0;
    case 2:
      v.takeDown();
      return 0;
    case 3:
      return v.online ? 1 : 0;
    case 4: {
      const info = runstateBytes(v, c.wide);
      return copyOut(c.v, pointer, info) ? 0 : -Errno.EFAULT;
    }
    case 5: {
      const view = viewIn(c.v, pointer, 8);
      if (!view) return -Errno.EFAULT;
      v.runstateArea = c.wide ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
      if (v === c.v) updateRunstateArea(v);
      return 0;
    }
    case 6: {
      const view = viewIn(c.v, pointer, 8);
      if (!view) return -Errno.EFAULT;
      const period = Number(view.getBigUint64(0, true));
      if (period < MIN_PERIOD_NS) return -Errno.EINVAL;
      v.setPeriodic(period);
      return 0;
    }
    case 7:
      v.stopPeriodic();
      return 0;
    case 8: {
      if (v !== c.v) return -Errno.EINVAL;
      // 32-bit guests pack the structure to 12 bytes.
      const view = viewIn(c.v, pointer, 12);
      if (!view) return -Errno.EFAULT;
      const at = view.getBigUint64(0, true);
      const now = c.host.now();
      if (view.getUint32(8, true) & 1 && at < BigInt(now)) return -62; // -ETIME
      v.setSingleShot(Math.max(Number(at), now));
      return 0;
    }
    case 9:
      if (v !== c.v) return -Errno.EINVAL;
      v.stopSingleShot();
      return 0;
    case 10:
      return registerInfo(c, v, pointer);
    case 11:
      v.sendNmi();
      return 0;
    case 12:
      return -Errno.EINVAL;
    case 13: {
      const view = viewIn(c.v, pointer, 8);
      if (!view) return -Errno.EFAULT;
      v.timeArea = c.wide ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
      updateTimeInfo(v);
      return 0;
    }
    default:
      return -Errno.ENOSYS;
  }
}

/** VCPUOP_register_vcpu_info: once per vCPU; what is pending moves along, and everything is looked at anew. */
function registerInfo(c: Call, v: GuestVcpu, pointer: bigint): number {
  const view = viewIn(c.v, pointer, 16);
  if (!view) return -Errno.EFAULT;
  const gfn = frameNumber(view.getBigUint64(0, true));
  const offset = view.getUint32(8, true);
  if (offset > 4096 - 64 || v.infoRegistered) return -Errno.EINVAL;
  const mfn = gfn < 0 ? -1 : c.d.gfnToMfn(gfn);
  const error = c.host.types.getPageAndType(mfn, c.d.domid, FrameType.Writable);
  if (error) return -Errno.EINVAL;
  const { mem } = c.d;
  const target = frameAddress(mfn) + offset;
  mem.noteWrite(mfn * 4096 + offset, 64);
  mem.u8.copyWithin(target, v.info, v.info + 64);
  v.infoMfn = mfn;
  v.infoOffset = offset;
  v.infoRegistered = true;
  // Every word is marked, so that nothing raised meanwhile is lost.
  mem.u8[target] = 1;
  if (c.d.shinfo32) mem.u32[(target + 4) >>> 2] = 0xffff_ffff;
  else mem.u64[(target + 8) >>> 3] = 0xffff_ffff_ffff_ffffn;
  updateTimeInfo(v);
  return 0;
}

/** struct vcpu_runstate_info in the guest's layout. */
export function runstateBytes(v: GuestVcpu, wide: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(wide ? 48 : 44));
  const times = v.runstateSnapshot();
  let at = wide ? 8 : 4;
  view.setUint32(0, v.runstate, true);
  view.setBigUint64(at, BigInt(v.runstateEntryNs), true);
  for (const t of times) view.setBigUint64((at += 8), BigInt(t), true);
  return new Uint8Array(view.buffer);
}

/** Refreshes a registered runstate area; the vCPU is the loaded one. */
export function updateRunstateArea(v: GuestVcpu): void {
  if (v.runstateArea === null) return;
  const wide = !v.domain.shinfo32;
  const bytes = runstateBytes(v, wide);
  // XEN_RUNSTATE_UPDATE (bit 63 of the entry time) is never seen set: the guest does not run during an update.
  copyOutView(v, v.runstateArea, new DataView(bytes.buffer));
}
