// The block backend: requests of public/io/blkif.h served from a disk image after a delay that stands for the disk.

import type { Domain } from '../../hypervisor/domain.ts';
import { traceName } from '../../hypervisor/trace.ts';
import { SharedRing } from '../shared-ring.ts';
import { Qcow2Error } from './qcow2.ts';
import { SplitBackend } from '../split-driver.ts';
import type { Store } from '../xenstore/store.ts';

/** Bytes behind a disk; the toolstack's DiskBacking is one. */
export interface BlockImage {
  readonly bytes: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, data: Uint8Array): void;
  flush(): void;
  /** Nobody uses it any more. */
  close?(): void;
}

const SECTOR = 512;
const MAX_SEGMENTS = 11;
const SECTORS_PER_PAGE = 8;
const Op = { READ: 0, WRITE: 1, WRITE_BARRIER: 2, FLUSH: 3 } as const;
const Status = { OKAY: 0, ERROR: -1, EOPNOTSUPP: -2 } as const;
const TRACE = {
  read: traceName('device', 'vbd read', ['device', 'sector', 'bytes']),
  write: traceName('device', 'vbd write', ['device', 'sector', 'bytes']),
} as const;
/** A solid-state disk: latency of a request in ns, and bytes it moves in a microsecond. */
const LATENCY_NS = 80_000;
const BYTES_PER_US = 500;

/** Where fields lie: 64-bit structures are padded, those of 32-bit guests are not. */
const LAYOUT = {
  'x86_64-abi': { slot: 112, id: 8, sector: 16, segments: 24 },
  'x86_32-abi': { slot: 108, id: 4, sector: 12, segments: 20 },
} as const;
type Protocol = keyof typeof LAYOUT;

export interface DiskFigures {
  readRequests: number;
  writeRequests: number;
  bytesRead: number;
  bytesWritten: number;
}

/** Device number of a name like xvda, xvdb1, hda, sda (docs/man/xen-vbd-interface.7). Null when it is none. */
export function deviceNumber(name: string): number | null {
  const m = /^(xvd|hd|sd)([a-z])(\d{1,2})?$/.exec(name);
  if (!m) return null;
  const disk = m[2].charCodeAt(0) - 97;
  const partition = m[3] ? Number(m[3]) : 0;
  if (m[1] === 'xvd')
    return partition > 15
      ? null
      : disk < 16
        ? (202 << 8) | (disk << 4) | partition
        : (1 << 28) | (disk << 8) | partition;
  if (m[1] === 'sd') return disk < 16 && partition < 16 ? (8 << 8) | (disk << 4) | partition : null;
  return disk < 4 && partition < 64 ? ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition : null;
}

export class BlockBackend extends SplitBackend {
  private readonly id: number;
  readonly image: BlockImage;
  private readonly readOnly: boolean;
  private ring: SharedRing | null = null;
  private layout: (typeof LAYOUT)[Protocol] = LAYOUT['x86_64-abi'];
  /** Told of every write to the image, while it is copied elsewhere. */
  onWrite: ((offset: number, length: number) => void) | null = null;
  readonly figures: DiskFigures = { readRequests: 0, writeRequests: 0, bytesRead: 0, bytesWritten: 0 };

  constructor(d: Domain, store: Store, id: number, name: string, image: BlockImage, readOnly: boolean) {
    super(d, store, 'vbd', id);
    this.id = id;
    this.image = image;
    this.readOnly = readOnly;
    this.publish(
      id,
      { 'virtual-device': id, 'device-type': 'disk' },
      {
        dev: name,
        mode: readOnly ? 'r' : 'w',
        'device-type': 'disk',
        type: 'phy',
        removable: 0,
        bootable: 1,
        'feature-flush-cache': 1,
        'feature-barrier': 1,
      },
    );
  }

  protected connect(): string | null {
    const ref = this.frontNumber('ring-ref') ?? this.frontNumber('ring-ref0');
    const order = this.frontNumber('ring-page-order') ?? 0;
    if (ref === null || order !== 0) return 'The frontend announced no single-page ring.';
    const protocol = this.store.get(`${this.front}/protocol`) ?? (this.d.shinfo32 ? 'x86_32-abi' : 'x86_64-abi');
    if (!(protocol in LAYOUT)) return `The frontend speaks ${protocol}, which is not known here.`;
    this.layout = LAYOUT[protocol as Protocol];
    this.ring = SharedRing.open(this.d, ref, this.layout.slot);
    if (!this.ring) return `The ring's grant ${ref} cannot be used.`;
    const set = (key: string, value: number) => this.store.set(`${this.back}/${key}`, String(value));
    set('sectors', Math.floor(this.image.bytes / SECTOR));
    set('sector-size', SECTOR);
    set('physical-sector-size', SECTOR);
    set('info', this.readOnly ? 4 : 0);
    return null;
  }

  override close(): void {
    super.close();
    this.image.close?.();
  }

  protected disconnect(): void {
    this.ring?.close();
    this.ring = null;
    this.image.flush();
  }

  protected service(): void {
    const { ring } = this;
    if (!ring) return;
    do {
      for (;;) {
        const request = ring.next();
        if (request === null) break;
        if (request === 'broken') return this.protocolError('The frontend wrote a request index beyond its ring.');
        this.take(ring, request);
      }
    } while (ring.finalCheck());
  }

  private take(ring: SharedRing, r: DataView): void {
    const operation = r.getUint8(0);
    const id = r.getBigUint64(this.layout.id, true);
    const { status, bytes } = this.attempt(operation, r);
    const at = this.d.host.now() + LATENCY_NS + Math.floor((bytes * 1000) / BYTES_PER_US);
    this.d.host.schedule(at, () => {
      if (this.ring !== ring) return;
      ring.respond((slot) => {
        slot.setBigUint64(0, id, true);
        slot.setUint8(8, operation);
        slot.setInt16(10, status, true);
      });
      if (ring.publish()) this.notify();
    });
  }

  /** A disk of this computer that fails (full, gone, damaged) fails the guest's request, as a broken disk would. */
  private attempt(operation: number, r: DataView): { status: number; bytes: number } {
    try {
      return this.run(operation, r);
    } catch (error) {
      if (!(error instanceof Qcow2Error) && !(error instanceof Error && 'syscall' in error)) throw error;
      this.store.set(`${this.back}/error`, error.message);
      return { status: Status.ERROR, bytes: 0 };
    }
  }

  private run(operation: number, r: DataView): { status: number; bytes: number } {
    if (operation === Op.FLUSH) {
      this.image.flush();
      return { status: Status.OKAY, bytes: 0 };
    }
    const write = operation === Op.WRITE || operation === Op.WRITE_BARRIER;
    if (operation !== Op.READ && !write) return { status: Status.EOPNOTSUPP, bytes: 0 };
    const failed = { status: Status.ERROR, bytes: 0 };
    const segments = r.getUint8(1);
    if (segments > MAX_SEGMENTS || (segments === 0 && operation !== Op.WRITE_BARRIER) || (write && this.readOnly))
      return failed;
    const sector = r.getBigUint64(this.layout.sector, true);
    // No image is that large; below it, offsets are exact numbers.
    if (sector > 0xff_ffff_ffffn) return failed;
    let offset = Number(sector) * SECTOR;
    let total = 0;
    for (let i = 0; i < segments; i++) {
      const at = this.layout.segments + i * 8;
      const ref = r.getUint32(at, true);
      const first = r.getUint8(at + 4);
      const last = r.getUint8(at + 5);
      if (first > last || last >= SECTORS_PER_PAGE) return failed;
      const length = (last - first + 1) * SECTOR;
      if (offset + length > this.image.bytes) return failed;
      const access = this.d.grants.open(ref, !write);
      if (typeof access === 'number') return failed;
      const page = access.bytes.subarray(first * SECTOR, first * SECTOR + length);
      if (write) {
        this.image.write(offset, page.slice());
        this.onWrite?.(offset, length);
      } else page.set(this.image.read(offset, length));
      this.d.grants.close(ref, !write);
      offset += length;
      total += length;
    }
    const { trace } = this.d.host;
    if (trace.recording)
      trace.addWide(write ? TRACE.write : TRACE.read, this.d.domid, 0, [BigInt(this.id), sector, BigInt(total)]);
    if (write) {
      this.figures.writeRequests++;
      this.figures.bytesWritten += total;
    } else {
      this.figures.readRequests++;
      this.figures.bytesRead += total;
    }
    return { status: Status.OKAY, bytes: total };
  }
}
