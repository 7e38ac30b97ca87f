// The network backend: frames of public/io/netif.h between a guest's rings and the switch.

import type { Domain } from '../../hypervisor/domain.ts';
import { traceName } from '../../hypervisor/trace.ts';
import { SharedRing } from '../shared-ring.ts';
import { SplitBackend } from '../split-driver.ts';
import type { Store } from '../xenstore/store.ts';
import type { Switch, SwitchPort } from './switch.ts';

const TX_SLOT = 12;
const RX_SLOT = 8;
const TxFlag = { csumBlank: 1, dataValidated: 2, moreData: 4, extraInfo: 8 } as const;
const RxFlag = { dataValidated: 1, csumBlank: 2 } as const;
const TRACE = {
  sent: traceName('device', 'vif sends', ['bytes']),
  received: traceName('device', 'vif receives', ['bytes']),
} as const;
const STATUS_OKAY = 0;
const STATUS_ERROR = -1;
/** Largest frame: 1,500 bytes of payload, header and a VLAN tag. */
const MAX_FRAME = 1518;
/** What a frame takes from one guest to another, in ns: the switch, and its bytes at 10 Gbit/s. */
const LATENCY_NS = 15_000;
const NS_PER_BYTE = 0.8;
/** Frames that wait for receive buffers; more are dropped, as a real card would. */
const MAX_WAITING = 256;

export interface NetFigures {
  packetsSent: number;
  packetsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  packetsDropped: number;
}

export class NetBackend extends SplitBackend implements SwitchPort {
  private readonly bridge: Switch;
  private readonly mac: string;
  private tx: SharedRing | null = null;
  private rx: SharedRing | null = null;
  /** Sees every frame that the guest sends or gets, when it does. */
  tap: ((frame: Uint8Array) => void) | null = null;
  /** Bytes it may send in a second; 0 = as fast as the link is. */
  private readonly bytesPerSecond: number;
  /** Until then the frames that it sent keep its line busy. */
  private lineFreeAt = 0;
  private lineTimer = false;
  private waiting: { frame: Uint8Array; checksumBlank: boolean }[] = [];
  readonly figures: NetFigures = {
    packetsSent: 0,
    packetsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    packetsDropped: 0,
  };

  /**
   * @param mac six pairs of hexadecimal digits joined by colons
   * @param bytesPerSecond shapes what the guest sends (xl-network-configuration(5), rate); 0 = not at all
   */
  constructor(
    d: Domain,
    store: Store,
    id: number,
    mac: string,
    bridgeName: string,
    bridge: Switch,
    bytesPerSecond = 0,
  ) {
    super(d, store, 'vif', id);
    this.bytesPerSecond = bytesPerSecond;
    this.bridge = bridge;
    this.mac = mac;
    this.publish(
      id,
      { mac, mtu: 1500 },
      {
        mac,
        bridge: bridgeName,
        handle: id,
        type: 'vif',
        'feature-rx-copy': 1,
        'feature-rx-flip': 0,
        'feature-sg': 0,
        'feature-gso-tcpv4': 0,
        'hotplug-status': 'connected',
        // bytes in each interval, and its length in us
        ...(bytesPerSecond ? { rate: `${Math.max(1, Math.floor(bytesPerSecond / 20))},50000` } : {}),
      },
    );
  }

  protected connect(): string | null {
    const txRef = this.frontNumber('tx-ring-ref');
    const rxRef = this.frontNumber('rx-ring-ref');
    if (txRef === null || rxRef === null) return 'The frontend announced no rings.';
    if (this.frontNumber('request-rx-copy') === 0) return 'The frontend wants page flipping, which ended with Xen 3.';
    this.tx = SharedRing.open(this.d, txRef, TX_SLOT);
    this.rx = this.tx && SharedRing.open(this.d, rxRef, RX_SLOT);
    if (!this.tx || !this.rx) {
      this.tx?.close();
      this.tx = null;
      return `The rings' grants ${txRef} and ${rxRef} cannot be used.`;
    }
    this.bridge.plug(this);
    return null;
  }

  protected disconnect(): void {
    this.bridge.unplug(this);
    this.tx?.close();
    this.rx?.close();
    this.tx = this.rx = null;
    this.waiting = [];
  }

  protected service(): void {
    const { tx } = this;
    if (!tx) return;
    let answered = false;
    do {
      for (;;) {
        if (this.lineBusy()) break;
        const request = tx.next();
        if (request === null) break;
        if (request === 'broken') return this.protocolError('The frontend wrote a request index beyond its ring.');
        const status = this.send(request);
        const id = request.getUint16(8, true);
        tx.respond((slot) => {
          slot.setUint16(0, id, true);
          slot.setInt16(2, status, true);
        });
        answered = true;
      }
    } while (!this.lineTimer && tx.finalCheck());
    if (answered && tx.publish()) this.notify();
    this.refill();
  }

  /** A shaped interface leaves requests in the ring until its line is free: the guest's own queue fills, as behind a slow link. */
  private lineBusy(): boolean {
    const { host } = this.d;
    if (!this.bytesPerSecond || host.now() >= this.lineFreeAt) return false;
    if (!this.lineTimer) {
      this.lineTimer = true;
      host.schedule(this.lineFreeAt, () => {
        this.lineTimer = false;
        if (!this.d.dying) this.service();
      });
    }
    return true;
  }

  /** One transmit request: gref, offset, flags, id, size. */
  private send(r: DataView): number {
    const ref = r.getUint32(0, true);
    const offset = r.getUint16(4, true);
    const flags = r.getUint16(6, true);
    const size = r.getUint16(10, true);
    // Scatter-gather and extra segments were not offered.
    if (flags & (TxFlag.moreData | TxFlag.extraInfo) || size < 14 || size > MAX_FRAME || offset + size > 4096)
      return this.drop();
    const access = this.d.grants.open(ref, false);
    if (typeof access === 'number') return this.drop();
    const frame = access.bytes.slice(offset, offset + size);
    this.d.grants.close(ref, false);
    this.figures.packetsSent++;
    this.figures.bytesSent += size;
    if (this.d.host.trace.recording) this.d.host.trace.add(TRACE.sent, this.d.domid, 0, size);
    this.tap?.(frame);
    if (this.bytesPerSecond)
      this.lineFreeAt = Math.max(this.lineFreeAt, this.d.host.now()) + Math.ceil((size * 1e9) / this.bytesPerSecond);
    const blank = (flags & TxFlag.csumBlank) !== 0;
    const { host } = this.d;
    host.schedule(host.now() + LATENCY_NS + Math.floor(size * NS_PER_BYTE), () =>
      this.bridge.forward(this, frame, blank),
    );
    return STATUS_OKAY;
  }

  /** Tells the network that this address is here now. */
  announce(): void {
    this.bridge.announce(
      this,
      Uint8Array.from(this.mac.split(':'), (pair) => parseInt(pair, 16)),
    );
  }

  private drop(): number {
    this.figures.packetsDropped++;
    return STATUS_ERROR;
  }

  deliver(frame: Uint8Array, checksumBlank: boolean): void {
    if (this.waiting.length >= MAX_WAITING) {
      this.figures.packetsDropped++;
      return;
    }
    this.waiting.push({ frame, checksumBlank });
    this.refill();
  }

  /** Puts waiting frames into receive buffers while there are some. */
  private refill(): void {
    const { rx } = this;
    if (!rx) return;
    let placed = false;
    while (this.waiting.length) {
      const request = rx.next();
      if (request === null) {
        if (rx.finalCheck()) continue;
        break;
      }
      if (request === 'broken') return this.protocolError('The frontend wrote a receive index beyond its ring.');
      const id = request.getUint16(0, true);
      const ref = request.getUint32(4, true);
      const { frame, checksumBlank } = this.waiting[0];
      const access = this.d.grants.open(ref, true);
      let status = STATUS_ERROR;
      if (typeof access !== 'number') {
        access.bytes.set(frame, 0);
        this.d.grants.close(ref, true);
        status = frame.length;
        this.waiting.shift();
        this.tap?.(frame);
        this.figures.packetsReceived++;
        this.figures.bytesReceived += frame.length;
        if (this.d.host.trace.recording) this.d.host.trace.add(TRACE.received, this.d.domid, 0, frame.length);
      }
      rx.respond((slot) => {
        slot.setUint16(0, id, true);
        slot.setUint16(2, 0, true);
        slot.setUint16(4, checksumBlank ? RxFlag.csumBlank | RxFlag.dataValidated : RxFlag.dataValidated, true);
        slot.setInt16(6, status, true);
      });
      placed = true;
    }
    if (placed && rx.publish()) this.notify();
  }
}
