// Debug exceptions on a running core (SDM vol. 3, chapter 18): every kind of breakpoint, single steps, priorities, RF, and alignment checks.

import { describe, expect, it } from 'vitest';
import { F, Seg, Shadow } from '../../../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import { CODE, DATA, HANDLERS, Running, STACK } from './running.ts';

const TF = 0x100;
const RF = 0x1_0000;
const AC = 0x4_0000;
const NOP = 0x90;
const HLT = 0xf4;
const le = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, v >>> 24];

/** Runs to the next exception; [vector, address from CODE, low half of DR6 without its fixed ones]. */
function next(r: Running): [number, number, number] {
  const exit = r.run();
  expect(exit.code).toBe(ExitCode.Exception);
  const seen: [number, number, number] = [exit.info0, r.at, r.dr6 & 0xe00f];
  r.clearDr6();
  return seen;
}
const halts = (r: Running): number => {
  expect(r.run().code).toBe(ExitCode.Halt);
  return r.at;
};

describe.each([{ long: false }, { long: true }])('data breakpoints, 64-bit code: $long', ({ long }) => {
  // MOV [DATA+4], EAX; MOV EAX, [DATA+4]; NOP; HLT, with a direct address in either mode
  const direct = (opcode: number, at: number): number[] =>
    long ? [opcode, 0x04, 0x25, ...le(at)] : [opcode, 0x05, ...le(at)];
  const store = direct(0x89, DATA + 4);
  const load = direct(0x8b, DATA + 4);
  const program = [...store, ...load, NOP, HLT];
  const n = store.length;

  it('traps behind a write, not at a read', () => {
    const r = new Running(program, { long }).interceptAll().watch(0, DATA + 4, 1, 4);
    expect(next(r)).toEqual([1, n, 1]);
    expect(halts(r)).toBe(program.length);
  });
  it('traps behind reads and writes, and names all that match', () => {
    const r = new Running(program, { long })
      .interceptAll()
      .watch(1, DATA + 7, 3, 1)
      .watch(3, DATA + 6, 3, 2);
    expect(next(r)).toEqual([1, n, 0xa]);
    expect(next(r)).toEqual([1, 2 * n, 0xa]);
    expect(halts(r)).toBe(program.length);
  });
  it('watches exactly the bytes of its length, aligned to it', () => {
    for (const [at, length, hit] of [
      [DATA + 3, 1, false],
      [DATA + 4, 1, true],
      [DATA + 7, 1, true],
      [DATA + 8, 1, false],
      [DATA + 2, 2, false],
      [DATA + 6, 2, true],
      [DATA + 7, 4, true],
      [DATA, 4, false],
      [DATA, 8, true],
      [DATA + 8, 8, false],
    ] as const) {
      // prettier-ignore
      const r = new Running(program, { long }).interceptAll().watch(2, at, 1, length);
      if (hit) expect(next(r), `${at - DATA}, ${length}`).toEqual([1, n, 4]);
      else expect(halts(r), `${at - DATA}, ${length}`).toBe(program.length);
    }
  });
  it('finds an access that crosses into the watched page', () => {
    const code = [...direct(0x89, DATA + 0xffe), HLT];
    const r = new Running(code, { long }).interceptAll().watch(0, DATA + 0x1001, 1, 1);
    expect(next(r)).toEqual([1, n, 1]);
  });
  it('a fault comes instead of the trap', () => {
    const r = new Running([...direct(0x8b, DATA), ...direct(0x01, 0x50_0000), HLT], { long }).interceptAll();
    r.watch(0, 0x50_0000, 3, 4);
    const [vector, at, dr6] = next(r);
    expect([vector, at, dr6]).toEqual([14, n, 0]);
  });
  it('traps behind the iteration of a string instruction that touches it', () => {
    const count = [0xb9, ...le(16)];
    const to = [0xbf, ...le(DATA)];
    const r = new Running([...count, ...to, 0xf3, 0xaa, HLT], { long }).interceptAll().watch(0, DATA + 9, 1, 1);
    expect(next(r)).toEqual([1, 10, 1]);
    expect(r.vcpu.getReg(1)).toBe(6n);
    expect(r.vcpu.getReg(7)).toBe(BigInt(DATA + 10));
    expect(halts(r)).toBe(13);
    expect(r.vcpu.getReg(1)).toBe(0n);
  });
  it('disabled again, nothing is left of it', () => {
    const r = new Running([...program], { long }).interceptAll().watch(0, DATA + 4, 3, 4);
    expect(next(r)).toEqual([1, n, 1]);
    r.vcpu.set64(F.dr + 56, 0x400n);
    r.vcpu.onChanged?.();
    expect(r.vcpu.get32(F.careful)).toBe(0);
    expect(halts(r)).toBe(program.length);
  });
});

describe('data breakpoints of system routines and stacks', () => {
  it('sees PUSH, and FNSTENV', () => {
    const r = new Running([0x50, 0xd9, 0x35, ...le(DATA), HLT]).interceptAll();
    r.watch(0, STACK - 4, 1, 4).watch(1, DATA + 8, 1, 4);
    expect(next(r)).toEqual([1, 1, 1]);
    expect(next(r)).toEqual([1, 7, 2]);
  });
  it('a frame pushed over it traps before the handler', () => {
    const r = new Running([0xcd, 0x80]).watch(0, STACK - 4, 1, 4);
    // the handler of #DB is HLT; below its frame lies that of INT 80h, whose handler has not begun
    expect(r.run().code).toBe(ExitCode.Halt);
    expect(Number(r.vcpu.rip)).toBe(HANDLERS + 2);
    expect(r.mem.read32(STACK - 24)).toBe(HANDLERS + 0x80);
  });
});

describe('instruction breakpoints', () => {
  const program = [NOP, NOP, 0x40, NOP, HLT]; // INC EAX at 2

  it('faults before the instruction, with everything before it done and RF as it was', () => {
    const r = new Running(program).watch(0, CODE + 2, 0, 1);
    expect(r.run().code).toBe(ExitCode.Halt);
    expect(Number(r.vcpu.rip)).toBe(HANDLERS + 2);
    expect(r.vcpu.getReg(0)).toBe(0n);
    expect([r.mem.read32(STACK - 12), r.mem.read32(STACK - 4) & RF]).toEqual([CODE + 2, 0]);
    expect(r.dr6 & 0xf).toBe(1);
  });
  it('RF lets exactly one instruction pass', () => {
    const loop = [NOP, 0x40, 0xeb, 0xfc];
    const r = new Running(loop).interceptAll().watch(1, CODE + 1, 0, 1);
    expect(next(r)).toEqual([1, 1, 2]);
    r.vcpu.rflags |= RF;
    expect(next(r)).toEqual([1, 1, 2]);
    expect(r.vcpu.getReg(0)).toBe(1n);
    expect(r.vcpu.rflags & RF).toBe(0);
  });
  it('IRET with RF in its image passes the breakpoint, wherever the handler runs', () => {
    const r = new Running(program).watch(0, CODE + 2, 0, 1);
    // handler of #DB: OR dword [ESP+8], RF; INC EBX; IRET
    r.mem.copyIn(HANDLERS + 1, Uint8Array.from([0x81, 0x4c, 0x24, 8, ...le(RF), 0x43, 0xcf]));
    expect(halts(r)).toBe(5);
    expect([r.vcpu.getReg(0), r.vcpu.getReg(3)]).toEqual([1n, 1n]);
  });
  it('a fault at the instruction sets RF for its restart', () => {
    const code = [NOP, 0xa1, ...le(0x50_0000), HLT];
    const r = new Running(code).watch(0, CODE + 1, 0, 1);
    r.vcpu.rip = BigInt(CODE + 1);
    r.vcpu.rflags |= RF;
    expect(r.run().code).toBe(ExitCode.Halt);
    expect(Number(r.vcpu.rip)).toBe(HANDLERS + 15);
    expect(r.mem.read32(STACK - 4) & RF).toBe(RF);
  });
  it('is found on an instruction across two pages, and code in the next page still runs', () => {
    const r = new Running([HLT]).interceptAll();
    r.mem.copyIn(CODE + 0xffe, Uint8Array.from([0x05, ...le(7), 0x40, HLT])); // ADD EAX, 7
    r.vcpu.rip = BigInt(CODE + 0xffe);
    r.watch(0, CODE + 0x1003, 0, 1);
    expect(next(r)).toEqual([1, 0x1003, 1]);
    expect(r.vcpu.getReg(0)).toBe(7n);
    r.vcpu.rflags |= RF;
    expect(halts(r)).toBe(0x1005);
  });
  it('costs nothing where no page is watched: a run of a thousand instructions is one entry', () => {
    const r = new Running([0x40, 0xeb, 0xfd]).interceptAll().watch(0, DATA, 0, 1);
    expect(r.run(1000)).toMatchObject({ code: ExitCode.Budget, retired: 1000 });
    expect(r.vcpu.getReg(0)).toBe(500n);
  });
});

describe('single steps', () => {
  it('traps behind each instruction', () => {
    const r = new Running([NOP, 0x40, HLT]).interceptAll();
    r.vcpu.rflags |= TF;
    expect(next(r)).toEqual([1, 1, 0x4000]);
    expect(next(r)).toEqual([1, 2, 0x4000]);
    expect(next(r)).toEqual([1, 3, 0x4000]); // HLT, too, and it does not halt then
  });
  it('not behind MOV SS: the next instruction comes first, and a data breakpoint waits with it', () => {
    // MOV EAX, [DATA]; MOV SS, AX; NOP
    const r = new Running([0x8e, 0x15, ...le(DATA), NOP, NOP, HLT]).interceptAll();
    r.mem.write32(DATA, 0x10);
    r.watch(0, DATA, 3, 2);
    r.vcpu.rflags |= TF;
    expect(next(r)).toEqual([1, 7, 0x4001]);
    expect(next(r)).toEqual([1, 8, 0x4000]);
  });
  it('a breakpoint on the instruction behind MOV SS is passed', () => {
    const r = new Running([0x8e, 0xd0, NOP, NOP, HLT]).interceptAll();
    r.vcpu.setReg(0, 0x10n);
    r.watch(0, CODE + 2, 0, 1).watch(1, CODE + 3, 0, 1);
    expect(next(r)).toEqual([1, 3, 2]);
  });
  it('INT n clears TF before it could trap; the flags it pushes have it', () => {
    const r = new Running([0xcd, 0x80]);
    r.vcpu.rflags |= TF;
    expect(r.run().code).toBe(ExitCode.Halt);
    expect(Number(r.vcpu.rip)).toBe(HANDLERS + 0x81);
    expect(r.mem.read32(STACK - 4) & TF).toBe(TF);
  });
  it('ICEBP is a trap that leaves DR6 alone', () => {
    const r = new Running([NOP, 0xf1, NOP]);
    expect(r.run().code).toBe(ExitCode.Halt);
    expect(Number(r.vcpu.rip)).toBe(HANDLERS + 2);
    expect([r.mem.read32(STACK - 12), r.dr6 & 0xe00f]).toEqual([CODE + 2, 0]);
  });
  it('DR7.GD faults at the access, with RF pushed', () => {
    const r = new Running([NOP, 0x0f, 0x21, 0xf0]);
    r.vcpu.set64(F.dr + 56, 0x2400n);
    expect(r.run().code).toBe(ExitCode.Halt);
    expect([r.mem.read32(STACK - 12), r.mem.read32(STACK - 4) & RF]).toEqual([CODE + 1, RF]);
    expect([r.dr6 & 0xe00f, r.vcpu.get32(F.dr + 56)]).toEqual([0x2000, 0x400]);
  });
});

describe('port breakpoints', () => {
  it('traps behind IN, OUT and each iteration of REP OUTS, only with CR4.DE', () => {
    const code = [0xe4, 0x60, 0xe6, 0x61, 0xb9, ...le(3), 0xba, ...le(0x60), 0xbe, ...le(DATA), 0xf3, 0x6e, HLT];
    const r = new Running(code).interceptAll().watch(0, 0x60, 2, 1).watch(1, 0x61, 2, 1);
    expect(next(r)).toEqual([1, 2, 1]);
    expect(next(r)).toEqual([1, 4, 2]);
    expect(next(r)).toEqual([1, 19, 1]);
    expect(next(r)).toEqual([1, 19, 1]);
    expect(next(r)).toEqual([1, 21, 1]);
    expect(halts(r)).toBe(22);
    const off = new Running(code).interceptAll();
    off.vcpu.set32(F.cr4, 0x610);
    off.watch(0, 0x60, 2, 1);
    expect(halts(off)).toBe(22);
  });
});

describe('NMI', () => {
  it('waits for the IRET of the one before', () => {
    const r = new Running([0x40, 0xeb, 0xfd]);
    r.mem.copyIn(HANDLERS + 2, Uint8Array.from([0x43, 0x41, 0xcf])); // INC EBX; INC ECX; IRET
    r.vcpu.inject(2, null, 'nmi');
    r.run(1);
    expect([r.vcpu.getReg(3), r.vcpu.get32(F.nmiBlocked)]).toEqual([1n, 1]);
    r.vcpu.inject(2, null, 'nmi');
    r.vcpu.inject(2, null, 'nmi'); // lost: one is pending already
    r.run(1);
    expect([r.vcpu.getReg(3), r.vcpu.getReg(1)]).toEqual([1n, 1n]);
    // the state says so, too
    const other = new Running([0x40, 0xeb, 0xfd]);
    other.mem.copyIn(0, r.mem.copyOut(0, r.mem.ramBytes));
    other.vcpu.loadState(r.vcpu.saveState());
    other.run(2); // IRET, and the next NMI's first instruction
    expect(other.vcpu.getReg(3)).toBe(2n);
    other.run(100);
    expect(other.vcpu.getReg(3)).toBe(2n);
    expect(other.vcpu.get32(F.nmiBlocked)).toBe(0);
  });
  it('is not taken between MOV SS and the next instruction', () => {
    const r = new Running([0x8e, 0xd0, 0x41, HLT]);
    r.vcpu.setReg(0, 0x10n);
    r.run(1);
    expect(r.vcpu.get32(F.shadow)).toBe(Shadow.MovSs);
    r.vcpu.inject(2, null, 'nmi');
    expect(r.run().code).toBe(ExitCode.Halt);
    expect([Number(r.vcpu.rip), r.vcpu.getReg(1)]).toEqual([HANDLERS + 3, 1n]);
  });
});

describe('alignment checks', () => {
  const load = (at: number): number[] => [0xa1, ...le(at)];
  it.each([
    ['32 bits at 2', load(DATA + 2), true],
    ['32 bits at 4', load(DATA + 4), false],
    ['16 bits at 1', [0x66, ...load(DATA + 1)], true],
    ['16 bits at 2', [0x66, ...load(DATA + 2)], false],
    ['8 bits at 1', [0xa0, ...le(DATA + 1)], false],
    ['MOVUPS at 8', [0x0f, 0x10, 0x05, ...le(DATA + 8)], true],
    ['FLD m80 at 8', [0xdb, 0x2d, ...le(DATA + 8)], false],
    ['FLD m80 at 4', [0xdb, 0x2d, ...le(DATA + 4)], true],
    ['FNSTENV at 4', [0xd9, 0x35, ...le(DATA + 4)], false],
    ['FNSTENV at 2', [0xd9, 0x35, ...le(DATA + 2)], true],
    ['CMPXCHG8B at 4', [0x0f, 0xc7, 0x0d, ...le(DATA + 4)], true],
    ['an unmapped page: first', load(0x50_0002), true],
  ])('%s', (_, code, faults) => {
    const r = new Running([...code, 0x0f, 0x0b], { user: true }).interceptAll();
    r.vcpu.rflags |= AC;
    const exit = r.run();
    expect([exit.info0, exit.info1, r.at]).toEqual(faults ? [17, 0, 0] : [6, 0, code.length]);
  });
  it('needs AC, CR0.AM and level 3; POPF turns it on', () => {
    const code = [...load(DATA + 1), 0x0f, 0x0b];
    const off = new Running(code, { user: true }).interceptAll();
    expect(off.run().info0).toBe(6);
    const inner = new Running(code).interceptAll();
    inner.vcpu.rflags |= AC;
    expect(inner.run().info0).toBe(6);
    const noMask = new Running(code, { user: true }).interceptAll();
    noMask.vcpu.set32(F.cr0, 0x8001_0033);
    noMask.vcpu.rflags |= AC;
    expect(noMask.run().info0).toBe(6);
    const on = new Running([...load(DATA + 1), 0x68, ...le(AC | 2), 0x9d, ...load(DATA + 1)], { user: true });
    expect([on.interceptAll().run().info0, on.at]).toEqual([17, 11]);
  });
});

describe('the T bit of a TSS', () => {
  const [GDT, OLD_TSS, NEW_TSS, TABLES] = [0x1000, 0x3000, 0x4000, 0x1_0000];
  /** Far jump to the task behind selector 0x30; its code is INC EAX; HLT at CODE + 0x100. */
  const switching = (trap: boolean): Running => {
    const r = new Running([0xea, ...le(0), 0x30, 0]).interceptAll();
    const descriptor = (selector: number, base: number, type: number): void => {
      r.mem.write32(GDT + selector, (base << 16) | 0x67);
      r.mem.write32(GDT + selector + 4, type << 8);
    };
    descriptor(0x28, OLD_TSS, 0x8b);
    descriptor(0x30, NEW_TSS, 0x89);
    const fields: [number, number][] = [
      [28, TABLES],
      [32, CODE + 0x100],
      [36, 2],
      [40, 41], // EAX
      [56, STACK],
      [76, 8],
      ...[72, 80, 84, 88, 92].map((at): [number, number] => [at, 0x10]),
      [100, (trap ? 1 : 0) | (0x68 << 16)],
    ];
    for (const [at, value] of fields) r.mem.write32(NEW_TSS + at, value);
    r.mem.copyIn(CODE + 0x100, Uint8Array.of(0x40, HLT));
    return r;
  };
  it('traps before the first instruction of the new task and says so in DR6', () => {
    const r = switching(true);
    expect(next(r)).toEqual([1, 0x100, 0x8000]);
    expect([r.vcpu.getReg(0), r.vcpu.segment(Seg.TR).selector]).toEqual([41n, 0x30]);
    expect(halts(r)).toBe(0x102);
    expect(r.vcpu.getReg(0)).toBe(42n);
  });
  it('does nothing when it is clear', () => {
    const r = switching(false);
    expect(halts(r)).toBe(0x102);
    expect(r.dr6 & 0xe00f).toBe(0);
  });
});
