// Reads a stream piece by piece: feed bytes, get items. Accepts xl files, libxl streams and bare libxc streams.
// Invariant: an item is yielded only when all its bytes are there and well formed; after a refusal nothing more is yielded.

import { crc32 } from 'node:zlib';
import { decodeConfig, type StreamConfig } from './config.ts';
import { malformed, streamError, truncated } from './errors.ts';
import {
  checkLibxlHeader,
  decodeLibxcHeaders,
  decodeXlHeader,
  DOMAIN_HEADER_BYTES,
  type ImageHeader,
  isLibxc,
  isLibxl,
  isXl,
  LIBXC_HEADER_BYTES,
  LIBXL_HEADER_BYTES,
  LibxlRecord,
  XL_HEADER_BYTES,
} from './headers.ts';
import { decodeBody, type LibxcRecord, RecordNumber } from './records.ts';
import { CHECK_MAGIC } from './writer.ts';

export type StreamItem =
  /** xl's header was read: the configuration. */
  | { kind: 'config'; config: StreamConfig; offset: number; bytes: number }
  | { kind: 'libxl-header'; offset: number }
  /** A record of the libxl layer (LIBXC_CONTEXT is followed by libxc's header and records). */
  | { kind: 'libxl-record'; number: number; offset: number; bytes: number; index: number }
  | { kind: 'libxc-header'; header: ImageHeader; offset: number }
  | { kind: 'record'; record: LibxcRecord; number: number; offset: number; bytes: number; index: number }
  /** The outermost layer has ended; `checked` when our CRC-32 was there and right. */
  | { kind: 'end'; offset: number; checked: boolean };

/** No body is larger: 1024 pages with their numbers, or any HVM context there is. */
const MAX_BODY = 16 << 20;
const MAX_CONFIG = 1 << 20;

type Expect = 'start' | 'xl-config' | 'libxl-header' | 'libxl' | 'libxc-header' | 'libxc' | 'check' | 'done';

export class StreamReader {
  private pieces: Uint8Array[] = [];
  private have = 0;
  private offset = 0;
  private itemAt = 0;
  private crc = 0;
  private expect: Expect = 'start';
  private xlConfig = { configBytes: 0, json: true };
  private inLibxl = false;
  /** Bulkhead made it: then its checksum is there. */
  private ours = false;
  private header: ImageHeader | null = null;
  private index = 0;
  private failed: unknown = null;

  /** Bytes after the last whole item. */
  get pending(): number {
    return this.have;
  }
  /** Whole records read, of both layers. */
  get recordsRead(): number {
    return this.index;
  }
  /** Everything but perhaps the check has been read. */
  get complete(): boolean {
    return this.expect === 'check' || this.expect === 'done';
  }

  /** Where the item begins that is next, or that was refused. */
  get at(): number {
    return this.itemAt;
  }

  /**
   * Takes more bytes and returns what they complete.
   * @param each told of every item at once: also of those before one that is refused
   * @throws BulkheadError stream-corrupt, stream-unsupported
   */
  push(bytes: Uint8Array, each?: (item: StreamItem) => void): StreamItem[] {
    if (this.failed) throw this.failed;
    if (bytes.length) {
      // A plain view: a Buffer's own slice() would share its memory.
      this.pieces.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
      this.have += bytes.length;
    }
    const items: StreamItem[] = [];
    try {
      for (let item = this.next(); item !== null; item = this.next()) {
        if (item === 'again') continue;
        items.push(item);
        each?.(item);
      }
    } catch (error) {
      this.failed = error;
      throw error;
    }
    return items;
  }

  /** No more bytes come. @returns the end item when the stream has no check @throws BulkheadError stream-corrupt when it is cut off */
  finish(): StreamItem[] {
    if (this.failed) throw this.failed;
    if (!this.complete || (this.ours && this.expect === 'check'))
      throw (this.failed = truncated(this.index, this.offset + this.have));
    if (this.expect === 'done') return [];
    this.expect = 'done';
    return [{ kind: 'end', offset: this.offset, checked: false }];
  }

  /** The first `count` bytes without taking them, or null. */
  private peek(count: number): Uint8Array | null {
    if (this.have < count) return null;
    const [first] = this.pieces;
    if (first && first.length >= count) return first.subarray(0, count);
    // Joined once, so that a record of many pieces costs no more than its bytes.
    const all = new Uint8Array(this.have);
    let at = 0;
    for (const p of this.pieces) {
      all.set(p, at);
      at += p.length;
    }
    this.pieces = [all];
    return all.subarray(0, count);
  }

  private take(count: number): Uint8Array {
    const bytes = this.peek(count)!;
    const [first] = this.pieces;
    if (first!.length === count) this.pieces.shift();
    else this.pieces[0] = first!.subarray(count);
    this.have -= count;
    this.offset += count;
    this.crc = crc32(bytes, this.crc);
    return bytes;
  }

  private next(): StreamItem | 'again' | null {
    const { offset } = this;
    this.itemAt = offset;
    switch (this.expect) {
      case 'start': {
        const mark = this.peek(8);
        if (!mark) return null;
        if (isLibxc(mark)) this.expect = 'libxc-header';
        else if (isLibxl(mark)) this.expect = 'libxl-header';
        else {
          const head = this.peek(XL_HEADER_BYTES);
          if (!head) return null;
          if (!isXl(head))
            throw streamError(
              'stream-unsupported',
              'It does not begin as a saved domain does.',
              'Choose a file that Bulkhead or xl save made.',
            );
          this.xlConfig = decodeXlHeader(this.take(XL_HEADER_BYTES));
          if (this.xlConfig.configBytes > MAX_CONFIG)
            throw streamError(
              'stream-corrupt',
              `Its configuration claims ${this.xlConfig.configBytes} bytes.`,
              'Use an intact copy of the file.',
            );
          this.expect = 'xl-config';
        }
        return 'again';
      }
      case 'xl-config': {
        const { configBytes, json } = this.xlConfig;
        if (this.have < configBytes) return null;
        const text = configBytes ? new TextDecoder().decode(this.take(configBytes)).replace(/\0+$/, '') : '{}';
        this.expect = 'libxl-header';
        const config = decodeConfig(json ? text : '{}');
        this.ours = config.saved !== null;
        return { kind: 'config', config, offset, bytes: configBytes };
      }
      case 'libxl-header':
        if (!this.peek(LIBXL_HEADER_BYTES)) return null;
        checkLibxlHeader(this.take(LIBXL_HEADER_BYTES));
        this.inLibxl = true;
        this.expect = 'libxl';
        return { kind: 'libxl-header', offset };
      case 'libxl':
        return this.libxlRecord();
      case 'libxc-header':
        if (!this.peek(LIBXC_HEADER_BYTES + DOMAIN_HEADER_BYTES)) return null;
        this.header = decodeLibxcHeaders(this.take(LIBXC_HEADER_BYTES + DOMAIN_HEADER_BYTES));
        this.expect = 'libxc';
        return { kind: 'libxc-header', header: this.header, offset };
      case 'libxc': {
        const r = this.recordBytes('libxc');
        if (!r) return null;
        const record = decodeBody(r.number, r.body, this.header!.version, this.index);
        const item: StreamItem = {
          kind: 'record',
          record,
          number: r.number,
          offset,
          bytes: r.body.length,
          index: this.index++,
        };
        if (r.number === RecordNumber.END) this.expect = this.inLibxl ? 'libxl' : 'check';
        return item;
      }
      case 'check':
        return this.check();
      case 'done':
        return null;
    }
  }

  private libxlRecord(): StreamItem | null {
    const { offset } = this;
    const r = this.recordBytes('libxl');
    if (!r) return null;
    const item: StreamItem = {
      kind: 'libxl-record',
      number: r.number,
      offset,
      bytes: r.body.length,
      index: this.index++,
    };
    if (r.number > LibxlRecord.CHECKPOINT_STATE && r.number < 0x8000_0000)
      throw malformed(item.index, `libxl record 0x${r.number.toString(16)}`, 'no version that is known here has it');
    if (r.number === LibxlRecord.LIBXC_CONTEXT) this.expect = 'libxc-header';
    else if (r.number === LibxlRecord.END) this.expect = 'check';
    return item;
  }

  /** The next record's number and body once all of it is there, or null. */
  private recordBytes(layer: string): { number: number; body: Uint8Array } | null {
    const head = this.peek(8);
    if (!head) return null;
    const view = new DataView(head.buffer, head.byteOffset);
    const number = view.getUint32(0, true);
    const length = view.getUint32(4, true);
    const named = `${layer} record 0x${number.toString(16)}`;
    if (length > MAX_BODY) throw malformed(this.index, named, `it claims ${length} bytes`);
    const padded = 8 + Math.ceil(length / 8) * 8;
    if (!this.peek(padded)) return null;
    const bytes = this.take(padded);
    for (let i = 8 + length; i < padded; i++)
      if (bytes[i] !== 0) throw malformed(this.index, named, 'its padding is not zero');
    return { number, body: bytes.subarray(8, 8 + length) };
  }

  private check(): StreamItem | null {
    const { offset, crc } = this;
    const head = this.peek(8);
    if (!head) return null;
    this.expect = 'done';
    const marked = [...CHECK_MAGIC].every((c, i) => head[i] === c.charCodeAt(0));
    if (!marked && !this.ours) return { kind: 'end', offset, checked: false };
    const expected = new DataView(head.buffer, head.byteOffset).getUint32(4, true);
    if (!marked || expected !== crc)
      throw streamError(
        'stream-corrupt',
        'Its checksum does not match: some of its bytes have changed.',
        'Use an intact copy of the file, or save the domain again.',
      );
    this.take(8);
    return { kind: 'end', offset, checked: true };
  }
}
