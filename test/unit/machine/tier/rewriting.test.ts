// Code that is rewritten over and over with instructions of other lengths and kinds: decoded anew in its place where no translator knows it, against
// a core whose translator knows it from the first jump, after some, or never.

import { describe, expect, it } from 'vitest';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { CODE, TierMachine } from './machine.ts';

const word32 = (v: number): number[] => [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >> 24) & 255];
/** Eight bytes of instructions each, cut at different places. */
const PIECES = [
  [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90],
  [0x05, 0x11, 0x22, 0x33, 0x44, 0xff, 0xc3, 0x90], // add eax, imm; inc ebx
  [0xff, 0xc0, 0x69, 0xdb, 0x03, 0x01, 0x00, 0x00], // inc eax; imul ebx, ebx, 259
  [0x81, 0xc3, 0x01, 0x00, 0x00, 0x10, 0xf7, 0xd0], // add ebx, imm; not eax
  [0xeb, 0x06, 0x05, 0x01, 0x00, 0x00, 0x00, 0x90], // jmp over it
  [0x35, 0x00, 0x55, 0xaa, 0x00, 0xeb, 0x01, 0x05], // xor eax, imm; jmp over a byte
  [0x01, 0xd8, 0x0f, 0xc8, 0x0f, 0xcb, 0x29, 0xd8], // add eax, ebx; bswap eax; bswap ebx; sub eax, ebx
  [0x66, 0x05, 0x34, 0x12, 0x83, 0xc3, 0x07, 0x90], // add ax, imm; add ebx, 7
];
const SLOTS = 12;

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it.each([1, 50, 3000])('does what it says now, hot after %i jumps', (threshold) => {
    let seed = 2026 + mode;
    const below = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % n;
    };
    // near the end of a page: some slots are in the next one, one spans both
    const area = CODE + 0x8000 - 44;
    const put = (address: number, bytes: number[]): number[] =>
      bytes.length === 1
        ? [0xc6, ...(mode === 64 ? [0x04, 0x25] : [0x05]), ...word32(address), bytes[0]!]
        : [0xc7, ...(mode === 64 ? [0x04, 0x25] : [0x05]), ...word32(address), ...bytes];
    const code: number[] = [];
    for (let n = 0; n < 600; n++) {
      const slot = area + below(SLOTS) * 8;
      const piece = PIECES[below(PIECES.length)]!;
      if (below(4) === 0) piece.forEach((byte, i) => code.push(...put(slot + i, [byte])));
      else code.push(...put(slot, piece.slice(0, 4)), ...put(slot + 4, piece.slice(4)));
      code.push(0xe8, ...word32(area - (CODE + code.length + 5)));
    }
    code.push(0x0f, 0x0b);
    expect(code.length).toBeLessThan(0x8000 - 44 - 16);
    const all = new Uint8Array(0x8000 + 0x100).fill(0x90);
    all.set(code);
    all[area - CODE + SLOTS * 8] = 0xc3;
    const make = (tier: 'interpreter' | 'translator'): TierMachine => {
      const m = new TierMachine(mode, { tier, translator: { threshold, batch: 1, background: false } });
      m.mem.copyIn(CODE, all);
      m.vcpu.setReg(3, 5n);
      return m;
    };
    const [a, b] = [make('interpreter'), make('translator')];
    for (let to = 500; to < 80_000; to += 500) {
      for (const m of [a, b]) m.runUntil(to);
      const found = compareMachines(a, b);
      if (found) expect.unreachable(String(found));
    }
    expect(a.other()).toContain('exit');
    expect(a.core.retiredNow()).toBeGreaterThan(20_000);
  });
});
