// The PV clock: vcpu_time_info and the wall clock in shared_info (public/xen.h).
// Invariant: system time in ns = system_time + (((tsc - tsc_timestamp) << shift) * mul >> 32).
// The TSC never drifts against the host's virtual time, but some guests (GRUB) read system_time as it stands, so it is
// written anew every REFRESH_NS of running, as Xen does on every switch and once a second.

import type { Domain } from '../domain.ts';
import { copyOut } from '../guest-memory.ts';
import type { GuestVcpu } from '../vcpu.ts';

/** Multiplier and shift that turn cycles of `hz` into nanoseconds (Xen set_time_scale). */
export function timeScale(hz: number): { mul: number; shift: number } {
  // At exactly 1 GHz Xen's rule gives 2^31 << 1, which guests that compute the rate in 32 bits (GRUB) turn into 0. Shift 0
  // with the largest multiplier is a quarter of a nanosecond off in a second.
  if (hz === 1_000_000_000) return { mul: 0xffff_ffff, shift: 0 };
  let shift = 0;
  let ticks = hz;
  while (ticks > 2_000_000_000) {
    ticks = Math.floor(ticks / 2);
    shift--;
  }
  while (ticks <= 1_000_000_000) {
    ticks *= 2;
    shift++;
  }
  return { mul: Number((1_000_000_000n << 32n) / BigInt(ticks)), shift };
}

const REFRESH_NS = 10_000_000;

/** Called before a vCPU runs: refreshes what it reads when that has become old. */
export function refreshTimeInfo(v: GuestVcpu): void {
  const now = v.domain.host.now();
  if (now - v.timeUpdatedNs >= REFRESH_NS) updateTimeInfo(v);
}

/** Writes a vCPU's time information where the guest reads it. */
export function updateTimeInfo(v: GuestVcpu): void {
  const host = v.domain.host;
  v.timeUpdatedNs = host.now();
  const offset = v.info + 32;
  v.noteInfoWrite();
  fill(v.domain.mem.view, offset, v);
  if (v.timeArea !== null && host.loaded === v) {
    const bytes = new Uint8Array(32);
    fill(new DataView(bytes.buffer), 0, v);
    copyOut(v, v.timeArea, bytes);
  }
}

function fill(view: DataView, at: number, v: GuestVcpu): void {
  const host = v.domain.host;
  const { mul, shift } = timeScale(host.clockMHz * 1_000_000);
  v.timeVersion = (v.timeVersion + 2) >>> 0;
  view.setUint32(at, v.timeVersion, true);
  view.setUint32(at + 4, 0, true);
  const tsc = host.nowCycles();
  view.setBigUint64(at + 8, BigInt(tsc), true);
  view.setBigUint64(at + 16, BigInt(Math.floor((tsc * 1000) / host.clockMHz)), true);
  view.setUint32(at + 24, mul, true);
  view.setInt8(at + 28, shift);
  // TSC_STABLE: all vCPUs of a host read one clock.
  view.setUint8(at + 29, 1);
  view.setUint16(at + 30, 0, true);
}

/** Writes the wall clock of a domain: the time of day at system time zero. */
export function updateWallClock(d: Domain): void {
  const view = d.mem.view;
  const base = d.sharedInfo + (d.shinfo32 ? 2304 : 3072);
  const seconds = d.wallClockBaseNs / 1_000_000_000n;
  view.setUint32(base, (view.getUint32(base, true) + 2) >>> 0, true);
  view.setUint32(base + 4, Number(seconds & 0xffff_ffffn), true);
  view.setUint32(base + 8, Number(d.wallClockBaseNs % 1_000_000_000n), true);
  // wc_sec_hi: after wc_nsec for 64-bit guests, at the end of arch_shared_info for 32-bit ones.
  view.setUint32(d.shinfo32 ? d.sharedInfo + 2340 : base + 12, Number(seconds >> 32n), true);
}
