// Disks that travel with their domain: their blocks cross in the stream beside the pages, all at first, then those written meanwhile.
// The record is ours and optional (readers of Xen pass over it): u32 disk, u32 count, count block numbers as u32, padding to 8, the blocks.

import type { BlockBackend } from '../../backends/block/block-backend.ts';
import type { DiskBacking } from '../simulated-host.ts';
import { streamError } from '../stream/errors.ts';
import type { LibxcRecord } from '../stream/records.ts';

/** Number of the record: optional, "BD". */
export const DISK_BLOCKS = 0x8000_4244;
export const BLOCK_BYTES = 65_536;
/** Most blocks in one record. */
export const MAX_BLOCKS = 16;
/** A block is named by its disk (position in the spec) and number, as one number. */
const DISK_STRIDE = 2 ** 32;

/** The disks of one domain that are copied along, at the source. */
export class CopiedDisks {
  private readonly disks: ReadonlyMap<number, BlockBackend>;
  private readonly written = new Set<number>();

  /** @param disks by position in the spec */
  constructor(disks: ReadonlyMap<number, BlockBackend>) {
    this.disks = disks;
  }

  /** Begins to note writes. @returns every block */
  start(): number[] {
    const all: number[] = [];
    for (const [index, disk] of this.disks) {
      const blocks = Math.ceil(disk.image.bytes / BLOCK_BYTES);
      for (let n = 0; n < blocks; n++) all.push(index * DISK_STRIDE + n);
      disk.onWrite = (offset, length) => {
        const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
        for (let n = Math.floor(offset / BLOCK_BYTES); n <= last; n++) this.written.add(index * DISK_STRIDE + n);
      };
    }
    return all;
  }
  /** Blocks written since the last call. */
  takeWritten(): number[] {
    const blocks = [...this.written].sort((a, b) => a - b);
    this.written.clear();
    return blocks;
  }
  stop(): void {
    for (const disk of this.disks.values()) disk.onWrite = null;
  }
  /** One record of up to MAX_BLOCKS blocks of one disk as they are now, and how many of `keys` it holds. */
  record(keys: readonly number[]): { record: LibxcRecord; taken: number } {
    const index = Math.floor(keys[0]! / DISK_STRIDE);
    const numbers: number[] = [];
    for (const key of keys.slice(0, MAX_BLOCKS)) {
      if (Math.floor(key / DISK_STRIDE) !== index) break;
      numbers.push(key % DISK_STRIDE);
    }
    const { image } = this.disks.get(index)!;
    const head = 8 + Math.ceil(numbers.length / 2) * 8;
    const data = numbers.map((n) => image.read(n * BLOCK_BYTES, Math.min(BLOCK_BYTES, image.bytes - n * BLOCK_BYTES)));
    const body = new Uint8Array(head + data.reduce((sum, d) => sum + d.length, 0));
    const view = new DataView(body.buffer);
    view.setUint32(0, index, true);
    view.setUint32(4, numbers.length, true);
    numbers.forEach((n, i) => view.setUint32(8 + i * 4, n, true));
    let at = head;
    for (const d of data) {
      body.set(d, at);
      at += d.length;
    }
    return { record: { type: 'OTHER', number: DISK_BLOCKS, body }, taken: numbers.length };
  }
}

/** Writes what a record holds to the target's images. @throws BulkheadError stream-corrupt */
export function writeBlocks(body: Uint8Array, disks: readonly DiskBacking[]): void {
  const bad = (): Error => streamError('stream-corrupt', 'A record of disk blocks makes no sense.', 'Migrate again.');
  if (body.length < 8) throw bad();
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const disk = disks[view.getUint32(0, true)];
  const count = view.getUint32(4, true);
  let at = 8 + Math.ceil(count / 2) * 8;
  if (!disk || count > MAX_BLOCKS || body.length < at) throw bad();
  for (let i = 0; i < count; i++) {
    const offset = view.getUint32(8 + i * 4, true) * BLOCK_BYTES;
    const length = Math.min(BLOCK_BYTES, disk.bytes - offset);
    if (length <= 0 || at + length > body.length) throw bad();
    disk.write(offset, body.subarray(at, at + length));
    at += length;
  }
}
