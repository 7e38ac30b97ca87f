// Accesses that regions would leave to the interpreter again and again: the region is made anew with care, once, and then stays.

import { describe, expect, it } from 'vitest';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { CODE, TierMachine } from './machine.ts';

const PAGE_END = 0x11000;
const EBX = 3;
const ECX = 1;
const PASSES = 30_000;

/** Four instructions a pass: two accesses by EBX, four bytes apart. */
const LOOP = [
  ...[0x01, 0x03], // add [rbx], eax
  ...[0x03, 0x43, 0x04], // add eax, [rbx + 4]
  ...[0xff, 0xc9, 0x75, 0xf7], // dec ecx; jnz
  ...[0x0f, 0x0b],
];

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  const make = (tier: 'interpreter' | 'translator', data: number): TierMachine => {
    const m = new TierMachine(mode, { tier, translator: { threshold: 3000, batch: 1, background: false } });
    m.mem.copyIn(CODE, Uint8Array.from(LOOP));
    m.mem.write32(data, 3);
    m.mem.write32(data + 4, 5);
    m.vcpu.setReg(0, 1n);
    m.vcpu.setReg(EBX, BigInt(data));
    m.vcpu.setReg(ECX, BigInt(PASSES));
    return m;
  };
  it.each([
    ['a run across two pages', PAGE_END - 4],
    ['data beside code', CODE + 0x800],
    ['one access across two pages', PAGE_END - 2],
  ] as const)('%s', (_what, data) => {
    const [a, b] = [make('interpreter', data), make('translator', data)];
    const anew = [10_000, 60_000, 110_000].map((to) => {
      for (const m of [a, b]) m.runUntil(to);
      const found = compareMachines(a, b);
      if (found) expect.unreachable(String(found));
      return b.core.tier!.statistics().anew;
    });
    expect(anew[1]).toBeGreaterThan(0);
    // two pages at one access are beyond what care can do: it is not tried again
    expect(anew[2]).toBe(anew[1]);
    expect(b.core.tier!.statistics().regions).toBeGreaterThan(0);
    for (const m of [a, b]) m.runUntil(1_000_000);
    expect(compareMachines(a, b)).toBeNull();
    expect(b.other()).toContain('exit');
    expect(b.core.retiredNow()).toBeGreaterThanOrEqual(4 * PASSES);
  });
  it('code on another page, written and called in each pass', () => {
    const other = CODE + 0x3000;
    const immediate = [0x01, 0x30, 0x02, 0x00];
    const loop = [
      ...(mode === 64 ? [0x89, 0x0c, 0x25, ...immediate] : [0x89, 0x0d, ...immediate]), // mov [other + 1], ecx
      ...[0xe8, 0, 0, 0, 0], // call other
      ...[0x01, 0xc3], // add ebx, eax
      ...[0xff, 0xc9, 0x75, 0], // dec ecx; jnz
      ...[0x0f, 0x0b],
    ];
    const call = loop.indexOf(0xe8);
    const distance = other - (CODE + call + 5);
    for (let n = 0; n < 4; n++) loop[call + 1 + n] = (distance >> (8 * n)) & 255;
    loop[loop.length - 3] = (2 - loop.length) & 255;
    const [a, b] = (['interpreter', 'translator'] as const).map((tier) => {
      const m = new TierMachine(mode, { tier, translator: { threshold: 3000, batch: 1, background: false } });
      m.mem.copyIn(CODE, Uint8Array.from(loop));
      m.mem.copyIn(other, Uint8Array.of(0xb8, 0, 0, 0, 0, 0xc3));
      m.vcpu.setReg(EBX, 0n);
      m.vcpu.setReg(ECX, BigInt(PASSES));
      return m;
    }) as [TierMachine, TierMachine];
    for (let to = 10_000; to <= 300_000; to += 10_000) {
      for (const m of [a, b]) m.runUntil(to);
      const found = compareMachines(a, b);
      if (found) expect.unreachable(String(found));
    }
    expect(a.other()).toContain('exit');
    // the sum of what was written, each time as it was then
    expect(Number(BigInt.asUintN(32, a.vcpu.getReg(EBX)))).toBe((PASSES * (PASSES + 1)) / 2);
    expect(b.core.tier!.statistics()).toMatchObject({ invalidated: 0 });
    expect(b.core.tier!.statistics().regions).toBeGreaterThan(0);
  });
  it('what is not left is not made anew', () => {
    const m = make('translator', PAGE_END - 512);
    m.runUntil(1_000_000);
    expect(m.core.tier!.statistics()).toMatchObject({ anew: 0 });
    expect(m.core.tier!.statistics().made).toBeGreaterThan(0);
  });
});
