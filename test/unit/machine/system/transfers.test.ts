import { describe, expect, it } from 'vitest';
import { F, Next, Seg, SegAttr, Shadow } from '../../../../main/machine/cpu/layout.ts';
import { ModeKey } from '../../../../main/machine/cpu/mode.ts';
import { CODE32, DATA32, Fixture } from './fixture.ts';

const callGate = (f: Fixture, selector: number, target: number, offset: number, dpl: number, count = 0, type = 12) => {
  const at = 0x1000 + (selector & 0xfff8);
  f.put32(
    at,
    ((target & 0xffff) << 16) | (offset & 0xffff),
    (offset & 0xffff_0000) | 0x8000 | (dpl << 13) | (type << 8) | count,
  );
};

describe('far jumps', () => {
  it('enters protected mode from real mode with the size of the new code segment', () => {
    const f = new Fixture().protectedMode();
    f.state.setSegment(Seg.CS, 0, 0, 0xffff, 0x9b);
    f.system.recomputeMode();
    expect(f.get(F.mode) & 3).toBe(ModeKey.Code16);
    expect(f.run('jmp_far_imm', { imm: 0x12_3456, immHigh: 0x08 })).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x12_3456);
    expect(f.get(F.mode)).toBe(ModeKey.Code32 | ModeKey.Stack32 | ModeKey.Flat | ModeKey.FlatCode);
  });

  it('marks the descriptor accessed', () => {
    const f = new Fixture().protectedMode();
    f.descriptor(0x1000, 0x48, 0, 0xf_ffff, CODE32 & ~1);
    f.run('jmp_far_imm', { imm: 0x10, immHigh: 0x48 });
    expect(f.peek32(0x104c) & 0x100).toBe(0x100);
    expect(f.state.attr(Seg.CS)).toBe(CODE32);
  });

  it('checks type, privilege, presence and limit', () => {
    const f = new Fixture().protectedMode();
    f.descriptor(0x1000, 0x48, 0, 0xfff, 0x401b); // not present
    f.descriptor(0x1000, 0x50, 0, 0xfff, 0x409b);
    const jump = (selector: number, offset = 0) => {
      expect(f.run('jmp_far_imm', { imm: offset, immHigh: selector })).toBe(Next.Fault);
      return f.fault();
    };
    expect(jump(0)).toBe('13:0');
    expect(jump(0x10)).toBe('13:10');
    expect(jump(0x1b)).toBe('13:18');
    expect(jump(0x48)).toBe('11:48');
    expect(jump(0x50, 0x1000)).toBe('13:0');
    expect(jump(0x108)).toBe('13:108');
    expect(f.state.selector(Seg.CS)).toBe(0x08);
  });

  it('enters 64-bit code only in long mode', () => {
    const f = new Fixture().longMode();
    f.put32(0x5000, 0x1000, 0x08);
    expect(f.run('jmp_far_mem', { disp: 0x5000, modrm: 0x2c })).toBe(Next.Jump);
    expect(f.state.in64).toBe(false);
    expect(f.run('jmp_far_imm', { imm: 0x2000, immHigh: 0x30 })).toBe(Next.Jump);
    expect(f.state.in64).toBe(true);
    expect(f.get(F.flatLimit)).toBe(0xffff_ffff);
    f.descriptor(0x1000, 0x48, 0, 0xf_ffff, CODE32 | 0x2000);
    f.put32(0x5000, 0x1000, 0x48);
    expect(f.run('jmp_far_mem', { disp: 0x5000, modrm: 0x2c })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:48');
  });
});

describe('far calls and returns', () => {
  it('calls and returns at the same level', () => {
    const f = new Fixture().protectedMode();
    expect(f.run('call_far_imm', { imm: 0x2222, immHigh: 0x08, length: 7 })).toBe(Next.Jump);
    expect(f.peek32(0x7ff8)).toBe(0x107);
    expect(f.peek32(0x7ffc)).toBe(0x08);
    expect(f.run('ret_far_imm', { imm: 8 })).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x107);
    expect(f.state.regLo(4)).toBe(0x8008);
  });

  it('goes through a call gate to an inner level, with parameters, and back', () => {
    const f = new Fixture().protectedMode().userMode();
    callGate(f, 0x48, 0x08, 0x4444, 3, 2);
    f.state.setReg32(4, 0x5000);
    f.put32(0x5000, 0x11, 0x22);
    expect(f.run('call_far_imm', { imm: 0, immHigh: 0x4b, length: 7 })).toBe(Next.Jump);
    expect(f.state.cpl).toBe(0);
    expect(f.state.rip).toBe(0x4444);
    const sp = f.state.regLo(4);
    expect(sp).toBe(0x9000 - 24);
    expect([0, 4, 8, 12, 16, 20].map((o) => f.peek32(sp + o))).toEqual([0x107, 0x1b, 0x11, 0x22, 0x5000, 0x23]);
    expect(f.run('ret_far_imm', { imm: 8 })).toBe(Next.Jump);
    expect(f.state.cpl).toBe(3);
    expect(f.state.regLo(4)).toBe(0x5008);
  });

  it('refuses a gate of higher privilege', () => {
    const f = new Fixture().protectedMode().userMode();
    callGate(f, 0x48, 0x08, 0x4444, 0);
    f.run('call_far_imm', { immHigh: 0x4b });
    expect(f.fault()).toBe('13:48');
  });

  it('changes nothing when the stack cannot be written', () => {
    const f = new Fixture().protectedMode().pagedMode();
    f.put32(0x1_1000 + 7 * 4, 0);
    expect(f.run('call_far_imm', { imm: 0x2222, immHigh: 0x08 })).toBe(Next.Fault);
    expect(f.fault()).toBe('14:2');
    expect(f.get(F.cr2)).toBe(0x7ffc);
    expect(f.state.regLo(4)).toBe(0x8000);
    expect(f.state.rip).toBe(0x100);
  });
});

describe('segment loads', () => {
  const load = (f: Fixture, segment: number, selector: number) => {
    f.state.setReg32(0, selector);
    return f.run('mov_to_sreg', { modrm: 0xc0 | (segment << 3) }) === Next.Fault ? f.fault() : 'ok';
  };

  it('checks data segments', () => {
    const f = new Fixture().protectedMode().userMode();
    expect(load(f, Seg.DS, 0x10)).toBe('13:10');
    expect(load(f, Seg.DS, 0x23)).toBe('ok');
    expect(load(f, Seg.ES, 0x1b)).toBe('ok'); // readable code
    f.descriptor(0x1000, 0x48, 0, 0xf_ffff, 0x40f9 & ~2); // execute-only
    expect(load(f, Seg.ES, 0x4b)).toBe('13:48');
    f.descriptor(0x1000, 0x48, 0, 0xf_ffff, (DATA32 | 0x60) & ~0x80);
    expect(load(f, Seg.FS, 0x4b)).toBe('11:48');
    expect(load(f, Seg.GS, 0x2b)).toBe('13:28'); // a TSS
    expect(load(f, Seg.DS, 0)).toBe('ok');
    expect(f.state.attr(Seg.DS) & SegAttr.Unusable).not.toBe(0);
    expect(load(f, Seg.DS, 0x0c)).toBe('13:c'); // the LDT's entry 1 is zero: no data segment
  });

  it('checks stack segments', () => {
    const f = new Fixture().protectedMode();
    expect(load(f, Seg.SS, 0)).toBe('13:0');
    expect(load(f, Seg.SS, 0x23)).toBe('13:20');
    expect(load(f, Seg.SS, 0x08)).toBe('13:8');
    f.descriptor(0x1000, 0x48, 0, 0xf_ffff, DATA32 & ~0x80);
    expect(load(f, Seg.SS, 0x48)).toBe('12:48');
    expect(load(f, Seg.SS, 0x10)).toBe('ok');
    expect(f.get(F.shadow)).toBe(Shadow.MovSs);
  });

  it('refuses CS', () => {
    const f = new Fixture().protectedMode();
    expect(load(f, Seg.CS, 8)).toBe('6');
  });

  it('keeps mode and flat limit true', () => {
    const f = new Fixture().protectedMode();
    f.descriptor(0x1000, 0x48, 0, 0xf_57ff, DATA32); // ends at 0xf57fffff
    f.descriptor(0x1000, 0x50, 0x1000, 0xf_ffff, DATA32);
    f.state.setReg32(0, 0x48);
    expect(f.run('mov_to_sreg', { modrm: 0xd8 })).toBe(Next.Jump);
    expect(f.get(F.flatLimit)).toBe(0xf57f_ffff);
    // pages beyond the new limit must leave the TLB
    f.flushes.length = 0;
    f.state.setReg32(0, 0x10);
    f.run('mov_to_sreg', { modrm: 0xd8 });
    expect(f.flushes).toEqual([]);
    f.state.setReg32(0, 0x48);
    f.run('mov_to_sreg', { modrm: 0xd8 });
    expect(f.flushes).toEqual([true]);
    f.state.setReg32(0, 0x50);
    f.state.rip = 0x100;
    expect(f.run('mov_to_sreg', { modrm: 0xd8, length: 2 })).toBe(Next.Jump);
    expect(f.state.rip).toBe(0x102);
    expect(f.get(F.mode) & ModeKey.Flat).toBe(0);
  });

  it('pops by operand and stack size', () => {
    const f = new Fixture().protectedMode();
    f.put32(0x8000, 0xabcd_0010);
    f.run('pop_sreg', { opcode: 0x07 });
    expect(f.state.selector(Seg.ES)).toBe(0x10);
    expect(f.state.regLo(4)).toBe(0x8004);
    const g = new Fixture();
    g.put16(0xfffe, 0x1234);
    g.state.setReg32(4, 0x5555_fffe);
    g.run('pop_sreg', { opcode: 0xa1, size: 2 });
    expect(g.state.base(Seg.FS)).toBe(0x1_2340);
    expect(g.state.regLo(4)).toBe(0x5555_0000);
  });

  it('keeps limits in real mode', () => {
    const f = new Fixture();
    f.state.setSegment(Seg.DS, 0x10, 0, 0xffff_ffff, 0xc093);
    f.state.setReg32(0, 0x40);
    f.run('mov_to_sreg', { modrm: 0xd8 });
    expect(f.state.base(Seg.DS)).toBe(0x400);
    expect(f.state.limit(Seg.DS)).toBe(0xffff_ffff);
  });

  it('loads far pointers only when the segment is good', () => {
    const f = new Fixture().protectedMode();
    f.put32(0x5000, 0x1111_2222, 0x23);
    f.state.setReg32(3, 7);
    expect(f.run('lss', { modrm: 0x1c, disp: 0x5000 })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:20');
    expect(f.state.regLo(3)).toBe(7);
    expect(f.run('lfs', { modrm: 0x1c, disp: 0x5000 })).toBe(Next.Sequential);
    expect(f.state.regLo(3)).toBe(0x1111_2222);
    expect(f.state.selector(Seg.FS)).toBe(0x23);
  });
});

describe('memory operands', () => {
  it('checks limits, types and null segments', () => {
    const f = new Fixture().protectedMode();
    f.state.setSegment(Seg.DS, 0x48, 0x1000, 0xff, 0x4093);
    const lidt = (disp: number, seg: number = Seg.DS) => {
      return f.run('lidt', { modrm: 0x1c, disp, seg }) === Next.Fault ? f.fault() : 'ok';
    };
    expect(lidt(0xfa)).toBe('ok');
    expect(lidt(0xfb)).toBe('13:0');
    f.state.setSegment(Seg.SS, 0x48, 0x1000, 0xff, 0x4093);
    expect(lidt(0x100, Seg.SS)).toBe('12:0');
    f.state.setSegment(Seg.ES, 0, 0, 0, SegAttr.Unusable);
    expect(lidt(0, Seg.ES)).toBe('13:0');
    // expand-down: only above the limit
    f.state.setSegment(Seg.DS, 0x48, 0, 0xfff, 0x4097);
    expect(lidt(0xffc)).toBe('13:0');
    expect(lidt(0x1000)).toBe('ok');
    // code cannot be written
    expect(f.run('sidt', { modrm: 0x0c, disp: 0x5000, seg: Seg.CS })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
  });

  it('computes 64-bit addresses with carries and wraps them', () => {
    const f = new Fixture().longMode();
    f.state.setReg64(0, 0xffff_f000, 0xffff_ffff);
    f.state.setReg64(1, 0xffff_ffff, 0x1fff_ffff);
    f.state.setReg64(2, 0x8000_0000, 0);
    const at = (base: number, index: number, scale: number, disp: number, flags = 0) =>
      f.system.access.effectiveAddress(f.record({ base, index, scale, disp, flags }));
    expect(at(0, 2, 1, 0x10)).toBe(0xffff_f010);
    expect(at(0, 0, 0, -1)).toBe(-0x2001);
    expect(at(1, 1, 3, 0)).toBe(Number(BigInt.asIntN(64, 0x1fff_ffff_ffff_ffffn * 9n)));
    expect(at(0, 2, 0, 0x10, 32)).toBe(0x7fff_f010);
  });

  it('raises #GP(0) and #SS(0) for non-canonical addresses', () => {
    const f = new Fixture().longMode();
    f.state.setReg64(0, 0, 0x8000);
    expect(f.run('lidt', { modrm: 0x18, base: 0 })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
    expect(f.run('lidt', { modrm: 0x18, base: 0, seg: Seg.SS })).toBe(Next.Fault);
    expect(f.fault()).toBe('12:0');
    f.state.setReg64(0, 0xffff_ffff, 0x7fff); // the second byte is beyond
    expect(f.run('lidt', { modrm: 0x18, base: 0 })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
  });
});
