// Records completed from templates (decode-templates.ts) against what decode_one writes for the same bytes.

import { describe, expect, it } from 'vitest';
import { CodePage } from '../../../../main/machine/cpu/code-cache.ts';
import { ARENA, ARENA_SEGMENT, F, OP, OP_BYTES, RAM_BASE, SHAPE } from '../../../../main/machine/cpu/layout.ts';
import { FLAT_32, MODE_KEY_64, ModeKey } from '../../../../main/machine/cpu/mode.ts';
import { Bench, Random } from './side-by-side.ts';

/** Where decode_one writes for the comparison: the end of the arena, never used otherwise. */
const APART = RAM_BASE - 4096;
const ENDS = 1 << 16;
const CROSSES = 2 << 16;
/** Beginnings that real code is full of: they fill the templates, random bytes behind them vary the rest. */
const USUAL = [
  [0x8b], [0x89], [0x8d], [0x01], [0x83], [0x81], [0xc7], [0xf7], [0xff], [0x0f, 0xb6], [0x0f, 0xaf], [0x0f, 0x84], [0x0f, 0xa2],
  [0x66, 0x89], [0x66, 0x83], [0x66, 0xc7], [0x66, 0x0f, 0x6f], [0xf3, 0x0f, 0x10], [0xf2, 0x0f, 0x58], [0x48, 0x8b], [0x48, 0x89],
  [0x4c, 0x8d], [0x48, 0x83], [0x48, 0xc7], [0x48, 0xb8], [0xb8], [0xe8], [0x74], [0xeb], [0x68], [0x6a], [0xa1], [0xc8], [0xc2],
  [0x67, 0x8b], [0x65, 0x8b], [0xf0, 0x01], [0xf0, 0x0f, 0xc7], [0x0f, 0x38], [0x0f, 0x3a], [0x0f, 0x05], [0x9a], [0x06], [0xd9], [0xdd],
]; // prettier-ignore

/** All words of a record. */
const words = (b: Bench, record: number): string => b.mem.u32.slice(record >> 2, (record + OP_BYTES) >> 2).join();

describe.each([
  ['16-bit', 32, ModeKey.Code16],
  ['16-bit flat', 32, ModeKey.Code16 | ModeKey.Flat],
  ['32-bit', 32, FLAT_32],
  ['32-bit with segments', 32, ModeKey.Code32 | ModeKey.Stack32],
  ['64-bit', 64, MODE_KEY_64],
] as const)('%s code', (_, width, key) => {
  it('has the records that the decoder writes', () => {
    const b = new Bench(width);
    b.set(F.mode, key);
    const { u8, u32 } = b.mem;
    const r = new Random(4711 + key);
    const decodeTrace = b.exports['decode_trace']!;
    const decodeOne = b.exports['decode_one']!;
    const page = RAM_BASE + 4096;
    let compared = 0;
    let remembered = 0;
    for (let n = 0; n < 120; n++) {
      for (let at = 0; at < 4096; at++) u8[page + at] = r.word() >>> 13;
      for (let at = 0; at < 4096; at += 4 + r.below(8)) u8.set(r.pick(USUAL).slice(0, 4096 - at), page + at);
      b.mem.code.flush();
      // fields that an instruction does not use are compared, too
      u8.fill(0, ARENA, ARENA + ARENA_SEGMENT);
      const map = b.mem.code.newPage(1);
      for (let offset = 0; offset < 4096 - 15;) {
        let record = decodeTrace(page, offset, map);
        const end = u32[CodePage.next >> 2]! - OP_BYTES;
        expect(end).toBeGreaterThan(record);
        for (; record < end; record += OP_BYTES) {
          u8.fill(0, APART, APART + OP_BYTES);
          u8.fill(0, SHAPE.at, SHAPE.at + 8);
          const result = decodeOne(page, offset, APART, 4096);
          if ((result & CROSSES) !== 0) break;
          if (words(b, record) !== words(b, APART))
            expect.unreachable(
              `${Buffer.from(u8.subarray(page + offset, page + offset + 15)).toString('hex')}: ${words(b, record)} is not ${words(b, APART)}`,
            );
          compared++;
          if (u8[SHAPE.head] !== 0) remembered++;
          offset = result & 0xffff;
          expect(b.mem.u16[(record + OP.handler) >> 1]).not.toBe(0);
          if ((result & ENDS) !== 0) expect(record + OP_BYTES).toBe(end);
        }
        if (record < end) break;
      }
    }
    expect(compared).toBeGreaterThan(80_000);
    expect(remembered).toBeGreaterThan(40_000);
  });
});
