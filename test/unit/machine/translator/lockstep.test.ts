// The translated tier agrees with the interpreter on every architectural effect and on the number of retired instructions.

import { describe, expect, it } from 'vitest';
import { Random, loop, straightLine, type Program } from './programs.ts';
import { CODE, DATA, DATA_PAGES, STACK, TwoTiers, difference } from './two-tiers.ts';
import { F } from '../../../../main/machine/cpu/layout.ts';
import { findRegion } from '../../../../main/machine/cpu/translator/blocks.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';

const SOME = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  (1n << 63n) - 1n,
  -1n,
];

function randomState(m: TwoTiers, r: Random): void {
  for (let n = 0; n < (m.mode === 64 ? 16 : 8); n++) {
    const wide = (BigInt(r.word()) << 32n) | BigInt(r.word());
    const v = r.once(3) ? r.pick(SOME) : wide;
    m.vcpu.setReg(n, BigInt.asUintN(m.mode, v));
  }
  m.vcpu.setReg(4, BigInt(STACK));
  m.vcpu.rflags = 2 | (r.word() & 0x8d5);
  m.vcpu.rip = BigInt(CODE);
  m.vcpu.set64(F.cr2, 0n);
}
function fillData(m: TwoTiers, r: Random): void {
  m.interpreted.mem.copyIn(DATA, Uint8Array.from(r.bytes(DATA_PAGES * 4096)));
}
const listing = ({ code }: Program): string => Buffer.from(code).toString('hex');

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it('straight-line programs with every budget and a fault at every memory access', () => {
    const r = new Random(0x1234 + mode);
    const m = new TwoTiers(mode);
    fillData(m, r);
    let faults = 0;
    let entered = 0;
    for (let n = 0; n < 40; n++) {
      const program = straightLine(r, mode, 1 + r.below(24), 6);
      randomState(m, r);
      m.load(program.code);
      if (m.entered) entered++;
      const run = (budget: number, what: string): number => {
        const { interpreted, translated } = m.compare(budget);
        expect(difference(interpreted, translated), `${listing(program)} ${what}`).toBe('');
        return interpreted.vector;
      };
      for (let budget = 0; budget < 27; budget += 1 + r.below(3)) run(budget, `budget ${budget}`);
      run(1000, 'budget 1000');
      for (let page = 0; page < program.pages; page++)
        for (const bits of [0, 1]) {
          m.map((DATA >> 12) + page, bits);
          if (run(1000, `page ${page} mapped as ${bits}`) === 14) faults++;
          m.map((DATA >> 12) + page, 3);
        }
    }
    expect(entered).toBeGreaterThan(35);
    expect(faults).toBeGreaterThan(30);
  });

  it('every condition after every kind of flags', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(3));
    const wide = mode === 64 ? [0x48] : [];
    // ADD, SUB, CMP, AND, ADC, SBB of EAX and EBX; INC, DEC, NEG; SHL, SHR, SAR, ROL, ROR, RCL by 1 and by CL, which is 0 or not; BT; IMUL
    const setters = [0x01, 0x29, 0x39, 0x21, 0x11, 0x19].map((opcode) => [opcode, 0xd8]);
    setters.push([0xff, 0xc0], [0xff, 0xc8], [0xf7, 0xd8], [0x0f, 0xa3, 0xd8], [0x0f, 0xaf, 0xc3]);
    for (const digit of [4, 5, 7, 0, 1, 2]) setters.push([0xd1, 0xc0 | (digit << 3)], [0xd3, 0xc0 | (digit << 3)]);
    const values = [0n, 1n, -1n, 1n << BigInt(mode - 1)];
    const address = mode === 64 ? [0x04, 0x25, 0, DATA >> 8, 0, 0] : [0x05, 0, DATA >> 8, 0, 0];
    for (const setter of setters)
      for (const between of [[], [0xff, 0xc6], [0xd1, 0xc6], [0x0f, 0xba, 0xe6, 3], [0x8b, ...address]]) {
        // nothing, INC ESI, ROL ESI, BT ESI or a load in between; SETcc CL and LEA EDX, [ECX + EDX * 2] collect them
        const collect = Array.from({ length: 16 }, (_, cc) => [0x0f, 0x90 | cc, 0xc1, 0x8d, 0x14, 0x51]).flat();
        m.load([...wide, ...setter, ...between, 0xb9, 0, 0, 0, 0, ...collect]);
        expect(m.entered).toBe(true);
        for (const a of values)
          for (const b of values) {
            m.vcpu.setReg(0, BigInt.asUintN(mode, a));
            m.vcpu.setReg(3, BigInt.asUintN(mode, b));
            m.vcpu.setReg(1, BigInt.asUintN(mode, b));
            m.vcpu.setReg(2, 0n);
            m.vcpu.rflags = 2 | (b === 1n ? 0x8d5 : 0);
            for (const budget of a === b ? [2, 100] : [100]) {
              const { interpreted, translated } = m.compare(budget);
              expect(difference(interpreted, translated), `${setter} ${between} of ${a} and ${b}`).toBe('');
            }
          }
      }
  });

  it('a shift by any byte, which may be by nothing', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(4));
    // CMP EBX, EBX; SHIFT EAX, count; SETZ CL; the counts that set flags come first
    for (const count of [0x61, 0x60, 0xe0, 0x41, 0x40, 0xff, 0x80, 0x20])
      for (const digit of [4, 5, 7, 0, 2]) {
        m.load([0x39, 0xdb, 0xc1, 0xc0 | (digit << 3), count, 0x0f, 0x94, 0xc1]);
        expect(m.entered).toBe(true);
        m.vcpu.setReg(0, 0x1234_5677n);
        const { interpreted, translated } = m.compare(3);
        expect(difference(interpreted, translated), `${digit} by ${count}`).toBe('');
      }
  });

  it('an access across the end of a page in the TLB faults for the next page', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(7));
    m.map((DATA >> 12) + 1, 0);
    const at = (opcode: number, offset: number): number[] => {
      const address = [offset & 255, ((DATA >> 8) & 255) | (offset >> 8), 0, 0];
      return mode === 64 ? [opcode, 0x04, 0x25, ...address] : [opcode, 0x05, ...address];
    };
    // MOV r32, m32 and MOV m32, r32, within the page and then across its end
    for (const opcode of [0x8b, 0x89]) {
      m.load([...at(opcode, 0x10), 0x90, ...at(opcode, 0xffe)]);
      expect(m.entered).toBe(true);
      const { interpreted, translated } = m.compare(10);
      expect(difference(interpreted, translated)).toBe('');
      expect(translated.vector).toBe(14);
      expect(translated.cr2).toBe(BigInt(DATA + 0x1000));
    }
  });

  it('loops, whatever budget ends them', () => {
    const r = new Random(0x777 + mode);
    const m = new TwoTiers(mode);
    fillData(m, r);
    let entered = 0;
    for (let n = 0; n < 40; n++) {
      const program = loop(r, mode, 1 + r.below(12), 3);
      randomState(m, r);
      m.load(program.code, 30);
      if (m.entered) entered++;
      for (const budget of [r.below(12), 31, 50 + r.below(300), 2000]) {
        const { interpreted, translated } = m.compare(budget);
        expect(difference(interpreted, translated), `${listing(program)} budget ${budget}`).toBe('');
      }
      if (program.pages > 0) {
        m.map(DATA >> 12, 0);
        const { interpreted, translated } = m.compare(500);
        expect(difference(interpreted, translated), `${listing(program)} without its first page`).toBe('');
        m.map(DATA >> 12, 3);
      }
    }
    expect(entered).toBe(40);
  });

  it('the less common instructions, in loops with calls and branches', () => {
    const r = new Random(0x4242 + mode);
    const m = new TwoTiers(mode);
    let entered = 0;
    let retired = 0;
    for (let n = 0; n < 120; n++) {
      fillData(m, r);
      const program = loop(r, mode, 2 + r.below(14), 2, true);
      randomState(m, r);
      m.load(program.code, 200);
      if (m.entered) entered++;
      for (const budget of [r.below(40), 500]) {
        const { interpreted, translated } = m.compare(budget);
        expect(difference(interpreted, translated), `${listing(program)} budget ${budget}`).toBe('');
        retired += translated.retired;
      }
    }
    expect(entered).toBeGreaterThan(90);
    expect(retired).toBeGreaterThan(5_000);
  });

  it('a loop with two entries, with every budget', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(11));
    // TEST AL, 1; JZ b; a: ADD EDX, 3; CMP EDX, ECX; b: SUB ECX, 1; JS out; TEST CL, 1; JZ a; JMP b; out: CLC
    const code = [
      ...[0xa8, 1, 0x74, 5, 0x83, 0xc2, 3, 0x39, 0xca, 0x83, 0xe9, 1, 0x78, 7],
      ...[0xf6, 0xc1, 1, 0x74, 0xf1, 0xeb, 0xf4, 0xf8],
    ];
    for (const al of [0n, 1n]) {
      m.vcpu.setReg(0, al);
      m.vcpu.setReg(1, 20n);
      m.load(code, 60);
      expect(m.entered).toBe(true);
      for (let budget = 0; budget < 130; budget++) {
        const { interpreted, translated } = m.compare(budget);
        expect(difference(interpreted, translated), `budget ${budget}`).toBe('');
      }
    }
  });

  it('flags at the head of a loop, when a load behind it faults in the first pass or a later one', () => {
    const m = new TwoTiers(mode);
    const r = new Random(21);
    const wide = mode === 64 ? [0x48] : [];
    // between the load and JNZ a: what leaves flags, by registers that change before, after or not at all
    const setters: Record<string, number[]> = {
      'CMP ESI, EDI': [...wide, 0x39, 0xfe],
      'CMP EBX, 5': [0x83, 0xfb, 5],
      'CMP BL, 5': [0x80, 0xfb, 5],
      'CMP EBX, EDX; MOV EBX, EDX': [0x39, 0xd3, 0x89, 0xd3],
      'ADD EBX, 3': [...wide, 0x83, 0xc3, 3],
      'SUB EBX, EDX': [0x29, 0xd3],
      'AND EBX, EDX': [0x21, 0xd3],
      'TEST DL, DL': [0x84, 0xd2],
      'DEC ECX': [...wide, 0xff, 0xc9],
      'CMP EBX, 5; INC EBX': [0x83, 0xfb, 5, 0xff, 0xc3],
      'SHL EBX, 1': [0xd1, 0xe3],
      'ADC EBX, EDX': [0x11, 0xd3],
      'NEG EBX': [...wide, 0xf7, 0xdb],
      'ROL EBX, 3': [0x83, 0xfb, 1, 0xc1, 0xc3, 3],
      'IMUL EBX, EDX': [0x0f, 0xaf, 0xda],
    };
    for (const [name, setter] of Object.entries(setters))
      for (const first of [[], [0x89, 0xd5], [0xff, 0xc5]]) {
        // a: MOV EDX, [ESI]; MOV EBP, EDX or INC EBP or nothing; LEA ESI, [ESI + 64]; MOV EAX, [ESI]; setter; JNZ a
        const code = [0x8b, 0x16, ...first, ...wide, 0x8d, 0x76, 0x40, 0x8b, 0x06, ...setter];
        code.push(0x75, 254 - code.length);
        randomState(m, r);
        fillData(m, r);
        m.vcpu.setReg(6, BigInt(DATA));
        m.vcpu.setReg(7, BigInt(DATA + 3 * 4096));
        m.vcpu.setReg(3, 0x1234_5678n);
        m.load(code, 60);
        expect(m.entered).toBe(true);
        for (const absent of [1, 2]) {
          m.map((DATA >> 12) + absent, 0);
          for (const from of [DATA + 4096 - 192, DATA + 2 * 4096 - 32]) {
            m.vcpu.setReg(6, BigInt(from));
            for (const budget of [4, 9, 1000]) {
              const { interpreted, translated } = m.compare(budget);
              expect(difference(interpreted, translated), `${name}, page ${absent}, budget ${budget}`).toBe('');
            }
          }
          m.map((DATA >> 12) + absent, 3);
        }
      }
  });

  it('an access that begins in the page in front of a remembered one', () => {
    const m = new TwoTiers(mode);
    const r = new Random(31);
    const page = DATA >> 12;
    const wide = mode === 64 ? [0x48] : [];
    // the two pages do not follow one another in memory
    m.map(page, 3, page + 3);
    for (const through of ['ebx', 'esp'] as const)
      for (const [bytes, access] of [
        [2, [0x66, 0x01]],
        [4, [0x01]],
        [8, [0xdd]],
      ] as const)
        for (const offset of [-1, 1 - bytes, -bytes, 0, 1]) {
          // a: ADD [base + 64], EAX; ADD [base + offset], EAX, or FLD and FSTP; DEC ECX; JNZ a
          const operand = (reg: number, disp: number): number[] =>
            through === 'ebx' ? [0x43 | (reg << 3), disp & 255] : [0x44 | (reg << 3), 0x24, disp & 255];
          const odd =
            bytes === 8
              ? [...access, ...operand(0, offset), ...access, ...operand(3, offset)]
              : [...access, ...operand(0, offset)];
          const code = [0x01, ...operand(0, 64), 0x01, ...operand(0, 64), ...odd, ...wide, 0xff, 0xc9];
          code.push(0x75, 254 - code.length);
          randomState(m, r);
          fillData(m, r);
          m.vcpu.setReg(through === 'ebx' ? 3 : 4, BigInt(DATA + 4096));
          m.vcpu.setReg(1, 5n);
          m.load(code, 60);
          expect(m.entered).toBe(true);
          const { interpreted, translated } = m.compare(1000);
          expect(difference(interpreted, translated), `${through} ${bytes} ${offset}`).toBe('');
        }
  });

  it('a switch through a table and a call through a register stay in the region, with every budget', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(13));
    const scaled = mode === 64 ? 0xd5 : 0x95;
    // a: MOV EDX, ECX; AND EDX, 3; JMP [DATA + EDX * size]
    const code = [0x89, 0xca, 0x83, 0xe2, 3, 0xff, 0x24, scaled, 0, DATA >> 8, 0, 0];
    const jump = 5;
    const cases: number[] = [];
    const ends: number[] = [];
    for (let n = 0; n < 4; n++) {
      // ADD EBX, imm; JMP b
      cases.push(code.length);
      code.push(0x83, 0xc3, n * 7 + 1, 0xeb, 0);
      ends.push(code.length);
    }
    for (const end of ends) code[end - 1] = code.length - end;
    // b: MOV EAX, f; CALL EAX; SUB ECX, 1; JNS a; JMP out; f: ADC EBX, 5; RET; out: CLC
    const f = code.length + 5 + 2 + 3 + 2 + 2;
    const call = code.length + 5;
    code.push(0xb8, f & 255, (CODE + f) >> 8, 0, 0, 0xff, 0xd0, 0x83, 0xe9, 1);
    code.push(0x79, 256 - (code.length + 2), 0xeb, 4, 0x83, 0xd3, 5, 0xc3, 0xf8);
    const table = cases.flatMap((at) => [at, CODE >> 8, 0, 0, ...(mode === 64 ? [0, 0, 0, 0] : [])]);
    m.interpreted.mem.copyIn(DATA, Uint8Array.from(table));
    m.vcpu.setReg(1, 400n);
    m.load(code, 3000);
    m.vcpu.setReg(1, 12n);
    expect(m.entered).toBe(true);
    const region = findRegion(m.translated.mem, mode, m.translated.request())!;
    expect(region.targets.get(jump)).toEqual(expect.arrayContaining(cases));
    expect(region.targets.get(call)).toContain(f);
    for (let budget = 0; budget < 150; budget++) {
      const { interpreted, translated } = m.compare(budget);
      expect(difference(interpreted, translated), `budget ${budget}`).toBe('');
    }
  });

  it('a store into its own code takes effect at the next instruction', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(5));
    m.vcpu.setReg(0, 1n);
    // ADD EAX, 1; MOV byte [next instruction's immediate], 7; ADD EAX, 1
    const target = CODE + 3 + (mode === 64 ? 8 : 7) + 2;
    const address = [target & 255, target >> 8, 0, 0];
    const store = mode === 64 ? [0xc6, 0x04, 0x25, ...address, 7] : [0xc6, 0x05, ...address, 7];
    m.load([0x83, 0xc0, 1, ...store, 0x83, 0xc0, 1]);
    expect(m.entered).toBe(true);
    const { interpreted, translated } = m.compare(3);
    expect(difference(interpreted, translated)).toBe('');
    expect(translated.registers[0]).toBe(9n);
  });

  it('nothing it does not know is translated', () => {
    const m = new TwoTiers(mode);
    randomState(m, new Random(9));
    expect(m.load([0xf4])).toBe(0);
    expect(m.entered).toBe(false);
    // NOP; NOP; HLT
    expect(m.load([0x90, 0x90, 0xf4])).toBe(1);
    const { interpreted, translated } = m.compare(5);
    expect(difference(interpreted, translated)).toBe('');
    expect(translated.code).toBe(ExitCode.Halt);
  });
});
