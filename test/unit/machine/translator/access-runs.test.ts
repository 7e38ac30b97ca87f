// Accesses near each other by the same base: looked up together, also where they lie across two pages, in pages that may not be written, are not there,
// or have code; and with bases that change on the way.

import { describe, expect, it } from 'vitest';
import { planAccesses, type AccessPlan } from '../../../../main/machine/cpu/translator/access-runs.ts';
import { findRegion } from '../../../../main/machine/cpu/translator/blocks.ts';
import { Observer } from '../../../../main/machine/cpu/translator/observe.ts';
import { F, STATE } from '../../../../main/machine/cpu/layout.ts';
import { Random } from './programs.ts';
import { CODE, DATA, DATA_PAGES, STACK, TwoTiers, difference } from './two-tiers.ts';

const CASES = Number(process.env.BULKHEAD_FUZZ ?? 0) * 50 || 400;
const [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI] = [0, 1, 2, 3, 4, 5, 6, 7];
const BASES = [EBX, ESP, EBP, ESI, EDI];
const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];

/** ModRM (and SIB) of [base + disp8] with a register. */
const near = (reg: number, base: number, disp: number): number[] => [
  0x40 | (reg << 3) | base,
  ...(base === ESP ? [0x24] : []),
  disp & 255,
];
/** ModRM of [number]. */
const absolute = (mode: 32 | 64, reg: number, address: number): number[] =>
  mode === 64 ? [0x04 | (reg << 3), 0x25, ...word32(address)] : [0x05 | (reg << 3), ...word32(address)];

/** What changes registers in other ways, and what has its address as a number. */
function odd(r: Random, mode: 32 | 64): number[] {
  const by = r.pick([1, 4, 8, 16, 64, 120]);
  const number = DATA + 4096 * r.below(2) + r.pick([0, 4, 8, 0xff0]);
  const moffs = mode === 64 ? [...word32(number), 0, 0, 0, 0] : word32(number);
  return r.pick([
    [0x80, 0xc0 + EBX, by], // add bl
    [0xfe, 0xc0 + EBX], // inc bl
    [0x88, 0xc0 | (EAX << 3) | EBX], // mov bl, al
    [0xb7, by & 15], // mov bh
    [0x66, 0x83, 0xc0 + ESI, by], // add si
    [0x83, 0xc0 + EDI, by], // add edi
    [0x89, 0xc0 | (EDI << 3) | ESI], // mov esi, edi
    [0x9c], // pushf
    [0x6a, 0x02, 0x9d], // push, popf
    [0x0f, 0x31], // rdtsc
    [0x87, 0xc0 | (EBX << 3) | ESI], // xchg esi, ebx
    [0x0f, 0x44, 0xc0 | (EBX << 3) | ESI], // cmovz ebx, esi
    [0xa1, ...moffs],
    [0xa3, ...moffs],
    [0xa4], // movs
    [0xab], // stos
    [0xff, 0x74, 0x8b, 4], // push [ebx + 4 * ecx + 4]
    [0x64, 0x8b, ...near(EAX, EBX, 4)], // by FS
  ]);
}
function instruction(r: Random, mode: 32 | 64): number[] {
  const wide = mode === 64 ? [0x48] : [];
  const base = r.pick(BASES);
  const disp = r.pick([0, 4, 8, 12, 1, 30, 60, -4, -8, -64, 100]);
  const value = r.pick([EAX, EDX]);
  const place = (reg: number): number[] =>
    r.once(8) ? absolute(mode, reg, DATA + 4096 * r.below(3) + r.below(4096)) : near(reg, base, disp);
  const by = r.pick([1, 4, 8, 16, 64, 120]);
  if (r.once(6)) return odd(r, mode);
  switch (r.below(16)) {
    case 0:
    case 1:
    case 2:
      return [0x8b, ...place(value)]; // mov value, []
    case 3:
    case 4:
      return [0x89, ...place(value)]; // mov [], value
    case 5:
      return [...(r.once(2) ? wide : []), r.pick([0x01, 0x03, 0x39, 0x87]), ...place(value)]; // add, cmp, xchg
    case 6:
      return [r.pick([0x88, 0x8a]), ...place(value)];
    case 7:
      return [0x66, r.pick([0x89, 0x8b]), ...place(value)];
    case 8:
      return r.pick([[0x50 + value], [0x6a, 0x11], [0x50 + base]]); // push
    case 9:
      return [0x58 + value]; // pop
    case 10:
      return r.once(2) ? [0xff, ...near(6, base, disp)] : [0x8f, ...near(0, base, disp)]; // push [], pop []
    case 11:
      return [...wide, 0x83, r.pick([0xc0, 0xe8]) + base, by]; // add, sub
    case 12:
      return [...wide, 0x8d, ...near(r.pick(BASES), base, disp)]; // lea
    case 13:
      return [...wide, 0x89, 0xc0 | (base << 3) | r.pick([EBX, ESI, EDI])]; // mov
    case 14:
      return r.once(6) ? [0xc9] : [...wide, 0xff, r.pick([0xc0, 0xc8]) + base]; // leave; inc, dec
    default:
      return [0x0f, r.pick([0xb6, 0xb7]), ...place(value)]; // movzx
  }
}
/** A loop of five passes. */
function program(r: Random, mode: 32 | 64): number[] {
  const body = Array.from({ length: 3 + r.below(14) }, () => instruction(r, mode)).flat();
  const end = [0xff, 0xc8 + ECX, 0x0f, 0x85]; // dec ecx; jnz
  return [...body, ...end, ...word32(-(body.length + end.length + 4))];
}

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it('does the same in both tiers', () => {
    const m = new TwoTiers(mode);
    let [made, entered, faults] = [0, 0, 0];
    for (let seed = 1; seed <= CASES; seed++) {
      const r = new Random(seed * 7919 + mode);
      for (let page = 0; page < DATA_PAGES; page++)
        m.map((DATA >> 12) + page, r.once(3) ? 3 : r.pick([3, 3, 3, 1, 0]), (DATA >> 12) + r.below(DATA_PAGES));
      const { vcpu } = m;
      for (const reg of [EAX, EDX]) vcpu.setReg(reg, BigInt(r.word()));
      vcpu.setReg(ECX, 5n);
      for (const base of BASES) {
        const at = DATA + 4096 * r.below(DATA_PAGES) + r.pick([0, 8, 200, 2048, 4000, 4060, 4088, 4092, 4095]);
        // some beside the code
        vcpu.setReg(base, BigInt(r.once(10) ? CODE + 0xe00 : r.once(4) ? STACK : at));
      }
      const code = program(r, mode);
      made += m.load(code, 60);
      if (m.entered) entered++;
      for (const budget of [1 + r.below(40), 400]) {
        const { interpreted, translated } = m.compare(budget);
        const found = difference(interpreted, translated);
        if (found) expect.unreachable(`seed ${seed}, budget ${budget}: ${found}; ${Buffer.from(code).toString('hex')}`);
        if (interpreted.vector === 14) faults++;
      }
    }
    expect(made).toBeGreaterThan(CASES * 0.9);
    expect(entered).toBeGreaterThan(CASES * 0.9);
    expect(faults).toBeGreaterThan(CASES / 10);
    expect(faults).toBeLessThan(CASES * 2 * 0.9);
  });

  it('a page that is not remembered is not that of address 1', () => {
    const m = new TwoTiers(mode);
    const away = [0x83, 0xe4, 0xff]; // and esp, -1: each by itself
    const code = [1, 2, 3, 4].flatMap(() => [...(mode === 64 ? [0x48] : []), ...away, 0x58 + EAX]);
    m.vcpu.setReg(ESP, BigInt(STACK));
    expect(m.load(code, 30)).toBe(1);
    m.map(0, 0);
    m.vcpu.setReg(ESP, 1n);
    const { interpreted, translated } = m.compare(400);
    expect(interpreted).toMatchObject({ vector: 14, cr2: 1n });
    expect(difference(interpreted, translated)).toBe('');
  });

  describe('planAccesses', () => {
    const plan = (code: readonly number[], careful: readonly number[] = []): AccessPlan[] => {
      const m = new TwoTiers(mode);
      m.vcpu.setReg(ESP, BigInt(STACK));
      for (const base of [EBX, EBP, ESI, EDI]) m.vcpu.setReg(base, BigInt(DATA));
      m.load(code, 30);
      m.translated.mem.u32[(STATE + F.codeFrame) >> 2] = CODE >> 12;
      const region = findRegion(m.translated.mem, mode, { ...m.translated.request(), careful })!;
      const { instructions } = region.blocks[0]!;
      const observer = new Observer(mode);
      return planAccesses(
        mode,
        instructions,
        instructions.map((i) => observer.observe(i).facts),
      );
    };
    const word = mode / 8;
    const wide = mode === 64 ? [0x48] : [];
    const push = (n: number): number[] => [0x50 + n];
    const load = (base: number, disp: number): number[] => [0x8b, ...near(EAX, base, disp)];
    const store = (base: number, disp: number): number[] => [0x89, ...near(EAX, base, disp)];

    it('a frame is one run: what is pushed, what is reserved, what is used of it', () => {
      const plans = plan([...push(EBP), ...push(EBX), ...wide, 0x83, 0xec, 16, ...load(ESP, 4), ...store(ESP, 8)]);
      const runs = new Set([plans[0]!.stack, plans[1]!.stack, plans[3]!.operand, plans[4]!.operand].map((p) => p?.run));
      expect(runs.size).toBe(1);
      expect([...runs][0]).toEqual({ low: -2 * word - 12, high: 0, write: true, members: 4 });
    });
    it('a structure is one run until its pointer is another', () => {
      const plans = plan([...load(EBX, 0), ...load(EBX, 40), ...wide, 0x8b, ...near(EBX, EBX, 8), ...load(EBX, 0)]);
      expect(plans.map(({ operand }) => operand?.run.members ?? 0)).toEqual([3, 3, 3, 0]);
      expect(plans[0]!.operand!.run).toMatchObject({ low: 0, high: 44, write: false });
    });
    it('through a copy and a sum the base is the same', () => {
      const copy = [...wide, 0x89, 0xc0 | (EBX << 3) | ESI];
      const plans = plan([...load(EBX, 0), ...copy, ...wide, 0x83, 0xc0 + ESI, 8, ...store(ESI, 4)]);
      expect(plans[3]!.operand).toMatchObject({ offset: 12, run: { low: 0, high: 16, write: true } });
    });
    it('what is far is another run, what is alone is none', () => {
      const plans = plan([...load(EBX, 0), ...load(EBX, 4), ...load(EBX, 127), ...load(ESI, 0)]);
      expect(plans.map(({ operand }) => operand?.run.members ?? 0)).toEqual([2, 2, 0, 0]);
    });
    it('what was left to the interpreter often is accessed with care, and all that has its base', () => {
      const plans = plan([...load(EBX, 0), ...load(EBX, 4), ...load(ESI, 0), ...load(ESI, 4)], [3]);
      expect(plans.map(({ careful }) => careful)).toEqual([true, true, false, false]);
      expect(plans.map(({ operand }) => operand?.run.members ?? 0)).toEqual([0, 0, 2, 2]);
    });
    it('what is popped into memory is by itself: its address is that behind the pop', () => {
      const plans = plan([...load(ESP, 0), 0x8f, ...near(0, ESP, 8), ...load(ESP, 4)]);
      expect(plans[1]!.operand).toBeNull();
      expect(plans[1]!.stack).toMatchObject({ offset: 0, run: { low: 0, high: word + 8 } });
    });
    it('a routine ends runs', () => {
      const plans = plan([...load(EBX, 0), 0x0f, 0x31, ...load(EBX, 4)]); // rdtsc
      expect(plans.every(({ operand }) => operand === null)).toBe(true);
    });
  });
});
