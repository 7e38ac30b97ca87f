// Turns a domain's records into the bytes of a stream, piece by piece. Invariant: what it writes, StreamReader reads, and
// verify-stream-v2 of Xen accepts.

import { crc32 } from 'node:zlib';
import { encodeConfig, type SavedDomain } from './config.ts';
import { DomainType, encodeLibxcHeaders, encodeLibxlHeader, encodeXlHeader, LibxlRecord } from './headers.ts';
import { encodeBody, numberOf, type LibxcRecord } from './records.ts';

/** What ends our streams, before the CRC-32 (little endian) of everything up to it. */
export const CHECK_MAGIC = 'BHCK';

export class StreamWriter {
  private readonly sink: (bytes: Uint8Array) => void;
  private crc = 0;
  private ended = false;
  /** Bytes written. */
  bytes = 0;
  /** libxc records written. */
  records = 0;

  /** @param sink takes each piece; a piece is never changed afterwards */
  constructor(sink: (bytes: Uint8Array) => void) {
    this.sink = sink;
  }

  private put(bytes: Uint8Array): void {
    this.crc = crc32(bytes, this.crc);
    this.bytes += bytes.length;
    this.sink(bytes);
  }

  /** The headers of all layers. Call once, first. */
  headers(saved: SavedDomain): void {
    this.put(encodeXlHeader(encodeConfig(saved)));
    this.put(encodeLibxlHeader());
    this.put(recordBytes(LibxlRecord.LIBXC_CONTEXT, new Uint8Array(0)));
    this.put(encodeLibxcHeaders(saved.spec.mode === 'pv' ? DomainType.PV : DomainType.HVM));
  }

  /** One record of the libxc layer; END ends the outer layers too. @throws RangeError after END */
  record(r: LibxcRecord): void {
    if (this.ended) throw new RangeError('a record after the end of the stream');
    this.put(recordBytes(numberOf(r), encodeBody(r)));
    this.records++;
    if (r.type !== 'END') return;
    this.ended = true;
    this.put(recordBytes(LibxlRecord.END, new Uint8Array(0)));
    const check = new Uint8Array(8);
    for (let i = 0; i < 4; i++) check[i] = CHECK_MAGIC.charCodeAt(i);
    new DataView(check.buffer).setUint32(4, this.crc, true);
    this.put(check);
  }
}

/** A record with its header, padded to 8 bytes. */
export function recordBytes(number: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + Math.ceil(body.length / 8) * 8);
  const view = new DataView(out.buffer);
  view.setUint32(0, number, true);
  view.setUint32(4, body.length, true);
  out.set(body, 8);
  return out;
}
