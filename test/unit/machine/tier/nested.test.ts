// Second-level translation: what the walks in WebAssembly remember of it is what the owner says, and is forgotten with a full flush.

import { describe, expect, it } from 'vitest';
import { F, NESTED, NESTED_GENERATION, NESTED_TLB } from '../../../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import { CODE, RAM_BYTES, TierMachine } from './machine.ts';

const DATA = 0x10000;
const READ_ONLY = 0x11000;
const OTHER = 0x12000;
const PAGES = RAM_BYTES >> 12;

/** A machine whose guest page is its machine page, but for those in `moved`. Asked: what the owner was asked for. */
class NestedMachine extends TierMachine {
  readonly moved = new Map<number, number>();
  readonly asked: string[] = [];

  constructor(mode: 32 | 64) {
    super(mode, { tier: 'interpreter' });
    this.core.nested = (page, write) => {
      this.asked.push(`${page}${write ? 'w' : ''}`);
      if (page >= PAGES || (write && page === READ_ONLY >> 12)) return -1;
      return this.moved.get(page) ?? page;
    };
    this.vcpu.set32(F.nested, 1);
  }
  /** Runs `code` (ended by UD2) from a full or a partial flush; returns why it ended. */
  go(code: readonly number[], all = false): { code: number; address: number } {
    this.mem.copyIn(CODE, Uint8Array.from([...code, 0x0f, 0x0b]));
    this.vcpu.rip = BigInt(CODE);
    this.core.tlb.flush(all);
    this.asked.length = 0;
    const exit = this.core.run(this.vcpu, 1000);
    return { code: exit.code, address: exit.info0 };
  }
}
const READ = [0x8b, 0x03]; // mov eax, [rbx]
const WRITE = [0x89, 0x0b]; // mov [rbx], ecx
const RBX = 3;
const RCX = 1;

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it('asks once for a page and then knows it', () => {
    const m = new NestedMachine(mode);
    m.mem.write32(DATA, 0x1234);
    m.vcpu.setReg(RBX, BigInt(DATA));
    expect(m.go(READ).code).toBe(ExitCode.Exception);
    expect(m.asked).toContain(String(DATA >> 12));
    expect(m.go(READ).code).toBe(ExitCode.Exception);
    expect(m.vcpu.regLo(0)).toBe(0x1234);
    expect(m.asked).toEqual([]);
    // a write needs a permission of its own
    m.go(WRITE);
    expect(m.asked).toContain(`${DATA >> 12}w`);
    m.go(WRITE);
    expect(m.asked).toEqual([]);
  });

  it('a page that may not be written leaves, read before or not', () => {
    for (const before of [[], READ]) {
      const m = new NestedMachine(mode);
      m.vcpu.setReg(RBX, BigInt(READ_ONLY));
      m.vcpu.setReg(RCX, 77n);
      for (let n = 0; n < 3; n++)
        expect(m.go([...before, ...WRITE])).toEqual({ code: ExitCode.NestedFault, address: READ_ONLY });
      expect(m.mem.read32(READ_ONLY)).toBe(0);
    }
  });

  it('a page that has moved is found after a full flush; its tables too', () => {
    const m = new NestedMachine(mode);
    m.mem.write32(DATA, 1);
    m.mem.write32(OTHER, 2);
    m.vcpu.setReg(RBX, BigInt(DATA));
    m.go([...READ, ...WRITE]);
    m.mem.write32(DATA, 1);
    m.moved.set(DATA >> 12, OTHER >> 12);
    m.go(READ, true);
    expect(m.vcpu.regLo(0)).toBe(2);
    m.vcpu.setReg(RCX, 99n);
    m.go(WRITE);
    expect([m.mem.read32(DATA), m.mem.read32(OTHER)]).toEqual([1, 99]);
    // the last table of the walk, moved with its contents; the old place says nothing any more
    const table = 0x33000;
    m.mem.copyIn(0x3f000, m.mem.copyOut(table, 4096));
    m.mem.fill(table, 0, 4096);
    m.moved.set(table >> 12, 0x3f);
    m.go(READ, true);
    expect(m.vcpu.regLo(0)).toBe(99);
  });

  it('pages that share an entry do not take each other for themselves', () => {
    const m = new NestedMachine(mode);
    m.vcpu.setReg(RBX, BigInt(DATA));
    m.mem.write32(DATA, 5);
    m.go(READ);
    const entry = (NESTED_TLB + ((DATA >> 12) & (NESTED.entries - 1)) * NESTED.entryBytes) >> 2;
    const tag = m.mem.u32[entry]!;
    expect(tag).toBe((m.mem.u32[NESTED_GENERATION >> 2]! | (DATA >> 12)) >>> 0);
    m.core.tlb.rememberNested((DATA >> 12) + NESTED.entries, true, OTHER >> 12);
    m.go(READ);
    expect(m.vcpu.regLo(0)).toBe(5);
  });

  it('a translation of long ago does not come back when the generations begin again', () => {
    const m = new NestedMachine(mode);
    m.mem.write32(DATA, 1);
    m.mem.write32(OTHER, 2);
    m.vcpu.setReg(RBX, BigInt(DATA));
    m.go(READ);
    m.moved.set(DATA >> 12, OTHER >> 12);
    for (let n = 0; n < 4095; n++) m.core.tlb.flush(true);
    m.go(READ);
    expect(m.vcpu.regLo(0)).toBe(2);
  });
});
