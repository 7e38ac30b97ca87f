// Regions that go on in the page behind: wherever the end of the page falls, whatever becomes of the second page or of the bytes at the border.

import { describe, expect, it } from 'vitest';
import { F, PAGE, STATE } from '../../../../main/machine/cpu/layout.ts';
import { mapOf } from '../../../../main/machine/cpu/translator/code-pattern.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { translateRegions } from '../../../../main/machine/cpu/translator/translate.ts';
import { CODE, TierMachine } from './machine.ts';

const EAGER = { threshold: 300, patience: 0, batch: 1, background: false };
const BORDER = CODE + PAGE;
const TABLE = 0x33000;
const DATA = 0x9000;
const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];

/** A loop with branches, a call within, memory and (in 64 bits) an operand relative to RIP; ECX passes, then UD2. */
function program(mode: 32 | 64): number[] {
  const own = mode === 64 ? [0x03, 0x05, ...word32(-6 - 2)] : [0x81, 0xc0, ...word32(0x01020304)];
  const body = [
    ...[0x05, ...word32(0x1234567)], // add eax, imm
    ...own, // add eax, [rip - 8]: the bytes of the instruction in front, or an immediate
    ...[0x89, 0x83, ...word32(0x40)], // mov [ebx + 0x40], eax
    ...[0xa8, 4, 0x74, 6], // test al, 4; jz +6
    ...[0x81, 0xea, ...word32(99)], // sub edx, 99
    ...[0xe8, ...word32(9)], // call the end
    ...[0x33, 0x93, ...word32(0x40)], // xor edx, [ebx + 0x40]
    ...[0xff, 0xc9], // dec ecx
  ];
  // jnz back over the function behind it, which follows a ud2
  const back = -(body.length + 6);
  const all = [...body, 0x0f, 0x85, ...word32(back), 0x0f, 0x0b, ...[0xc1, 0xc2, 3], 0xc3];
  const call = body.length - 2 - 6 - 5;
  return [...all.slice(0, call + 1), ...word32(all.length - 4 - (call + 5)), ...all.slice(call + 5)];
}
const machines = (mode: 32 | 64): TierMachine[] =>
  (['interpreter', 'translator'] as const).map((tier) => new TierMachine(mode, { tier, translator: EAGER }));
/** Puts the program at an address and begins it. */
function begin(m: TierMachine, at: number, code: readonly number[], passes: number): void {
  m.mem.code.flush();
  m.mem.copyIn(at, Uint8Array.from(code));
  m.vcpu.rip = BigInt(at);
  m.vcpu.setReg(1, BigInt(passes));
  m.vcpu.setReg(3, BigInt(DATA));
}
/** Maps the page at a linear address to a frame. */
function remap(m: TierMachine, linear: number, frame: number): void {
  m.mem.write32(TABLE + (linear >> 12) * (m.mode === 64 ? 8 : 4), (frame << 12) | 3);
  m.core.tlb.flush(true);
}

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  const code = program(mode);

  it('is the same wherever the border falls, with budgets that end anywhere', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    for (let n = 1; n < code.length; n++) {
      const at = BORDER - n;
      for (const m of [a, b]) {
        begin(m, at, code, 800);
        for (const budget of [2999, 7, 501, 1, 10_000]) m.run(budget);
      }
      expect(compareMachines(a, b), `${n} bytes in the first page`).toBeNull();
      expect(a.vcpu.getReg(1)).toBe(0n);
      // not where the entry itself spans the border, nor behind the call of a function in the page behind
      if (n < 5 || n > 27) continue;
      const key = b.mem.u32[(STATE + F.mode) >> 2]!;
      const record = b.mem.u32[(mapOf(b.mem, at >> 12, key) >> 2) + (at % PAGE)]!;
      const made = translateRegions(b.core, mode, [
        { record, frame: at >> 12, key, second: (at >> 12) + 1, alone: true, careful: [] },
      ]);
      expect(
        made!.functions[0]!.offsets.some((o) => o >= PAGE),
        `${n} bytes in the first page`,
      ).toBe(true);
    }
    expect(b.core.tier!.statistics().made).toBeGreaterThan(code.length - 10);
  });

  it('goes on in whatever page is mapped behind', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    const other = (CODE >> 12) + 4;
    for (const n of [5, 7, 13, 20, 26, 31])
      for (const m of [a, b]) {
        // the same bytes but for one that differs in a constant behind the border, if there is one
        const second = code.slice(n);
        const constant = second.findIndex((byte, k) => byte === 99 && k > 0);
        if (constant > 0) second[constant] = 77;
        begin(m, BORDER - n, code, 1200);
        m.mem.copyIn(other << 12, Uint8Array.from(second));
        for (const frame of [other, BORDER >> 12, other, BORDER >> 12]) {
          m.run(3500);
          remap(m, BORDER, frame);
        }
        m.run(10_000);
        expect(m.vcpu.getReg(1), `${n} bytes in the first page`).toBe(0n);
      }
    expect(compareMachines(a, b)).toBeNull();
  });

  it('notices a write to any byte of it', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    for (const n of [7, 14, 20, 27])
      for (let k = 0; k < code.length; k++) {
        const at = BORDER - n;
        for (const m of [a, b]) {
          begin(m, at, code, 3000);
          m.run(3500);
          m.mem.copyIn(at + k, Uint8Array.of(code[k]! ^ 1));
          m.run(50);
          m.mem.copyIn(at + k, Uint8Array.of(code[k]!));
          m.run(500);
        }
        expect(compareMachines(a, b), `byte ${k}, ${n} bytes in the first page`).toBeNull();
      }
  });

  it('notices its own stores at the border', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    const store = mode === 64 ? [0x88, 0x0c, 0x25] : [0x88, 0x0d];
    for (let n = 2; n < 24; n++)
      for (const target of [1, 4]) {
        // add eax, imm; mov [one of its bytes], cl; nop; add eax, imm; dec ecx; jnz back; ud2
        const at = BORDER - n;
        const first = [0x05, ...word32(0x1234567), ...store, ...word32(at + target), 0x90];
        const body = [...first, 0x05, ...word32(3), 0xff, 0xc9];
        for (const m of [a, b]) {
          begin(m, at, [...body, 0x75, -(body.length + 2) & 255, 0x0f, 0x0b], 500);
          m.run(10_000);
        }
        expect(compareMachines(a, b), `byte ${target}, ${n} bytes in the first page`).toBeNull();
        expect(a.vcpu.getReg(1)).toBe(0n);
      }
  });

  it('calls a function in the page behind, to which it also jumps', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    const [at, f] = [BORDER - 41, BORDER + 16];
    const code = [
      ...[0x01, 0xc8, 0xe8, ...word32(f - at - 7)], // a: add eax, ecx; call f
      ...[0xf6, 0xc1, 1, 0x74, 6], // test cl, 1; jz b
      ...[0xff, 0xc9, 0x75, -16 & 255, 0x0f, 0x0b], // dec ecx; jnz a; c: ud2
      ...[0xff, 0xc9, 0x74, -6 & 255], // b: dec ecx; jz c
      ...[0x68, ...word32(at), 0xf6, 0xc1, 2], // push a; test cl, 2
      ...[0x0f, 0x84, ...word32(f - BORDER + 5), 0xe9, ...word32(f - BORDER)], // jz f; jmp f
    ];
    for (const m of [a, b]) {
      m.mem.copyIn(f, Uint8Array.of(0x01, 0xc2, 0xc3));
      begin(m, at, code, 2000);
      m.run(100_000);
    }
    expect(compareMachines(a, b)).toBeNull();
    expect(a.vcpu.getReg(1)).toBe(0n);
    // behind the call both ways to it are part of a region
    const key = b.mem.u32[(STATE + F.mode) >> 2]!;
    const record = b.mem.u32[(mapOf(b.mem, at >> 12, key) >> 2) + ((at + 7) % PAGE)]!;
    const made = translateRegions(b.core, mode, [
      { record, frame: at >> 12, key, second: (at >> 12) + 1, alone: true, careful: [] },
    ]);
    expect(made!.functions[0]!.offsets).toContain(PAGE + 16);
  });

  it('serves another pair of pages with the same bytes', () => {
    const [a, b] = machines(mode) as [TierMachine, TierMachine];
    for (const n of [10, 13, 21])
      for (const at of [BORDER - n, BORDER + 0x4000 - n])
        for (const m of [a, b]) {
          begin(m, at, code, 3000);
          m.run(100_000);
        }
    expect(compareMachines(a, b)).toBeNull();
    expect(b.core.tier!.statistics().reused).toBeGreaterThan(2);
  });
});
