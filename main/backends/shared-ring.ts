// The request/response ring of public/io/ring.h, as a backend sees it: one granted page of 64 bytes of indexes and
// power-of-two many slots. Invariant: indexes that the guest wrote are checked before they are used.

import type { Domain } from '../hypervisor/domain.ts';
import { PAGE } from '../machine/cpu/layout.ts';

const REQ_PROD = 0;
const REQ_EVENT = 4;
const RSP_PROD = 8;
const RSP_EVENT = 12;
const SLOTS = 64;

export class SharedRing {
  private readonly d: Domain;
  private readonly ref: number;
  private readonly mfn: number;
  private readonly view: DataView;
  private readonly slotBytes: number;
  readonly size: number;
  private reqCons: number;
  private rspProd: number;

  private constructor(d: Domain, ref: number, mfn: number, bytes: Uint8Array, slotBytes: number) {
    this.d = d;
    this.ref = ref;
    this.mfn = mfn;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.slotBytes = slotBytes;
    this.size = 2 ** Math.floor(Math.log2((4096 - SLOTS) / slotBytes));
    this.rspProd = this.view.getUint32(RSP_PROD, true);
    this.reqCons = this.rspProd;
  }

  /** Takes the ring page by its grant; null when the guest has not granted it writable. */
  static open(d: Domain, ref: number, slotBytes: number): SharedRing | null {
    const access = d.grants.open(ref, true);
    return typeof access === 'number' ? null : new SharedRing(d, ref, access.mfn, access.bytes, slotBytes);
  }

  close(): void {
    this.d.grants.close(this.ref, true);
  }

  /** The backend writes into the guest's page. */
  private noteWrite(): void {
    this.d.mem.noteWrite(this.mfn * PAGE, PAGE);
  }

  /** A copy of the next request, null when there is none, 'broken' when the guest's index is impossible. */
  next(): DataView | null | 'broken' {
    const prod = this.view.getUint32(REQ_PROD, true);
    const waiting = (prod - this.reqCons) >>> 0;
    if (waiting === 0) return null;
    if (waiting > this.size || (this.reqCons - this.rspProd) >>> 0 >= this.size) return 'broken';
    const at = SLOTS + (this.reqCons & (this.size - 1)) * this.slotBytes;
    this.reqCons = (this.reqCons + 1) >>> 0;
    return new DataView(this.view.buffer.slice(this.view.byteOffset + at, this.view.byteOffset + at + this.slotBytes));
  }

  /** After the last request: asks for an event at the next; true when one came in meanwhile. */
  finalCheck(): boolean {
    this.noteWrite();
    this.view.setUint32(REQ_EVENT, (this.reqCons + 1) >>> 0, true);
    return this.view.getUint32(REQ_PROD, true) !== this.reqCons;
  }

  /** Writes one response. */
  respond(fill: (slot: DataView) => void): void {
    this.noteWrite();
    const at = SLOTS + (this.rspProd & (this.size - 1)) * this.slotBytes;
    fill(new DataView(this.view.buffer, this.view.byteOffset + at, this.slotBytes));
    this.rspProd = (this.rspProd + 1) >>> 0;
  }

  /** Publishes responses; true when the guest wants an event for them (RING_PUSH_RESPONSES_AND_CHECK_NOTIFY). */
  publish(): boolean {
    this.noteWrite();
    const old = this.view.getUint32(RSP_PROD, true);
    this.view.setUint32(RSP_PROD, this.rspProd, true);
    const event = this.view.getUint32(RSP_EVENT, true);
    return (this.rspProd - event) >>> 0 < (this.rspProd - old) >>> 0;
  }
}
