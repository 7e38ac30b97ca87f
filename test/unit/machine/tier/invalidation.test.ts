// Translated code dies with what it was made from: stores of the guest (its own too), writes from outside, a page in another mode, the end of the
// arena, a cache that is too small.

import { describe, expect, it, vi } from 'vitest';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { CODE, TierMachine } from './machine.ts';

const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];
const EAGER = { threshold: 1, patience: 0, batch: 1, background: false };

/** add eax, imm (`step`); dec ecx; jnz back; `then` */
const counting = (step: number, then: number[]): number[] => [0x05, ...word32(step), 0xff, 0xc9, 0x75, 0xf7, ...then];

function machines(mode: 32 | 64, code: readonly number[], translator: object = EAGER): [TierMachine, TierMachine] {
  return (['interpreter', 'translator'] as const).map((tier) => {
    const m = new TierMachine(mode, { tier, translator });
    m.mem.copyIn(CODE, Uint8Array.from(code));
    return m;
  }) as [TierMachine, TierMachine];
}
const regions = (m: TierMachine): number => m.core.tier!.statistics().regions;

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  /** mov dword [address], value */
  const store = (address: number, value: number): number[] =>
    mode === 64
      ? [0xc7, 0x04, 0x25, ...word32(address), ...word32(value)]
      : [0xc7, 0x05, ...word32(address), ...word32(value)];

  it('a loop that changes its own constant', () => {
    // every 16th pass stores ecx into the ADD's immediate: nop; add eax, imm; test cl, 15; jnz; mov [imm], ecx; dec ecx; jnz
    const put = mode === 64 ? [0x89, 0x0c, 0x25, ...word32(CODE + 2)] : [0x89, 0x0d, ...word32(CODE + 2)];
    const body = [0x90, 0x05, ...word32(1), 0xf6, 0xc1, 15, 0x75, put.length, ...put, 0xff, 0xc9, 0x75];
    const code = [...body, 256 - (body.length + 1), 0x0f, 0x0b];
    const [a, b] = machines(mode, code);
    // not from a pass with a store on: what is overwritten has not been decoded again when the loop is first jumped to
    for (const m of [a, b]) {
      m.vcpu.setReg(1, 2008n);
      m.runUntil(100_000);
    }
    expect(compareMachines(a, b)).toBeNull();
    expect(a.vcpu.getReg(1)).toBe(0n);
    expect(b.core.tier!.statistics().invalidated).toBeGreaterThan(0);
  });

  it('a store to another part of the same page leaves it alone, one to its middle does not', () => {
    for (const [address, survives] of [
      [CODE + 0x800, true],
      [CODE + 2, false],
      [CODE + 6, false],
    ] as const) {
      const outer = CODE + 0x100;
      const code = new Uint8Array(0x200).fill(0x90);
      code.set(counting(3, [0xe9, ...word32(0x100 - 14)]));
      // the outer part: store, ecx = 50, edx - 1, back to the loop until edx is 0
      const again = [...store(address, 0x11), 0xb9, ...word32(50), 0xff, 0xca];
      code.set([...again, 0x0f, 0x85, ...word32(CODE - (outer + again.length + 6)), 0x0f, 0x0b], 0x100);
      const [a, b] = machines(mode, [...code]);
      for (const m of [a, b]) {
        m.vcpu.setReg(1, 50n);
        m.vcpu.setReg(2, 20n);
        m.runUntil(50_000);
      }
      expect(compareMachines(a, b), address.toString(16)).toBeNull();
      const { made, invalidated } = b.core.tier!.statistics();
      expect(made).toBeGreaterThan(0);
      if (survives) expect(invalidated).toBe(0);
      else expect(invalidated).toBeGreaterThan(0);
    }
  });

  it('a write from outside', () => {
    const [a, b] = machines(mode, counting(1, [0xeb, 0xf5]));
    for (const m of [a, b]) {
      m.vcpu.setReg(1, 0x7fff_ffffn);
      m.runUntil(1000);
    }
    expect(regions(b)).toBeGreaterThan(0);
    for (const m of [a, b]) {
      m.mem.write32(CODE + 1, 0x1000);
      if (m === b) expect(regions(b)).toBe(0);
      m.runUntil(3000);
    }
    expect(compareMachines(a, b)).toBeNull();
  });

  it('all code forgotten', () => {
    const [a, b] = machines(mode, counting(1, [0xeb, 0xf5]));
    for (const m of [a, b]) {
      m.vcpu.setReg(1, 0x7fff_ffffn);
      m.runUntil(1000);
      m.mem.code.flush();
    }
    expect(regions(b)).toBe(0);
    for (const m of [a, b]) m.runUntil(3000);
    expect(regions(b)).toBeGreaterThan(0);
    expect(compareMachines(a, b)).toBeNull();
  });

  it('code that changes while another thread translates it', () => {
    const [a, b] = machines(mode, counting(1, [0xeb, 0xf5]), { threshold: 1, batch: 1, background: true });
    const arrive = (): void => {
      // the answer comes through a port that is polled: no event loop is needed
      const cell = new Int32Array(new SharedArrayBuffer(4));
      for (let n = 0; n < 6000 && b.core.tier!.outstanding > 0; n++) {
        Atomics.wait(cell, 0, 0, 10);
        b.core.tier!.poll();
      }
      expect(b.core.tier!.outstanding).toBe(0);
    };
    // no answer is fetched before the write
    const held = vi.spyOn(b.core.tier!, 'poll').mockImplementation(() => undefined);
    for (const m of [a, b]) {
      m.vcpu.setReg(1, 0x7fff_ffffn);
      m.runUntil(1000);
      m.mem.write32(CODE + 1, 0x1000);
    }
    held.mockRestore();
    expect(b.core.tier!.outstanding).toBeGreaterThan(0);
    arrive();
    expect(b.core.tier!.statistics().made).toBe(0);
    for (const m of [a, b]) m.runUntil(3000);
    arrive();
    expect(regions(b)).toBeGreaterThan(0);
    for (const m of [a, b]) m.runUntil(9000);
    expect(compareMachines(a, b)).toBeNull();
  });

  it('a cache that holds less than the program needs', () => {
    // 40 loops one after the other, all of it again and again
    const loops = Array.from({ length: 40 }, (_, n) => [0xb9, ...word32(20), ...counting(n + 1, [])]).flat();
    const code = [...loops, 0xe9, ...word32(-(loops.length + 5))];
    const limit = 400_000;
    const [a, b] = machines(mode, code, { ...EAGER, cacheBytes: limit });
    let most = 0;
    for (let to = 5000; to <= 100_000; to += 5000) {
      for (const m of [a, b]) m.runUntil(to);
      most = Math.max(most, b.core.tier!.statistics().bytes);
    }
    expect(compareMachines(a, b)).toBeNull();
    expect(most).toBeLessThanOrEqual(limit);
    expect(b.core.tier!.statistics().evicted).toBeGreaterThan(0);
  });
});

it('the same page as 64-bit and as 32-bit code', () => {
  // two machines cannot share memory, so one changes its own mode: CS with and without L
  const [a, b] = machines(64, counting(1, [0x0f, 0x0b]));
  const outcomes = [a, b].map((m) => {
    const seen: bigint[] = [];
    for (const attr of [0xa09b, 0xc09b, 0xa09b, 0xc09b]) {
      m.vcpu.setSegment(1, { selector: 8, base: 0n, limit: 0xffff_ffff, attr });
      m.core.system.recomputeMode();
      m.vcpu.setReg(1, 300n);
      m.vcpu.rip = BigInt(CODE);
      m.core.run(m.vcpu, 10_000);
      seen.push(m.vcpu.getReg(0), BigInt(m.core.retiredNow()));
    }
    return seen;
  });
  expect(outcomes[1]).toEqual(outcomes[0]);
  expect(b.core.tier!.statistics().invalidated).toBeGreaterThan(2);
});
