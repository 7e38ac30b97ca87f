// The stream's writer and reader: every record there and back in pieces of any size; every kind of damage is refused, with the record.

import { describe, expect, it } from 'vitest';
import { BulkheadError } from '../../../shared/errors.ts';
import { StreamReader, type StreamItem } from '../../../main/toolstack/stream/reader.ts';
import { LIBXC_HEADER_BYTES, XL_HEADER_BYTES } from '../../../main/toolstack/stream/headers.ts';
import { encodeBody, numberOf, type LibxcRecord } from '../../../main/toolstack/stream/records.ts';
import { summariseStream } from '../../../main/toolstack/stream/summary.ts';
import { recordBytes } from '../../../main/toolstack/stream/writer.ts';
import { RECORDS, SAVED, stream } from './stream-records.ts';

const whole = stream();
/** Where the parts of `whole` begin. */
const configBytes = new DataView(whole.buffer).getUint32(44, true);
const AT = { libxl: XL_HEADER_BYTES + configBytes, libxc: XL_HEADER_BYTES + configBytes + 16 + 8 };
const FIRST_RECORD = AT.libxc + LIBXC_HEADER_BYTES + 16;

function read(bytes: Uint8Array, step = bytes.length): StreamItem[] {
  const reader = new StreamReader();
  const items: StreamItem[] = [];
  for (let at = 0; at < bytes.length; at += step) items.push(...reader.push(bytes.subarray(at, at + step)));
  items.push(...reader.finish());
  return items;
}
const recordsOf = (items: StreamItem[]): LibxcRecord[] => items.flatMap((i) => (i.kind === 'record' ? [i.record] : []));

/** The sentence with which these bytes are refused. */
function refusal(bytes: Uint8Array): string {
  try {
    read(bytes);
  } catch (e) {
    expect(e).toBeInstanceOf(BulkheadError);
    const { code, what, why } = (e as BulkheadError).sentences;
    expect(['stream-corrupt', 'stream-unsupported']).toContain(code);
    return `${code}: ${what} ${why}`;
  }
  return 'accepted';
}
function changed(at: number, ...values: number[]): Uint8Array {
  const copy = whole.slice();
  copy.set(values, at);
  return copy;
}
/** A bare libxc stream of one record, given as bytes. */
function bare(record: Uint8Array, version = 3): Uint8Array {
  const headers = whole.slice(AT.libxc, FIRST_RECORD);
  new DataView(headers.buffer).setUint32(12, version);
  return Uint8Array.from(Buffer.concat([headers, record, recordBytes(0, new Uint8Array(0))]));
}

describe('a stream', () => {
  for (const step of [whole.length, 4096, 7, 1])
    it(`is read as it was written, in pieces of ${step} bytes`, () => {
      const items = read(whole, step);
      expect(recordsOf(items)).toEqual(RECORDS);
      expect(items[0]).toMatchObject({ kind: 'config', config: { saved: SAVED, name: 'web', memoryKiB: 16384 } });
      expect(items.at(-1)).toMatchObject({ kind: 'end', checked: true });
    });

  it('says where each record lies', () => {
    for (const item of read(whole))
      if (item.kind === 'record') {
        const view = new DataView(whole.buffer, item.offset);
        expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([item.number, item.bytes]);
      }
  });

  it('is read without its outer layers, as a bare libxc stream and as a libxl stream', () => {
    expect(recordsOf(read(whole.slice(AT.libxc, -16)))).toEqual(RECORDS);
    expect(recordsOf(read(whole.slice(AT.libxl, -8)))).toEqual(RECORDS);
    expect(read(whole.slice(AT.libxl, -8)).at(-1)).toMatchObject({ kind: 'end', checked: false });
  });

  it('is read from a Buffer, whose slices share their memory', () => {
    const buffer = Buffer.from(whole);
    const records = recordsOf(read(buffer));
    buffer.fill(0);
    expect(records).toEqual(RECORDS);
  });

  it('is refused wherever it is cut off', () => {
    const cuts = [
      1,
      8,
      31,
      XL_HEADER_BYTES + 3,
      AT.libxl + 5,
      AT.libxc + 9,
      FIRST_RECORD + 3,
      whole.length - 17,
      whole.length - 1,
    ];
    for (let at = FIRST_RECORD; at < whole.length; at += 997) cuts.push(at);
    for (const at of cuts) expect(`${at}: ${refusal(whole.slice(0, at))}`).toMatch(/cut off after \d+ whole record/);
  });

  it('is refused when any single byte of its records has changed', () => {
    for (let at = FIRST_RECORD; at < whole.length; at += 211) {
      const copy = whole.slice();
      copy[at]! ^= 0x10;
      expect(`byte ${at}: ${refusal(copy)}`).not.toContain('accepted');
    }
  });

  it.each([
    ['text', new TextEncoder().encode('kernel = "/boot/vmlinuz"'.repeat(5)), /does not begin as a saved domain/],
    ['a newer libxc format', changed(AT.libxc + 15, 4), /format is 4; formats 2 and 3/],
    ['an older libxc format', changed(AT.libxc + 15, 1), /format is 1/],
    ['a newer libxl format', changed(AT.libxl + 11, 3), /libxl format is 3/],
    ['a big-endian libxc stream', changed(AT.libxc + 17, 1), /other byte order/],
    ['reserved bits in the image header', changed(AT.libxc + 20, 1), /Reserved bits/],
    ['a domain of another architecture', changed(AT.libxc + LIBXC_HEADER_BYTES, 3), /type 3/],
    ['pages of another size', changed(AT.libxc + LIBXC_HEADER_BYTES + 4, 14), /2\^14 bytes/],
    ['the xl format before Xen 4.6', changed(36, 1), /before Xen 4\.6/],
    ['xl features of the future', changed(36, 7), /features of xl/],
    ['a configuration that is not JSON', changed(XL_HEADER_BYTES, 0x21), /not JSON/],
  ])('is refused: %s', (_name, bytes, sentence) => {
    expect(refusal(bytes)).toMatch(sentence);
  });

  it('of a newer Bulkhead is refused with both versions', () => {
    expect(refusal(stream(RECORDS, { ...SAVED, version: 9 }))).toMatch(/newer Bulkhead.*format 9.*up to 1/);
  });

  it('names the record that is wrong, counted from 1', () => {
    const records = [RECORDS[0]!, RECORDS[3]!, { type: 'OTHER', number: 0x77, body: new Uint8Array(4) } as const];
    expect(refusal(stream([...records, { type: 'END' }]))).toMatch(/Record 4 \(record 0x77\)/); // LIBXC_CONTEXT is the first
  });
});

describe('a record', () => {
  const body = (r: LibxcRecord, change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
    const copy = encodeBody(r).slice();
    change(new DataView(copy.buffer), copy);
    return recordBytes(numberOf(r), copy);
  };
  const find = (type: LibxcRecord['type']): LibxcRecord => RECORDS.find((r) => r.type === type)!;
  const longer = (type: LibxcRecord['type'], by: number): Uint8Array => {
    const r = find(type);
    const old = encodeBody(r);
    const next = new Uint8Array(old.length + by);
    next.set(old.subarray(0, next.length));
    return recordBytes(numberOf(r), next);
  };
  const padded = recordBytes(9, new Uint8Array(5).fill(1));
  padded[15] = 1;

  it.each<[string, Uint8Array, RegExp]>([
    ['pages without contents', longer('PAGE_DATA', -1), /8231 bytes where 8232 belong|where \d+ belong/],
    ['contents without pages', longer('PAGE_DATA', 8), /where \d+ belong/],
    ['no pages at all', recordBytes(1, new Uint8Array(8)), /no pages/],
    ['a page type that does not exist', body(find('PAGE_DATA'), (v) => v.setUint32(12, 0x6000_0000, true)), /type 6/],
    ['a frame beyond memory', body(find('PAGE_DATA'), (v) => v.setUint32(12, 1, true)), /beyond any guest/],
    ['reserved fields', body(find('PAGE_DATA'), (v) => v.setUint32(4, 1, true)), /reserved field/],
    ['a width nobody has', body(find('X86_PV_INFO'), (_v, b) => (b[0] = 2)), /width 2/],
    ['a shared page of another size', longer('SHARED_INFO', 1), /4097 bytes where 4096/],
    ['a clock of another size', longer('X86_TSC_INFO', 4), /28 bytes where 24/],
    ['fewer parameters than counted', longer('HVM_PARAMS', -16), /where 40 belong/],
    ['an empty HVM context', recordBytes(9, new Uint8Array(0)), /empty/],
    ['an end with a body', recordBytes(0, new Uint8Array(8)), /8 bytes where 0/],
    ['a vCPU without its number', recordBytes(4, new Uint8Array(4)), /shorter than its header/],
    ['CPUID leaves cut off', longer('X86_CPUID_POLICY', -4), /multiple of 24/],
    ['padding that is not zero', padded, /padding/],
    [
      'a length beyond reason',
      Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0),
      /claims 1073741824 bytes/,
    ],
    ['a number nobody knows', recordBytes(0x55, new Uint8Array(0)), /may not be skipped/],
  ])('is refused with %s', (_name, record, sentence) => {
    expect(refusal(bare(record))).toMatch(sentence);
    expect(refusal(bare(record))).toMatch(/^stream-corrupt: .* Record 1 \(/);
  });

  it('of version 3 is refused in a stream of version 2', () => {
    expect(refusal(bare(recordBytes(0x10, new Uint8Array(0)), 2))).toMatch(/version 2/);
    expect(refusal(bare(recordBytes(0x0d, new Uint8Array(0)), 2))).toBe('accepted');
  });
});

describe('a look through a stream before it is used', () => {
  it('finds the record that is missing', async () => {
    const without = RECORDS.filter((r) => r.type !== 'SHARED_INFO');
    await expect(summariseStream([stream(without)])).rejects.toThrow(/no SHARED_INFO record/);
    const summary = await summariseStream([whole]);
    expect(summary).toMatchObject({
      checked: true,
      header: { version: 3, type: 1 },
      facts: { bits: 64, pages: 4, vcpus: 2 },
    });
  });
});
