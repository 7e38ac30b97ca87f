// The memory of decoded code is used again, piece by piece: what is thrown away is never executed nor entered any more, and what is worth keeping
// is kept.

import { describe, expect, it } from 'vitest';
import { CodePage } from '../../../../main/machine/cpu/code-cache.ts';
import { ARENA, ARENA_SEGMENT, PAGE_CODE, PAGE_FLAGS, PageFlag } from '../../../../main/machine/cpu/layout.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { RAM_BYTES, TierMachine } from './machine.ts';

const FRAMES = 4096;
const START = 8;

/** Decodes (in effect) 64 records of a page and returns its map. */
function use(mem: HostMemory, frame: number): number {
  const { code, u32 } = mem;
  let map = u32[(PAGE_CODE >> 2) + frame]!;
  if (map === 0) map = code.newPage(frame);
  if (u32[CodePage.next >> 2]! + 64 * 32 > u32[CodePage.end >> 2]!) map = code.segmentFull(frame);
  const record = u32[CodePage.next >> 2]!;
  u32[CodePage.next >> 2] = record + 64 * 32;
  u32[(map >> 2) + 5] = record;
  return map;
}

describe('segments of the arena', () => {
  it('are used again when pages come once, and what they held is forgotten', () => {
    const mem = new HostMemory(FRAMES * 4096);
    const { code, u8, u32 } = mem;
    for (let frame = 0; frame < FRAMES; frame++) use(mem, frame);
    expect(code.bytes).toBe(START * 2 ** 20);
    expect(code.reused).toBeGreaterThan(20);
    const places: [number, number][] = [];
    for (let frame = 0; frame < FRAMES; frame++) {
      const map = u32[(PAGE_CODE >> 2) + frame]!;
      expect((u8[PAGE_FLAGS + frame]! & PageFlag.Code) !== 0).toBe(map !== 0);
      if (map === 0) continue;
      places.push([map, map + CodePage.bytes], [u32[(map >> 2) + 5]!, u32[(map >> 2) + 5]! + 64 * 32]);
      // nothing but its own record
      expect(u32.subarray(map >> 2, (map + CodePage.key) >> 2).filter((entry) => entry !== 0)).toHaveLength(1);
    }
    expect(places.length).toBeGreaterThan(300);
    places.sort((a, b) => a[0] - b[0]);
    places.forEach(([from, to], n) => {
      expect(from).toBeGreaterThanOrEqual(n === 0 ? ARENA : places[n - 1]![1]);
      expect(to).toBeLessThanOrEqual(ARENA + START * 2 ** 20);
    });
  });

  it('become more when pages come back', () => {
    const mem = new HostMemory(FRAMES * 4096);
    const pages = 3 * Math.floor((START * 2 ** 20) / (CodePage.bytes + 64 * 32));
    for (let round = 0; round < 4; round++) for (let frame = 0; frame < pages; frame++) use(mem, frame);
    // 24 MiB are needed for all of them
    expect(mem.code.bytes).toBeGreaterThanOrEqual(24 * 2 ** 20);
    expect(mem.code.bytes).toBeLessThanOrEqual(32 * 2 ** 20);
    const { reused } = mem.code;
    for (let frame = 0; frame < pages; frame++) use(mem, frame);
    expect(mem.code.reused).toBe(reused);
    expect(mem.u32[(PAGE_CODE >> 2) + 1]).not.toBe(0);
    mem.code.flush();
    expect(mem.code.bytes).toBe(ARENA_SEGMENT);
    expect(mem.u32[(PAGE_CODE >> 2) + 1]).toBe(0);
  });

  it('pages go with their maps, and those who know their records are told before these are others', () => {
    const mem = new HostMemory(FRAMES * 4096);
    const { code, u32 } = mem;
    const mapOf = (frame: number): number => u32[(PAGE_CODE >> 2) + frame]!;
    const gone: number[] = [];
    const reused: [number, number][] = [];
    code.listener = {
      recordGone: () => {},
      everythingGone: () => {},
      isValued: () => false,
      pageGone: (frame) => gone.push(frame),
      memoryReused: (from, to) => {
        // the pages of this segment have been told by now
        expect(gone.length).toBeGreaterThan(0);
        reused.push([from, to]);
      },
    };
    let frame = 0;
    while (u32[CodePage.end >> 2] === ARENA + ARENA_SEGMENT) use(mem, frame++);
    // the second segment holds records of frame 0, whose map is in the first
    use(mem, 0);
    const own = frame;
    use(mem, frame++);
    while (reused.length === 0) use(mem, frame++);
    expect(reused).toEqual([[ARENA, ARENA + ARENA_SEGMENT]]);
    expect(gone).toEqual(Array.from({ length: own - 1 }, (_, n) => n));
    expect(mapOf(0)).toBe(0);
    expect(mapOf(own)).not.toBe(0);
    const again = use(mem, 0);
    while (reused.length === 1) use(mem, frame++);
    // frame 0 has been decoded elsewhere since
    expect(mapOf(0)).toBe(again);
    expect(mapOf(own)).toBe(0);
    expect(gone.indexOf(0, 1)).toBe(-1);
    expect(gone).toContain(own);
  });

  it('are not used again while pages in them are of value', () => {
    const mem = new HostMemory(FRAMES * 4096);
    const ignore = (): void => {};
    mem.code.listener = {
      ...{ recordGone: ignore, everythingGone: ignore, pageGone: ignore, memoryReused: ignore },
      isValued: (frame) => frame % 3 === 0,
    };
    const pages = 2 * Math.floor((START * 2 ** 20) / (CodePage.bytes + 64 * 32));
    for (let frame = 0; frame < pages; frame++) use(mem, frame);
    expect(mem.code.reused).toBe(0);
    expect(mem.u32[PAGE_CODE >> 2]).not.toBe(0);
  });
});

describe.each([32, 64] as const)('%i-bit code that does not fit', (mode) => {
  /** Pages without the page tables, in the order in which they are run. */
  const PAGES = Array.from({ length: RAM_BYTES >> 12 }, (_, n) => n).filter((n) => n < 0x30 || n >= 0x34);
  const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];
  /** All memory filled with instructions of one byte; at the beginning of every `step`th page a loop. */
  const write = (m: TierMachine, round: number, step: number): void => {
    PAGES.forEach((page, n) => {
      const code = new Uint8Array(4096).fill(mode === 64 ? 0x99 : 0x41 + ((round + n) % 3)); // cdq; inc ecx, edx, ebx
      if (n % step === 0)
        // mov ecx, 20; add eax, constant; dec ecx; jnz
        code.set([0xb9, ...word32(20), 0x05, ...word32(round * 77 + n), 0xff, 0xc9, 0x75, 0xf7]);
      const next = PAGES[n + 1] ?? 0;
      code.set([0xe9, ...word32((next - page - 1) * 4096)], 4096 - 5);
      m.mem.copyIn(page * 4096, code);
    });
  };
  it.each([
    ['few loops', 16],
    ['loops everywhere', 1],
  ])('is the same in both tiers: %s', (_, step) => {
    const [a, b] = (['interpreter', 'translator'] as const).map((tier) => {
      const m = new TierMachine(mode, { tier, translator: { threshold: 2, batch: 1, background: false } });
      m.vcpu.rip = 0n;
      return m;
    }) as [TierMachine, TierMachine];
    const whole = PAGES.length * 4096;
    for (let round = 0; round < 3; round++) {
      for (const m of [a, b]) {
        write(m, round, step);
        m.runUntil((round + 1) * whole + 1000 * round);
      }
      expect(compareMachines(a, b)).toBeNull();
    }
    expect(a.mem.code.reused).toBeGreaterThan(0);
    expect(b.core.tier!.statistics().made).toBeGreaterThan(0);
    // pages that are entered by translated code are kept, others are not
    if (step > 1) expect(b.mem.code.reused).toBeGreaterThan(0);
    else expect(b.mem.code.bytes).toBeGreaterThan(START * 2 ** 20);
  });
});
