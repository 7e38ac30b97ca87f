// The generated page walk against system/paging.ts over random page tables: same address, same TLB entry, same fault, no other change.

import { describe, expect, it } from 'vitest';
import {
  F,
  RAM_BASE,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_SUPERVISOR,
} from '../../../../main/machine/cpu/layout.ts';
import { Bench, REFUSED, Random, difference } from './side-by-side.ts';

type Tables = 'none' | 'two-level' | 'pae' | 'four-level';
const CR3 = 0x1_0000;

/** Bits of an entry: nearly always present and accessed, the rest by chance. */
function entryBits(r: Random): number {
  let bits = 0x27;
  for (const [bit, odds] of [
    [1, 12],
    [2, 6],
    [4, 8],
    [0x20, 16],
  ] as const)
    if (r.once(odds)) bits &= ~bit;
  for (const [bit, odds] of [
    [0x40, 2],
    [0x100, 3],
    [0x80, 6],
    [0x18, 5],
  ] as const)
    if (r.once(odds)) bits |= bit;
  return bits;
}
const frameOf = (r: Random): number => (r.once(20) ? 0x7_ffff : 16 + r.below(30)) * 4096;

function buildTables(b: Bench, r: Random, kind: Tables, lo: number, hi: number): void {
  if (kind === 'none') return;
  const large = (bits: number, size: number): number =>
    bits & 0x80 ? (r.once(8) ? 0x2000 : 0) | (r.once(6) ? size : 0) : frameOf(r);
  if (kind === 'two-level') {
    const bits = entryBits(r);
    const pde = bits | (bits & 0x80 ? large(bits, 0x40_0000) : 0x1_1000);
    b.put32(CR3 + (lo >>> 22) * 4, pde);
    b.put32(0x1_1000 + ((lo >>> 12) & 0x3ff) * 4, entryBits(r) | frameOf(r));
    return;
  }
  const put = (table: number, index: number, low: number): void =>
    b.put32(table + index * 8, low, (r.once(5) ? 0x8000_0000 : 0) | (r.once(30) ? 1 << r.below(31) : 0));
  let level = 4;
  let table = CR3;
  if (kind === 'pae') {
    b.put32(CR3 + (lo >>> 30) * 8, 0x1_1000 | (r.once(20) ? 0 : 1) | (r.once(30) ? 2 : 0), 0);
    level = 2;
    table = 0x1_1000;
  }
  for (; level > 0; level--) {
    const shift = 12 + 9 * (level - 1);
    const index = Number((((BigInt(hi >>> 0) << 32n) | BigInt(lo)) >> BigInt(shift)) & 0x1ffn);
    const bits = level === 1 ? entryBits(r) & ~0x80 : entryBits(r) & (level === 4 && !r.once(10) ? ~0x80 : -1);
    const next = table + 0x1000;
    put(table, index, bits | (level === 1 ? frameOf(r) : bits & 0x80 && level < 4 ? large(bits, 0x20_0000) : next));
    table = next;
  }
}

function entries(b: Bench, lo: number): number[] {
  const at = ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  return [TLB_SUPERVISOR, TLB_SUPERVISOR + TLB_BYTES].flatMap((tlb) => [
    ...b.mem.u32.subarray((tlb + at) >> 2, (tlb + at + TLB_ENTRY_BYTES) >> 2),
  ]);
}

function compare(width: 32 | 64, kinds: Tables[], cases: number, seed: number): Record<string, number> {
  const b = new Bench(width);
  const r = new Random(seed);
  const seen: Record<string, number> = { alone: 0, faults: 0, refused: 0 };
  const empty = b.take();
  for (let n = 0; n < cases; n++) {
    b.restore(empty);
    const kind = r.pick(kinds);
    const lo = (kind === 'none' ? r.below(0x4_0000) : r.word()) >>> 0;
    const hi = kind === 'four-level' ? r.pick([0, 0x7fff, -1, -0x8000 | 0, r.below(0x8000)]) : 0;
    buildTables(b, r, kind, lo, hi);
    b.set(F.cr3, CR3);
    if (kind === 'pae' && r.once(2)) {
      // latched ones, which may be others than memory holds by now
      b.set(F.pdptesFrom, CR3 | 1);
      for (let i = 0; i < 4; i++) b.set(F.pdpte0 + i * 8, r.once(4) ? 0 : 0x1_1001);
    }
    b.set(F.cr0, (kind === 'none' ? 1 : 0x8000_0001) | (r.once(2) ? 0x1_0000 : 0));
    b.set(
      F.cr4,
      (r.once(3) ? 0 : 0x10) | (r.once(2) ? 0x80 : 0) | (kind === 'pae' || kind === 'four-level' ? 0x20 : 0),
    );
    b.set(F.efer, (r.once(3) ? 0 : 0x800) | (kind === 'four-level' ? 0x500 : 0));
    b.set(F.mode, width === 64 ? 2 | 8 | 32 : 1 | 4 | 8 | 32);
    b.set(F.flatLimit, 0xffff_ffff);
    b.set(F.cpl, r.once(2) ? 3 : 0);
    const bytes = r.pick([1, 2, 4, 8]);
    const before = b.take();
    const how = r.pick(['read', 'write', 'exec'] as const);
    const generated = (): number =>
      how === 'exec' ? b.exports['fetch_fill']!(lo, hi) : b.exports[`slow_${how}`]!(0, lo, hi, bytes);
    const written = (): number =>
      how === 'exec'
        ? b.core.tlb.fetchFill(lo, hi)
        : how === 'read'
          ? b.core.tlb.slowRead(0, lo, hi, bytes)
          : b.core.tlb.slowWrite(0, lo, hi, bytes);
    b.restore(before);
    const fast = generated();
    const afterFast = b.take();
    const fastEntries = entries(b, lo);
    if (fast === REFUSED) {
      seen['refused']!++;
      expect(difference(afterFast, before)).toBe('');
      continue;
    }
    b.restore(before);
    const slow = written();
    const label = `${n}: ${kind} ${how} ${hi.toString(16)}:${lo.toString(16)}`;
    expect(`${label} ${fast >>> 0} ${difference(afterFast, b.take())} ${fastEntries.join()}`).toBe(
      `${label} ${slow >>> 0}  ${entries(b, lo).join()}`,
    );
    seen[fast === 0 ? 'faults' : 'alone']!++;
    if (fast > 1) expect(fast >>> 0).toBeGreaterThanOrEqual(RAM_BASE);
  }
  return seen;
}

describe('the generated page walk does what the written one does', () => {
  it('without paging, with two levels and with PAE', () => {
    const seen = compare(32, ['none', 'two-level', 'two-level', 'pae', 'pae'], 1500, 0x1234_5678);
    expect(Math.min(seen['alone']!, seen['faults']!, seen['refused']!)).toBeGreaterThan(100);
  });
  it('with four levels', () => {
    const seen = compare(64, ['four-level'], 1500, 0x0bad_cafe);
    expect(Math.min(seen['alone']!, seen['faults']!, seen['refused']!)).toBeGreaterThan(100);
  });
});
