// Calls from region to region: a call waits in WebAssembly for its return while anything may happen to what it comes back to; and the table in which
// regions find each other, which must forget what dies.

import { describe, expect, it } from 'vitest';
import {
  CALL_DEPTH,
  CALL_RETURNS,
  F,
  OP,
  REGION_TARGETS,
  RegionTarget,
  STATE,
} from '../../../../main/machine/cpu/layout.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { mapOf } from '../../../../main/machine/cpu/translator/code-pattern.ts';
import { DEEPEST_CALL } from '../../../../main/machine/cpu/translator/region-frame.ts';
import { CODE, TierMachine } from './machine.ts';

const WARM = { threshold: 64, patience: 0, batch: 1, background: false };
/** A page away from the callers at CODE. */
const FUNCTION = CODE + 0x3000;
const ELSEWHERE = CODE + 0x5000;
const TABLE = 0x33000;
const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];
const call = (from: number, to: number): number[] => [0xe8, ...word32(to - from - 5)];

type Both = [TierMachine, TierMachine];
function machines(mode: 32 | 64, pieces: Record<number, readonly number[]>): Both {
  return (['interpreter', 'translator'] as const).map((tier) => {
    const m = new TierMachine(mode, { tier, translator: WARM });
    for (const [at, code] of Object.entries(pieces)) m.mem.copyIn(Number(at), Uint8Array.from(code));
    return m;
  }) as Both;
}
/** ECX passes of: add eax, 3; cmp eax, edx; call `to`; adc eax, 5; then `more`; dec ecx; jnz. Then UD2. */
function caller(at: number, to: number, more: readonly number[] = []): number[] {
  const head = [0x83, 0xc0, 3, 0x39, 0xd0];
  const body = [...head, ...call(at + head.length, to), 0x83, 0xd0, 5, ...more, 0xff, 0xc9];
  return [...body, 0x0f, 0x85, ...word32(-(body.length + 6)), 0x0f, 0x0b];
}
/** Where `caller` comes back to. */
const SITE = CODE + 10;
/** Whether the last call made from no other's function was to come back to `site`. */
const waited = (m: TierMachine, site = SITE): boolean => m.mem.view.getBigUint64(CALL_RETURNS, true) === BigInt(site);

function runBoth(both: Both, passes: number, budgets: readonly number[]): void {
  for (const m of both) {
    m.vcpu.setReg(1, BigInt(passes));
    for (const budget of budgets) m.run(budget);
  }
  expect(compareMachines(...both)).toBeNull();
}

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  const wide = mode === 64 ? [0x48] : [];
  /** Address of the page table's entry for a linear address. */
  const entryOf = (linear: number): number => TABLE + (linear >> 12) * (mode === 64 ? 8 : 4);
  const load = (address: number): number[] =>
    mode === 64 ? [0x8b, 0x1c, 0x25, ...word32(address)] : [0x8b, 0x1d, ...word32(address)];

  it('a call waits for its return, with budgets that end anywhere', () => {
    // the function: xor ebx, eax; ret
    const both = machines(mode, { [CODE]: caller(CODE, FUNCTION), [FUNCTION]: [0x31, 0xc3, 0xc3] });
    runBoth(both, 4000, [1000, 1, 7, 2, 501, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 40_000]);
    expect(both[0].vcpu.getReg(1)).toBe(0n);
    expect(waited(both[1])).toBe(true);
    expect(both[1].mem.u32[CALL_DEPTH >> 2]).toBe(0);
  });

  it('functions call each other deeper than calls may wait', () => {
    // dec edx; jz end; call the other; end: add eax, edx; ret
    const deep = (at: number, to: number): number[] => [0xff, 0xca, 0x74, 5, ...call(at + 4, to), 0x01, 0xd0, 0xc3];
    const begin = [0xba, ...word32(3 * DEEPEST_CALL)];
    const first = [...begin, ...call(CODE + 5, FUNCTION), 0xff, 0xc9, 0x0f, 0x85, ...word32(-18), 0x0f, 0x0b];
    const both = machines(mode, {
      [CODE]: first,
      [FUNCTION]: deep(FUNCTION, ELSEWHERE),
      [ELSEWHERE]: deep(ELSEWHERE, FUNCTION),
    });
    runBoth(both, 300, [20_000, 13, 100_000, 77, 200_000]);
    expect(both[0].vcpu.getReg(1)).toBe(0n);
    expect(both[1].mem.view.getBigUint64(CALL_RETURNS + 8 * (DEEPEST_CALL - 1), true)).not.toBe(0n);
    expect(both[1].mem.view.getBigUint64(CALL_RETURNS + 8 * DEEPEST_CALL, true)).toBe(0n);
  });

  it('functions that return to somebody else, or not at all', () => {
    // a retpoline: call over a loop, put EBX in place of the return address, return; where EBX goes: add eax, 7; ret
    const thunk = [0xe8, ...word32(2), 0xeb, 0xfe, ...wide, 0x89, 0x1c, 0x24, 0xc3];
    // drops its return address and jumps to where it would have returned
    const drops = [0x5f, 0x83, 0xc0, 11, 0xff, 0xe7];
    const both = machines(mode, {
      [CODE]: caller(CODE, FUNCTION, call(SITE + 3, FUNCTION + 0x100)),
      [FUNCTION]: thunk,
      [FUNCTION + 0x100]: drops,
      [ELSEWHERE]: [0x83, 0xc0, 7, 0xc3],
    });
    for (const m of both) m.vcpu.setReg(3, BigInt(ELSEWHERE));
    runBoth(both, 3000, [5000, 9, 80_000]);
    expect(both[0].vcpu.getReg(1)).toBe(0n);
    expect(waited(both[1], SITE + 8)).toBe(true);
  });

  it('what is behind the call is elsewhere when the function returns', () => {
    // the function maps the caller's page to a copy that adds 9 instead of 5, or back, once in 256 passes: test cl, cl; jnz end;
    // mov ebx, [entry]; xor ebx, difference; mov [entry], ebx; invlpg [CODE]; end: ret
    const address = entryOf(CODE);
    const put = mode === 64 ? [0x89, 0x1c, 0x25, ...word32(address)] : [0x89, 0x1d, ...word32(address)];
    const invlpg = mode === 64 ? [0x0f, 0x01, 0x3c, 0x25, ...word32(CODE)] : [0x0f, 0x01, 0x3d, ...word32(CODE)];
    const change = [...load(address), 0x81, 0xf3, ...word32(CODE ^ ELSEWHERE), ...put, ...invlpg];
    const copy = caller(CODE, FUNCTION);
    copy[12] = 9;
    const both = machines(mode, {
      [CODE]: caller(CODE, FUNCTION),
      [FUNCTION]: [0x84, 0xc9, 0x75, change.length, ...change, 0xc3],
      [ELSEWHERE]: copy,
    });
    runBoth(both, 4000, [40_000]);
    expect(both[0].vcpu.getReg(1)).toBe(0n);
    expect(waited(both[1])).toBe(true);
  });

  it('what is behind the call is changed by the function', () => {
    // once in 256 passes: store another immediate into the instruction behind the call
    const change = [0x88, ...(mode === 64 ? [0x2c, 0x25] : [0x2d]), ...word32(SITE + 2)]; // mov [SITE + 2], ch
    const both = machines(mode, {
      [CODE]: caller(CODE, FUNCTION),
      [FUNCTION]: [0x84, 0xc9, 0x75, change.length, ...change, 0xc3],
    });
    runBoth(both, 4000, [40_000]);
    expect(both[0].vcpu.getReg(1)).toBe(0n);
    expect(both[1].core.tier!.statistics().invalidated).toBeGreaterThan(0);
  });

  it('a function that waits is not found under the code that was there before', () => {
    // two functions that call each other by jumps, so that each is found in the table; then one is overwritten from outside
    const to = (from: number, target: number): number[] => [0xe9, ...word32(target - from - 5)];
    const step = (n: number): number[] => [0x83, 0xc0, n, 0xff, 0xc9, 0x75, 2, 0x0f, 0x0b];
    const both = machines(mode, {
      [CODE]: [...step(1), ...to(CODE + 9, FUNCTION)],
      [FUNCTION]: [...step(2), ...to(FUNCTION + 9, CODE)],
    });
    runBoth(both, 10_000, [9000]);
    const [, b] = both;
    const record = b.mem.u32[mapOf(b.mem, FUNCTION >> 12, b.mem.u32[(STATE + F.mode) >> 2]!) >> 2]!;
    const slot = b.mem.u16[(record + OP.handler) >> 1]!;
    const targets = (): number => {
      let n = 0;
      for (let i = 0; i < RegionTarget.entries; i++) {
        const at = (REGION_TARGETS + i * RegionTarget.bytes) >> 2;
        if (b.mem.u32[at] !== 0 && b.mem.u32[at + 3] === slot) n++;
      }
      return n;
    };
    expect(targets()).toBe(1);
    for (const m of both) m.mem.write32(FUNCTION, 0xff05_c083);
    expect(targets()).toBe(0);
    for (const m of both) m.run(9000);
    expect(compareMachines(...both)).toBeNull();
    expect(both[0].vcpu.getReg(0)).not.toBe(0n);
    // everything forgotten: by a flush, and by what memory is used for next
    b.mem.code.flush();
    let left = 0;
    for (let i = 0; i < RegionTarget.entries; i++)
      if (b.mem.u32[(REGION_TARGETS + i * RegionTarget.bytes) >> 2] !== 0) left++;
    expect(left).toBe(0);
  });
});
