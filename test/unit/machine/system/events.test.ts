import { describe, expect, it } from 'vitest';
import { F, Next, Seg, SegAttr } from '../../../../main/machine/cpu/layout.ts';
import { Delivery, ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import { isDoubleFault } from '../../../../main/machine/cpu/system/deliver.ts';
import { Fixture } from './fixture.ts';

const stack = (f: Fixture, at: number, words: number) => Array.from({ length: words }, (_, i) => f.peek32(at + i * 4));

describe('real mode', () => {
  it('goes through the vector table and back', () => {
    const f = new Fixture();
    f.put16(0x21 * 4, 0x1234, 0x0200);
    f.state.setSegment(Seg.SS, 0x300, 0x3000, 0xffff, 0x93);
    f.state.setReg32(4, 0xabcd_0100);
    f.state.rip = 0x55;
    f.set(F.eflags, 0x302);
    expect(f.run('int_n', { imm: 0x21, size: 2 })).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x1234);
    expect(f.state.selector(Seg.CS)).toBe(0x200);
    expect(f.state.base(Seg.CS)).toBe(0x2000);
    expect(f.state.regLo(4)).toBe(0xabcd_00fa);
    expect([0, 2, 4].map((o) => f.peek16(0x30fa + o))).toEqual([0x57, 0, 0x302]);
    expect(f.get(F.eflags)).toBe(2);
    expect(f.run('iret', { size: 2 })).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x57);
    expect(f.get(F.eflags)).toBe(0x302);
    expect(f.state.regLo(4)).toBe(0xabcd_0100);
    expect(f.opened).toBe(1);
  });

  it('pushes no error code', () => {
    const f = new Fixture();
    f.state.setReg32(4, 0x100);
    f.put16(13 * 4, 0x10, 0);
    expect(f.system.deliver(13, true, 0, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.regLo(4)).toBe(0xfa);
  });
});

describe('protected mode', () => {
  const setup = () => {
    const f = new Fixture().protectedMode();
    f.gate(0x2000, 14, 0x08, 0xc0de, 14);
    f.gate(0x2000, 13, 0x08, 0xd00d, 15);
    f.gate(0x2000, 0x80, 0x08, 0x8000, 15, 3);
    f.gate(0x2000, 0x81, 0x08, 0x8100, 14, 0);
    f.gate(0x2000, 0x82, 0x08, 0x8200, 14, 3, false);
    f.gate(0x2000, 8, 0x08, 0xdf00, 14);
    return f;
  };

  it('enters an interrupt gate at the same level', () => {
    const f = setup();
    f.set(F.eflags, 0x4302);
    expect(f.system.deliver(14, true, 6, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.rip).toBe(0xc0de);
    expect(f.state.regLo(4)).toBe(0x7ff0);
    expect(stack(f, 0x7ff0, 4)).toEqual([6, 0x100, 8, 0x1_4302]);
    expect(f.get(F.eflags)).toBe(2);
  });

  it('leaves IF alone through a trap gate', () => {
    const f = setup();
    f.set(F.eflags, 0x202);
    f.system.deliver(13, true, 0x50, 'fault', 0);
    expect(f.get(F.eflags)).toBe(0x202);
  });

  it('switches stacks from user mode and comes back by IRET', () => {
    const f = setup().userMode();
    f.state.setReg32(4, 0x5000);
    f.set(F.eflags, 0x202);
    expect(f.run('int_n', { imm: 0x80 })).toBe(Next.Jump);
    expect(f.state.cpl).toBe(0);
    expect(f.state.selector(Seg.SS)).toBe(0x10);
    expect(f.state.regLo(4)).toBe(0x9000 - 20);
    expect(stack(f, 0x9000 - 20, 5)).toEqual([0x102, 0x1b, 0x202, 0x5000, 0x23]);
    expect(f.run('iret')).toBe(Next.Jump);
    expect(f.state.cpl).toBe(3);
    expect(f.state.rip).toBe(0x102);
    expect(f.state.regLo(4)).toBe(0x5000);
    expect(f.state.selector(Seg.SS)).toBe(0x23);
  });

  it('drops inner segments on return to user mode', () => {
    const f = setup().userMode();
    f.run('int_n', { imm: 0x80 });
    f.state.setSegment(Seg.DS, 0x10, 0, 0xffff_ffff, 0xc093);
    f.run('iret');
    expect(f.state.selector(Seg.DS)).toBe(0);
    expect(f.state.attr(Seg.DS) & SegAttr.Unusable).not.toBe(0);
    expect(f.state.selector(Seg.ES)).toBe(0x23);
  });

  it('refuses gates by privilege, presence and limit', () => {
    const f = setup().userMode();
    expect(f.run('int_n', { imm: 0x81 })).toBe(Next.Fault);
    expect(f.fault()).toBe(`13:${(0x81 * 8 + 2).toString(16)}`);
    expect(f.run('int_n', { imm: 0x82 })).toBe(Next.Fault);
    expect(f.fault()).toBe(`11:${(0x82 * 8 + 2).toString(16)}`);
    f.set(F.idtLimit, 0x3ff);
    f.run('int_n', { imm: 0x80 });
    expect(f.fault()).toBe(`13:${(0x80 * 8 + 2).toString(16)}`);
    // nothing has changed
    expect(f.state.cpl).toBe(3);
    expect(f.state.rip).toBe(0x100);
  });

  it('marks nested errors of external events with EXT', () => {
    const f = setup();
    expect(f.system.deliver(0x30, false, 0, 'external', 0)).toBe(Delivery.Done);
    expect(f.state.rip).toBe(0xd00d);
    expect(f.peek32(f.state.regLo(4))).toBe(0x30 * 8 + 3);
  });

  it('makes a double fault of two contributory ones, and shuts down after the third', () => {
    const f = setup();
    f.gate(0x2000, 13, 0x48, 0, 14); // no such descriptor
    expect(f.system.deliver(11, true, 0, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.rip).toBe(0xdf00);
    expect(f.peek32(f.state.regLo(4))).toBe(0);
    f.gate(0x2000, 8, 0x08, 0, 14, 0, false);
    expect(f.system.deliver(11, true, 0, 'fault', 0)).toBe(Delivery.Shutdown);
    expect(f.get(F.exit)).toBe(ExitCode.Shutdown);
  });

  it('raises #TS for a bad inner stack and #SS for one without room', () => {
    const f = setup().userMode();
    f.put32(0x3008, 0x23);
    f.run('int_n', { imm: 0x80 });
    expect(f.fault()).toBe('10:20');
    f.put32(0x3008, 0);
    f.run('int_n', { imm: 0x80 });
    expect(f.fault()).toBe('10:0');
    f.descriptor(0x1000, 0x48, 0, 0x100, 0x4093);
    f.put32(0x3008, 0x48);
    f.run('int_n', { imm: 0x80 });
    expect(f.fault()).toBe('12:48');
  });

  it('leaves for an intercepted exception on the way', () => {
    const f = setup();
    f.set(F.interceptExceptions, 1 << 13);
    expect(f.system.deliver(0x30, false, 0, 'external', 0)).toBe(Delivery.Exit);
    expect([F.exit, F.exitInfo0, F.exitInfo1].map((x) => f.get(x))).toEqual([ExitCode.Exception, 13, 0x183]);
    expect(f.system.unfinished).toMatchObject({ valid: true, vector: 0x30, kind: 'external' });
  });

  it('enters and leaves virtual-8086 mode', () => {
    const f = setup();
    // a frame for IRET: EIP CS EFLAGS ESP SS ES DS FS GS
    f.put32(0x7000, 0x12, 0x200, 0x2_3202, 0xff0, 0x300, 1, 2, 3, 4);
    f.state.setReg32(4, 0x7000);
    expect(f.run('iret')).toBe(Next.Jump);
    expect(f.state.vm86).toBe(true);
    expect(f.state.cpl).toBe(3);
    expect(f.state.base(Seg.CS)).toBe(0x2000);
    expect([Seg.ES, Seg.DS, Seg.FS, Seg.GS].map((s) => f.state.selector(s))).toEqual([1, 2, 3, 4]);
    expect(f.system.deliver(13, true, 0, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.vm86).toBe(false);
    expect(stack(f, 0x9000 - 40, 10)).toEqual([0, 0x12, 0x200, 0x3_3202, 0xff0, 0x300, 1, 2, 3, 4]);
    expect(f.state.attr(Seg.DS) & SegAttr.Unusable).not.toBe(0);
  });

  it('refuses sensitive instructions in virtual-8086 mode with IOPL < 3', () => {
    const f = setup();
    f.put32(0x7000, 0x12, 0x200, 0x2_0202, 0xff0, 0x300, 0, 0, 0, 0);
    f.state.setReg32(4, 0x7000);
    f.run('iret');
    for (const name of ['int_n', 'pushf', 'popf', 'cli', 'sti', 'iret'] as const) {
      expect(f.run(name, { size: 2, imm: 0x80 }), name).toBe(Next.Fault);
      expect(f.fault(), name).toBe('13:0');
    }
  });
});

describe('task gate', () => {
  it('switches to the task of a double-fault gate', () => {
    const f = new Fixture().protectedMode();
    f.descriptor(0x1000, 0x50, 0x4000, 0x67, 0x89);
    f.gate(0x2000, 8, 0x50, 0, 5);
    f.put32(0x4000 + 32, 0xabc0, 0x2);
    f.put32(0x4000 + 40 + 16, 0x6000); // ESP
    [0x10, 0x08, 0x10, 0x10, 0, 0].forEach((s, i) => f.put32(0x4000 + 72 + 4 * i, s));
    f.state.setReg32(0, 0x1111);
    expect(f.system.deliver(8, true, 0, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.rip).toBe(0xabc0);
    expect(f.state.selector(Seg.TR)).toBe(0x50);
    expect(f.state.regLo(4)).toBe(0x5ffc);
    expect(f.peek32(0x5ffc)).toBe(0);
    expect(f.peek16(0x4000)).toBe(0x28);
    expect(f.peek32(0x3000 + 32)).toBe(0x100);
    expect(f.peek32(0x3000 + 40)).toBe(0x1111);
    expect(f.get(F.eflags) & 0x4000).toBe(0x4000);
    expect(f.peek32(0x1054) & 0x200).toBe(0x200); // busy
    // and back through NT
    f.state.setReg32(4, 0x6000);
    f.descriptor(0x1000, 0x28, 0x3000, 0x67, 0x8b);
    expect(f.run('iret')).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x100);
    expect(f.state.regLo(0)).toBe(0x1111);
    expect(f.state.selector(Seg.TR)).toBe(0x28);
    expect(f.peek32(0x1054) & 0x200).toBe(0);
  });
});

describe('long mode', () => {
  const setup = () => {
    const f = new Fixture().longMode();
    f.gate64(0x2000, 14, 0x30, 0xffff_8000_0000_1000 - 2 ** 64 + 0);
    f.gate64(0x2000, 0x80, 0x30, 0x8000, 15, 0, 3);
    f.gate64(0x2000, 2, 0x30, 0x2200, 14, 1);
    return f;
  };

  it('always pushes SS:RSP on a stack aligned to 16', () => {
    const f = setup();
    f.state.setReg32(4, 0x8008);
    f.state.rip = -0x1000;
    expect(f.system.deliver(14, true, 2, 'fault', 0)).toBe(Delivery.Done);
    expect(f.state.rip).toBe(-0x8000_0000_0000 + 0x1000);
    expect(f.state.regLo(4)).toBe(0x8000 - 48);
    expect(stack(f, 0x8000 - 48, 12)).toEqual([
      2, 0, 0xffff_f000, 0xffff_ffff, 0x30, 0, 0x1_0002, 0, 0x8008, 0, 0x10, 0,
    ]);
    expect(f.state.selector(Seg.SS)).toBe(0x10);
  });

  it('switches to RSP0 with a null SS, and to an IST', () => {
    const f = setup().userMode();
    f.state.setReg32(4, 0x5008);
    expect(f.run('int_n', { imm: 0x80 })).toBe(Next.Jump);
    expect(f.state.regLo(4)).toBe(0x9000 - 40);
    expect(f.state.selector(Seg.SS)).toBe(0);
    expect(f.run('iret', { size: 8 })).toBe(Next.Jump);
    expect(f.state.cpl).toBe(3);
    expect(f.state.regLo(4)).toBe(0x5008);
    expect(f.state.selector(Seg.SS)).toBe(0x23);
    f.system.deliver(2, false, 0, 'nmi', 0);
    expect(f.state.regLo(4)).toBe(0xa000 - 40);
  });

  it('returns to compatibility mode', () => {
    const f = setup();
    f.put32(0x7000, 0x1234, 0, 0x1b, 0, 0x202, 0, 0x5000, 0, 0x23, 0);
    f.state.setReg32(4, 0x7000);
    expect(f.run('iret', { size: 8 })).toBe(Next.Jump);
    expect(f.state.in64).toBe(false);
    expect(f.state.rip).toBe(0x1234);
    expect(f.get(F.mode) & 3).toBe(1);
  });

  it('refuses a non-canonical return address with #GP(0)', () => {
    const f = setup();
    f.put32(0x7000, 0, 0x8000, 0x30, 0, 0x202, 0, 0x5000, 0, 0x10, 0);
    f.state.setReg32(4, 0x7000);
    expect(f.run('iret', { size: 8 })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
    expect(f.state.regLo(4)).toBe(0x7000);
  });
});

describe('double-fault table', () => {
  it('follows table 6-5 of the manual', () => {
    expect(isDoubleFault(13, 11)).toBe(true);
    expect(isDoubleFault(0, 13)).toBe(true);
    expect(isDoubleFault(14, 13)).toBe(true);
    expect(isDoubleFault(14, 14)).toBe(true);
    expect(isDoubleFault(13, 14)).toBe(false);
    expect(isDoubleFault(3, 13)).toBe(false);
    expect(isDoubleFault(14, 6)).toBe(false);
  });
});
