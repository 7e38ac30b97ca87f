// qcow2 images, version 2 and 3 (QEMU docs/interop/qcow2.rst): a disk that grows as it is written, over a read-only base if it has one.
// Not read: encryption, external data files, extended L2 entries. With internal snapshots it is read only.
// Invariant: data is in the file before the table entry that names it, and a cluster is counted before anything refers to it.

import { inflateRawSync } from 'node:zlib';
import type { BlockImage } from './block-backend.ts';

const MAGIC = 0x514649fb;
const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;
const ZERO = 1n;
/** Incompatible features that do not matter here: bit 0, "dirty", only says that reference counts may be too low. */
const DIRTY = 1n;
const MAX_L2_CACHED = 256;

/** An image that cannot be used; the message is a sentence. */
export class Qcow2Error extends Error {
  override readonly name = 'Qcow2Error';
}

/** The bytes of the image file: `bytes` grows as writes go beyond the end. */
export interface ImageFile {
  readonly bytes: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, data: Uint8Array): void;
  flush(): void;
}

/**
 * The base image a qcow2 file was made over: its name, and its format where the file says it (a header extension); null when there is none.
 * @throws Qcow2Error when it is no qcow2 file
 */
export function qcow2Backing(file: ImageFile): { name: string; format: string | null } | null {
  const view = readHeader(file);
  const offset = Number(view.getBigUint64(8));
  const length = view.getUint32(16);
  if (offset === 0 || length === 0) return null;
  if (length > 1023 || offset + length > file.bytes) throw new Qcow2Error('The name of its base image is damaged.');
  return { name: new TextDecoder().decode(file.read(offset, length)), format: backingFormat(file, view, offset) };
}

/** Header extension that names the format of the base image. */
const BACKING_FORMAT = 0xe279_2aca;

/** The format of the base image by its header extension; null where there is none. Extensions lie between the header and the base's name. */
function backingFormat(file: ImageFile, header: DataView, end: number): string | null {
  let at = header.getUint32(4) === 2 ? 72 : header.getUint32(100);
  for (let n = 0; n < 64 && at + 8 <= end; n++) {
    const view = viewOf(file.read(at, 8));
    const [type, length] = [view.getUint32(0), view.getUint32(4)];
    if (type === 0 || at + 8 + length > end) return null;
    if (type === BACKING_FORMAT) return new TextDecoder().decode(file.read(at + 8, length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return null;
}

function readHeader(file: ImageFile): DataView {
  if (file.bytes < 72) throw new Qcow2Error('It is too short to be a qcow2 image.');
  const bytes = file.read(0, Math.min(112, file.bytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== MAGIC) throw new Qcow2Error('It does not begin like a qcow2 image.');
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw new Qcow2Error(`It is of version ${version}; 2 and 3 are read.`);
  if (version === 3 && bytes.length < 104) throw new Qcow2Error('Its header is cut short.');
  return view;
}

export class Qcow2Image implements BlockImage {
  readonly bytes: number;
  /** Why it cannot be written, or null. */
  readonly readOnlyBecause: string | null;
  private readonly file: ImageFile;
  private readonly base: BlockImage | null;
  private readonly clusterBits: number;
  private readonly cluster: number;
  private readonly l1: DataView;
  private readonly l1Offset: number;
  private readonly refcountOffset: number;
  private readonly refcountEntries: number;
  private readonly l2 = new Map<number, DataView>();

  /** @param base what is below clusters that were never written; null reads as zeros. @throws Qcow2Error */
  constructor(file: ImageFile, base: BlockImage | null) {
    const header = readHeader(file);
    const version = header.getUint32(4);
    this.file = file;
    this.base = base;
    this.clusterBits = header.getUint32(20);
    this.bytes = Number(header.getBigUint64(24));
    if (this.clusterBits < 9 || this.clusterBits > 21) throw new Qcow2Error('The size of its clusters is impossible.');
    if (header.getUint32(32) !== 0) throw new Qcow2Error('It is encrypted, which is not read here.');
    const features = version === 3 ? header.getBigUint64(72) : 0n;
    if (features & ~DIRTY)
      throw new Qcow2Error(`It uses features that are not read here (0x${(features & ~DIRTY).toString(16)}).`);
    this.cluster = 2 ** this.clusterBits;
    const l1Entries = header.getUint32(36);
    this.l1Offset = Number(header.getBigUint64(40));
    const needed = Math.ceil(this.bytes / (this.cluster * (this.cluster / 8)));
    if (l1Entries < needed || l1Entries > 2 ** 22 || this.l1Offset + l1Entries * 8 > file.bytes)
      throw new Qcow2Error('Its first-level table is damaged.');
    this.l1 = viewOf(file.read(this.l1Offset, l1Entries * 8));
    this.refcountOffset = Number(header.getBigUint64(48));
    this.refcountEntries = (header.getUint32(56) * this.cluster) / 8;
    const order = version === 3 ? header.getUint32(96) : 4;
    this.readOnlyBecause =
      header.getUint32(60) !== 0
        ? 'It has internal snapshots.'
        : order !== 4
          ? 'Its reference counts are not of 16 bits.'
          : features & DIRTY
            ? 'It was not closed; "qemu-img check -r all" puts it right.'
            : null;
  }

  read(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.pieces(offset, length, (at, size, done) => {
      const entry = this.entry(at);
      const within = at % this.cluster;
      if (entry & COMPRESSED) out.set(this.inflate(entry).subarray(within, within + size), done);
      else if (entry & ZERO) return;
      else if (entry & OFFSET_MASK) out.set(this.file.read(Number(entry & OFFSET_MASK) + within, size), done);
      else this.readBase(at, out.subarray(done, done + size));
    });
    return out;
  }

  /** @throws Qcow2Error when the image cannot be written or its tables are full */
  write(offset: number, data: Uint8Array): void {
    if (this.readOnlyBecause) throw new Qcow2Error(`The image cannot be written. ${this.readOnlyBecause}`);
    this.pieces(offset, data.length, (at, size, done) => {
      const piece = data.subarray(done, done + size);
      const entry = this.entry(at);
      if (entry & COPIED && !(entry & (COMPRESSED | ZERO))) {
        this.file.write(Number(entry & OFFSET_MASK) + (at % this.cluster), piece);
        return;
      }
      const start = at - (at % this.cluster);
      const whole = new Uint8Array(this.cluster);
      whole.set(this.read(start, Math.min(this.cluster, this.bytes - start)));
      whole.set(piece, at - start);
      const place = this.allocate();
      this.file.write(place, whole);
      this.setEntry(at, BigInt(place) | COPIED);
    });
  }

  flush(): void {
    this.file.flush();
  }

  /** Cuts a range at cluster borders. */
  private pieces(offset: number, length: number, each: (at: number, size: number, done: number) => void): void {
    for (let done = 0; done < length;) {
      const at = offset + done;
      const size = Math.min(length - done, this.cluster - (at % this.cluster));
      each(at, size, done);
      done += size;
    }
  }

  private readBase(at: number, into: Uint8Array): void {
    const size = Math.min(into.length, (this.base?.bytes ?? 0) - at);
    if (size > 0) into.set(this.base!.read(at, size));
  }

  private inflate(entry: bigint): Uint8Array {
    const bits = 62n - BigInt(this.clusterBits - 8);
    const offset = Number(entry & ((1n << bits) - 1n));
    const sectors = Number((entry & (COMPRESSED - 1n)) >> bits) + 1;
    const length = sectors * 512 - (offset % 512);
    // The deflate stream ends before the last sector does.
    const bytes = inflateRawSync(this.file.read(offset, Math.min(length, this.file.bytes - offset)), {
      finishFlush: 2, // Z_SYNC_FLUSH
      maxOutputLength: this.cluster,
    });
    if (bytes.length !== this.cluster) throw new Qcow2Error('A compressed cluster is damaged.');
    return bytes;
  }

  private l2Table(at: number, create: boolean): DataView | null {
    const index = Math.floor(at / (this.cluster * (this.cluster / 8)));
    let offset = Number(this.l1.getBigUint64(index * 8) & OFFSET_MASK);
    if (offset === 0) {
      if (!create) return null;
      offset = this.allocate();
      this.file.write(offset, new Uint8Array(this.cluster));
      this.l1.setBigUint64(index * 8, BigInt(offset) | COPIED);
      this.file.write(this.l1Offset + index * 8, new Uint8Array(this.l1.buffer, this.l1.byteOffset + index * 8, 8));
    }
    let table = this.l2.get(offset);
    if (!table) {
      if (offset + this.cluster > this.file.bytes) throw new Qcow2Error('A second-level table lies outside the file.');
      table = viewOf(this.file.read(offset, this.cluster));
      if (this.l2.size >= MAX_L2_CACHED) this.l2.delete(this.l2.keys().next().value!);
      this.l2.set(offset, table);
    }
    return table;
  }

  private entryIndex(at: number): number {
    return (Math.floor(at / this.cluster) % (this.cluster / 8)) * 8;
  }
  private entry(at: number): bigint {
    return this.l2Table(at, false)?.getBigUint64(this.entryIndex(at)) ?? 0n;
  }
  private setEntry(at: number, value: bigint): void {
    const table = this.l2Table(at, true)!;
    const index = this.entryIndex(at);
    table.setBigUint64(index, value);
    const l1 = Math.floor(at / (this.cluster * (this.cluster / 8)));
    const offset = Number(this.l1.getBigUint64(l1 * 8) & OFFSET_MASK);
    this.file.write(offset + index, new Uint8Array(table.buffer, table.byteOffset + index, 8));
  }

  // ---- clusters: new ones come at the end of the file

  private allocate(): number {
    const place = Math.ceil(this.file.bytes / this.cluster) * this.cluster;
    this.file.write(place + this.cluster - 1, new Uint8Array(1));
    this.count(place / this.cluster);
    return place;
  }

  /** Sets a cluster's reference count to one, in a block that may have to be made. */
  private count(index: number): void {
    const perBlock = this.cluster / 2;
    const block = Math.floor(index / perBlock);
    if (block >= this.refcountEntries)
      throw new Qcow2Error('The image cannot grow: its table of reference counts is full.');
    const at = this.refcountOffset + block * 8;
    let offset = Number(viewOf(this.file.read(at, 8)).getBigUint64(0) & OFFSET_MASK);
    if (offset === 0) {
      offset = Math.ceil(this.file.bytes / this.cluster) * this.cluster;
      this.file.write(offset, new Uint8Array(this.cluster));
      const entry = viewOf(new Uint8Array(8));
      entry.setBigUint64(0, BigInt(offset));
      this.file.write(at, new Uint8Array(entry.buffer));
      this.count(offset / this.cluster);
    }
    this.file.write(offset + (index % perBlock) * 2, Uint8Array.of(0, 1));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Makes an empty image of version 3 with clusters of 64 KiB.
 * @param bytes size of the disk
 * @param backing name of the base image below it, and its format, as "qemu-img create -b" writes them
 */
export function createQcow2(
  file: ImageFile,
  bytes: number,
  backing: { name: string; format: 'raw' | 'qcow2' } | null,
): void {
  const cluster = 65_536;
  const l1Entries = Math.max(1, Math.ceil(bytes / (cluster * (cluster / 8))));
  const l1Clusters = Math.ceil((l1Entries * 8) / cluster);
  const name = new TextEncoder().encode(backing?.name ?? '');
  const head = new Uint8Array(cluster);
  const view = viewOf(head);
  view.setUint32(0, MAGIC);
  view.setUint32(4, 3);
  view.setUint32(20, 16);
  view.setBigUint64(24, BigInt(bytes));
  view.setUint32(36, l1Entries);
  view.setBigUint64(40, BigInt(3 * cluster));
  view.setBigUint64(48, BigInt(cluster)); // one cluster of reference table, then one block
  view.setUint32(56, 1);
  view.setUint32(96, 4);
  view.setUint32(100, 104);
  if (backing) {
    // Header extension: format of the base image. It is padded to 8 bytes; an empty one ends the list.
    view.setUint32(104, BACKING_FORMAT);
    view.setUint32(108, backing.format.length);
    head.set(new TextEncoder().encode(backing.format), 112);
    view.setBigUint64(8, 256n);
    view.setUint32(16, name.length);
    head.set(name, 256);
  }
  const table = viewOf(new Uint8Array(cluster));
  table.setBigUint64(0, BigInt(2 * cluster));
  const counts = viewOf(new Uint8Array(cluster));
  for (let n = 0; n < 3 + l1Clusters; n++) counts.setUint16(n * 2, 1);
  file.write(0, head);
  file.write(cluster, new Uint8Array(table.buffer));
  file.write(2 * cluster, new Uint8Array(counts.buffer));
  file.write(3 * cluster, new Uint8Array(l1Clusters * cluster));
}
