// Decoded pages on their way to the translating thread: what is in use of the map, and the records, in one buffer that is given away, not copied.
// Invariant: the pages of a host lie in the other thread's memory where they lie in its own, with the handlers that they were decoded with.

import { CodePage } from '../code-cache.ts';
import type { HostMemory } from '../host-memory.ts';
import { crossHandler } from '../interpreter.ts';
import { FIRST_REGION, HEAT_START, OP, OP_BYTES, PAGE, PAGE_CODE, RAM_BASE, REGION_ORIGINALS } from '../layout.ts';
import { CROSS_BYTES, CROSS_DECODED } from '../traces.ts';

export interface SentPage {
  readonly frame: number;
  /** Its address. */
  readonly map: number;
  /** ModeKey of its records. */
  readonly key: number;
  /** The heat records begin with, as in HEAT_START. */
  readonly heat: number;
  /** Of each record its page offset, its address and its words; NOWHERE for what belongs to the record in front. */
  readonly records: Uint32Array<ArrayBuffer>;
}
const RECORD_WORDS = OP_BYTES / 4;
const SENT_WORDS = 2 + RECORD_WORDS;
const NOWHERE = 0xffff_ffff;

/** @param words the map's entries now */
export function packPage({ u16, u32 }: HostMemory, frame: number, map: number, words: Uint32Array): SentPage {
  const spans = crossHandler();
  const isSpanning = (record: number): boolean => u16[(record + OP.handler) >> 1] === spans;
  let count = 0;
  for (let o = 0; o < PAGE; o++) if (words[o] !== 0) count += isSpanning(words[o]!) ? 3 : 1;
  const records = new Uint32Array(count * SENT_WORDS);
  const handlers = new Uint16Array(records.buffer);
  let at = 0;
  const put = (offset: number, record: number): void => {
    records[at] = offset;
    records[at + 1] = record;
    for (let n = 0; n < RECORD_WORDS; n++) records[at + 2 + n] = u32[(record >> 2) + n]!;
    at += SENT_WORDS;
  };
  for (let o = 0; o < PAGE; o++) {
    const record = words[o]!;
    if (record === 0) continue;
    // the slots of regions mean nothing over there
    const handler = 2 * (at + 2) + (OP.handler >> 1);
    put(o, record);
    if (handlers[handler]! >= FIRST_REGION) handlers[handler] = u16[(REGION_ORIGINALS >> 1) + handlers[handler]!]!;
    if (!isSpanning(record)) continue;
    put(NOWHERE, record + CROSS_DECODED);
    put(NOWHERE, record + CROSS_BYTES);
  }
  return { frame, map, key: words[CodePage.key >> 2]!, heat: u32[HEAT_START >> 2]!, records };
}

/** A copy of what translation reads of one host's memory. It grows to the highest address it has been sent. */
export class CodeCopy {
  readonly #buffer = new ArrayBuffer(PAGE_CODE * 2, { maxByteLength: RAM_BASE });
  readonly u32 = new Uint32Array(this.#buffer);
  readonly view = new DataView(this.#buffer);

  take({ frame, map, key, heat, records }: SentPage): void {
    let end = map + CodePage.bytes;
    for (let at = 0; at < records.length; at += SENT_WORDS) end = Math.max(end, records[at + 1]! + OP_BYTES);
    if (end > this.#buffer.byteLength) this.#buffer.resize(Math.min(RAM_BASE, Math.ceil(end / 2 ** 24) * 2 ** 24));
    const { u32 } = this;
    u32[HEAT_START >> 2] = heat;
    u32[(PAGE_CODE >> 2) + frame] = map;
    u32.fill(0, map >> 2, (map + CodePage.bytes) >> 2);
    u32[(map + CodePage.key) >> 2] = key;
    for (let at = 0; at < records.length; at += SENT_WORDS) {
      const record = records[at + 1]!;
      if (records[at] !== NOWHERE) u32[(map >> 2) + records[at]!] = record;
      for (let n = 0; n < RECORD_WORDS; n++) u32[(record >> 2) + n] = records[at + 2 + n]!;
    }
  }
}
