// A domain's connection to the store: the shared page of public/io/xs_wire.h.
// Invariant: whatever the guest writes into its indexes or headers, at worst its own connection stops with an error code
// in the page.

import type { Domain } from '../../hypervisor/domain.ts';
import { frameAddress } from '../../hypervisor/memory/frames.ts';
import { PAGE } from '../../machine/cpu/layout.ts';
import { traceName } from '../../hypervisor/trace.ts';
import { answer, type Connection, type Message, PAYLOAD_MAX, toBytes, XS } from './protocol.ts';
import { Session, type Store } from './store.ts';

const RING = 1024;
const RSP = 1024;
const REQ_CONS = 2048;
const REQ_PROD = 2052;
const RSP_CONS = 2056;
const RSP_PROD = 2060;
const SERVER_FEATURES = 2064;
const CONNECTION = 2068;
const ERROR = 2072;
const FEATURE_RECONNECTION = 1;
const FEATURE_ERROR = 2;
const ERROR_RINGIDX = 2;
const ERROR_PROTO = 3;
const CONNECTION_RECONNECT = 1;
const HEADER = 16;
/** By message type. */
const TRACE = new Map<number, number>(
  Object.entries(XS).map(([name, type]) => [type, traceName('device', `xenstore ${name}`, ['bytes', 'transaction'])]),
);
/** Bytes that may wait for a guest that does not read. */
const MAX_QUEUED = 1 << 20;

export class StoreRing implements Connection {
  readonly session: Session;
  private readonly d: Domain;
  private readonly store: Store;
  private readonly mfn: number;
  private readonly notify: () => void;
  private readonly isIntroduced: (domid: number) => boolean;
  private input: number[] = [];
  private queued: Uint8Array[] = [];
  private queuedBytes = 0;
  private broken = false;
  private busy = false;
  private readonly late: Message[] = [];
  requests = 0;

  constructor(d: Domain, store: Store, mfn: number, notify: () => void, isIntroduced: (domid: number) => boolean) {
    this.d = d;
    this.store = store;
    this.mfn = mfn;
    this.notify = notify;
    this.isIntroduced = isIntroduced;
    this.session = new Session(d.domid);
    this.set(SERVER_FEATURES, FEATURE_RECONNECTION | FEATURE_ERROR);
  }

  private get(offset: number): number {
    return this.d.mem.view.getUint32(frameAddress(this.mfn) + offset, true);
  }
  private set(offset: number, value: number): void {
    this.d.mem.write32(this.mfn * PAGE + offset, value >>> 0);
  }

  introduced(domid: number): boolean {
    return this.isIntroduced(domid);
  }

  watchEvent(path: string, token: string): void {
    const event: Message = {
      type: XS.WATCH_EVENT,
      requestId: 0,
      transaction: 0,
      payload: toBytes(`${path}\0${token}\0`),
    };
    if (this.busy) {
      // The reply to the request that caused it goes first.
      this.late.push(event);
      return;
    }
    this.send(event);
    if (this.flush()) this.notify();
  }

  /** The guest rang. */
  service(): void {
    if (this.get(CONNECTION) === CONNECTION_RECONNECT) this.reconnect();
    if (this.broken) return;
    this.busy = true;
    let moved = false;
    while (this.readSome()) {
      moved = true;
      while (this.takeRequest());
      if (this.broken) break;
    }
    this.busy = false;
    if (this.flush() || moved) this.notify();
  }

  private reconnect(): void {
    this.store.removeWatches(this);
    this.session.transactions.clear();
    this.input = [];
    this.queued = [];
    this.queuedBytes = 0;
    this.broken = false;
    for (const at of [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD]) this.set(at, 0);
    this.set(CONNECTION, 0);
    this.notify();
  }

  private break(code: number): void {
    this.broken = true;
    this.set(ERROR, code);
    this.notify();
  }

  private readSome(): boolean {
    if (this.broken) return false;
    const prod = this.get(REQ_PROD);
    const cons = this.get(REQ_CONS);
    const count = (prod - cons) >>> 0;
    if (count > RING) {
      this.break(ERROR_RINGIDX);
      return false;
    }
    for (let i = 0; i < count; i++) this.input.push(this.d.mem.u8[frameAddress(this.mfn) + ((cons + i) & (RING - 1))]);
    this.set(REQ_CONS, prod);
    return count > 0;
  }

  private takeRequest(): boolean {
    if (this.input.length < HEADER) return false;
    const header = new DataView(Uint8Array.from(this.input.slice(0, HEADER)).buffer);
    const length = header.getUint32(12, true);
    if (length > PAYLOAD_MAX) {
      this.break(ERROR_PROTO);
      return false;
    }
    if (this.input.length < HEADER + length) return false;
    const payload = Uint8Array.from(this.input.slice(HEADER, HEADER + length));
    this.input = this.input.slice(HEADER + length);
    this.requests++;
    const m: Message = {
      type: header.getUint32(0, true),
      requestId: header.getUint32(4, true),
      transaction: header.getUint32(8, true),
      payload,
    };
    const { trace } = this.d.host;
    const name = TRACE.get(m.type);
    if (trace.recording && name !== undefined) trace.add(name, this.d.domid, 0, length, m.transaction);
    this.send(answer(this.store, this, m));
    for (const event of this.late.splice(0)) this.send(event);
    return true;
  }

  private send(m: Message): void {
    if (this.queuedBytes > MAX_QUEUED) return this.break(ERROR_PROTO);
    const bytes = new Uint8Array(HEADER + m.payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, m.type, true);
    view.setUint32(4, m.requestId, true);
    view.setUint32(8, m.transaction, true);
    view.setUint32(12, m.payload.length, true);
    bytes.set(m.payload, HEADER);
    this.queued.push(bytes);
    this.queuedBytes += bytes.length;
  }

  /** Puts what fits into the ring; true when something moved. */
  private flush(): boolean {
    let moved = false;
    while (this.queued.length && !this.broken) {
      const prod = this.get(RSP_PROD);
      const used = (prod - this.get(RSP_CONS)) >>> 0;
      if (used > RING) {
        this.break(ERROR_RINGIDX);
        break;
      }
      const first = this.queued[0];
      const count = Math.min(RING - used, first.length);
      if (count === 0) break;
      for (let i = 0; i < count; i++) this.d.mem.write8(this.mfn * PAGE + RSP + ((prod + i) & (RING - 1)), first[i]);
      this.set(RSP_PROD, prod + count);
      this.queuedBytes -= count;
      if (count === first.length) this.queued.shift();
      else this.queued[0] = first.subarray(count);
      moved = true;
    }
    return moved;
  }

  /** The domain is gone. */
  close(): void {
    this.store.removeWatches(this);
    this.session.transactions.clear();
  }
}
