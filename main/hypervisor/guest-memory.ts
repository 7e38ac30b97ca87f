// Copying between the hypervisor and the address space of the vCPU that is loaded in the core
// (copy_from_guest / copy_to_guest). A null or false result becomes -EFAULT in the caller.
// Invariant: an address inside the hypervisor's own hole is refused before it is translated.

import { COMPAT_M2P_VIRT_START, HYPERVISOR_VIRT_END_HI, HYPERVISOR_VIRT_START_HI } from './abi/constants.ts';
import type { GuestVcpu } from './vcpu.ts';
import { frameAddress } from './memory/frames.ts';

const READ = 0;
const WRITE = 1;

/** True when [address, address + length) avoids the hypervisor's hole and does not wrap. */
export function addressAllowed(v: GuestVcpu, address: bigint, length: number): boolean {
  const d = v.domain;
  if (d.kind === 'hvm') return true;
  if (d.kind === 'pv32') return Number(address) + length <= COMPAT_M2P_VIRT_START;
  const end = address + BigInt(length);
  if (end > 0x1_0000_0000_0000_0000n) return false;
  const startHi = Number(address >> 32n);
  const endHi = Number((end - 1n) >> 32n);
  return endHi < HYPERVISOR_VIRT_START_HI || startHi >= HYPERVISOR_VIRT_END_HI;
}

/** Machine address of a guest linear address, or -1. */
export function translate(v: GuestVcpu, address: bigint, write: boolean): number {
  const maddr = v.domain.host.core.translate(
    Number(address & 0xffff_ffffn) | 0,
    Number((address >> 32n) & 0xffff_ffffn) | 0,
    write ? WRITE : READ,
    false,
  );
  return maddr < v.domain.mem.ramBytes ? maddr : -1;
}

/** Bytes at a guest linear address, or null when one of them cannot be read. */
export function copyIn(v: GuestVcpu, address: bigint, length: number): Uint8Array | null {
  if (!addressAllowed(v, address, length)) return null;
  const mem = v.domain.mem;
  const out = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const at = address + BigInt(done);
    const chunk = Math.min(length - done, 4096 - Number(at & 0xfffn));
    const maddr = translate(v, at, false);
    if (maddr < 0) return null;
    const from = frameAddress(0) + maddr;
    out.set(mem.u8.subarray(from, from + chunk), done);
    done += chunk;
  }
  return out;
}

/** A view over a copy of guest memory, or null. */
export function viewIn(v: GuestVcpu, address: bigint, length: number): DataView | null {
  const bytes = copyIn(v, address, length);
  return bytes ? new DataView(bytes.buffer) : null;
}

/** Writes bytes at a guest linear address; false when one of them cannot be written (earlier ones may have been). */
export function copyOut(v: GuestVcpu, address: bigint, bytes: Uint8Array): boolean {
  if (!addressAllowed(v, address, bytes.length)) return false;
  const mem = v.domain.mem;
  for (let done = 0; done < bytes.length;) {
    const at = address + BigInt(done);
    const chunk = Math.min(bytes.length - done, 4096 - Number(at & 0xfffn));
    const maddr = translate(v, at, true);
    if (maddr < 0) return false;
    mem.u8.set(bytes.subarray(done, done + chunk), frameAddress(0) + maddr);
    mem.noteWrite(maddr, chunk);
    done += chunk;
  }
  return true;
}

export function copyOutView(v: GuestVcpu, address: bigint, view: DataView): boolean {
  return copyOut(v, address, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}

export function writeU32(v: GuestVcpu, address: bigint, value: number): boolean {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return copyOutView(v, address, view);
}

export function writeU64(v: GuestVcpu, address: bigint, value: bigint): boolean {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  return copyOutView(v, address, view);
}

/** Reads and writes a structure's fields at their native size: a C `unsigned long` or pointer is 4 or 8 bytes. */
export class NativeStruct {
  readonly view: DataView;
  readonly wide: boolean;

  constructor(view: DataView, wide: boolean) {
    this.view = view;
    this.wide = wide;
  }
  long(offset: number): bigint {
    return this.wide ? this.view.getBigUint64(offset, true) : BigInt(this.view.getUint32(offset, true));
  }
  setLong(offset: number, value: bigint): void {
    if (this.wide) this.view.setBigUint64(offset, value, true);
    else this.view.setUint32(offset, Number(value & 0xffff_ffffn), true);
  }
}
