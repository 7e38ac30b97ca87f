// Writes to pages with decoded code: the generated check against CodeCache.invalidate over random records.

import { describe, expect, it } from 'vitest';
import { CodePage } from '../../../../main/machine/cpu/code-cache.ts';
import { F, OP, OP_BYTES, PAGE_CODE, PAGE_FLAGS, PageFlag, RAM_BASE } from '../../../../main/machine/cpu/layout.ts';
import { Bench, REFUSED, Random } from './side-by-side.ts';

const FRAME = 5;

/** A page of records of random lengths, some bytes left out; returns their addresses. */
function decodePage(b: Bench, r: Random): number[] {
  const { u8, u16, u32 } = b.mem;
  const map = b.mem.code.newPage(FRAME);
  const records: number[] = [];
  for (let offset = r.below(8); offset < 4096;) {
    const length = Math.min(1 + r.below(15), 4096 - offset);
    if (!r.once(4)) {
      const record = u32[CodePage.next >> 2]!;
      u32[CodePage.next >> 2] = record + OP_BYTES;
      u16[(record + OP.handler) >> 1] = 77;
      u8[record + OP.length] = length;
      u32[(map >> 2) + offset] = record;
      records.push(record);
    }
    offset += length;
  }
  return records;
}
const living = (b: Bench, records: number[]): string =>
  records.map((record) => b.mem.u16[(record + OP.handler) >> 1]).join();
const mapped = (b: Bench): string => {
  const map = b.mem.u32[(PAGE_CODE >> 2) + FRAME]!;
  return b.mem.u32.slice(map >> 2, (map >> 2) + 4096).join();
};

describe('writes to code pages', () => {
  const paged = (width: 32 | 64): Bench => {
    const b = new Bench(width);
    b.set(F.cr0, width === 64 ? 0x8001_0001 : 1);
    b.set(F.flatLimit, 0xffff_ffff);
    b.set(F.mode, width === 64 ? 2 | 8 | 32 : 1 | 4 | 8 | 32);
    if (width === 64) {
      b.set(F.cr4, 0x20);
      b.set(F.efer, 0x500);
      b.set(F.cr3, 0x1_0000);
      for (const [table, next] of [
        [0x1_0000, 0x1_1027],
        [0x1_1000, 0x1_2027],
        [0x1_2000, 0x1_3027],
      ] as const)
        b.put32(table, next, 0);
      b.put32(0x1_3000 + FRAME * 8, (FRAME << 12) | 0x67, 0);
    }
    return b;
  };

  it.each([
    [32, true],
    [64, true],
    [32, false],
    [64, false],
  ] as const)('forget what they overlap and nothing else, %i bits, listener: %s', (width, listener) => {
    const b = paged(width);
    // without one, dead records stay in the map to be decoded anew in their place
    if (!listener) b.mem.code.listener = null;
    const r = new Random(99 + width);
    let hits = 0;
    for (let n = 0; n < 400; n++) {
      b.core.tlb.flush(true);
      const records = decodePage(b, r);
      const before = living(b, records);
      const map = b.mem.u32[(PAGE_CODE >> 2) + FRAME]!;
      const saved = b.mem.u32.slice(map >> 2, (map >> 2) + 4096);
      const bytes = r.pick([1, 2, 4, 8]);
      const offset = r.below(4096 - bytes + 1);
      const address = FRAME * 4096 + offset;
      // the second write finds the TLB entry of the first
      for (let turn = 0; turn < 2; turn++)
        expect(b.exports['slow_write']!(0, address, 0, bytes) >>> 0).toBe(RAM_BASE + address);
      const fast = [living(b, records), mapped(b)];
      b.mem.u32.set(saved, map >> 2);
      for (const record of records) b.mem.u16[(record + OP.handler) >> 1] = 77;
      b.mem.noteWrite(address, bytes);
      expect(fast).toEqual([living(b, records), mapped(b)]);
      if (fast[0] !== before) hits++;
    }
    expect(hits).toBeGreaterThan(200);
  });

  it.each([32, 64] as const)('make a page an ordinary one again when all its code is dead, %i bits', (width) => {
    const b = paged(width);
    const records = decodePage(b, new Random(3));
    const write = (offset: number): void =>
      expect(b.exports['slow_write']!(0, FRAME * 4096 + offset, 0, 1) >>> 0).toBe(RAM_BASE + FRAME * 4096 + offset);
    const isCode = (): boolean[] => [
      (b.mem.u8[PAGE_FLAGS + FRAME]! & PageFlag.Code) !== 0,
      b.mem.u32[(PAGE_CODE >> 2) + FRAME] !== 0,
    ];
    // one record stays alive behind what is written, so it stays a page of code
    const last = records.at(-1)!;
    for (let n = 0; n < 5000; n++) write(n % 2048);
    expect(isCode()).toEqual([true, true]);
    expect(b.mem.u16[(last + OP.handler) >> 1]).toBe(77);
    for (let n = 0; n < 2 * 4096; n++) write(n % 4096);
    expect(isCode()).toEqual([false, false]);
    // the memory of its former map belongs to others: thrown away with them, not with the page, which has been decoded again
    const { code, u32 } = b.mem;
    const { reused } = code;
    const end = u32[CodePage.end >> 2];
    for (let frame = FRAME + 1; code.reused === reused; frame++) {
      code.newPage(frame);
      if (u32[CodePage.end >> 2] !== end && u32[(PAGE_CODE >> 2) + FRAME] === 0) code.newPage(FRAME);
    }
    expect(isCode()).toEqual([true, true]);
  });

  it('take the long way when the write is logged or watched', () => {
    const b = paged(32);
    decodePage(b, new Random(7));
    const address = FRAME * 4096 + 16;
    expect(b.exports['slow_write']!(0, address, 0, 4) >>> 0).toBe(RAM_BASE + address);
    for (const flag of [PageFlag.LogDirty, PageFlag.WriteIntercept]) {
      b.mem.u8[PAGE_FLAGS + FRAME] = PageFlag.Code | flag;
      expect(b.exports['slow_write']!(0, address, 0, 4)).toBe(REFUSED);
    }
  });
});
