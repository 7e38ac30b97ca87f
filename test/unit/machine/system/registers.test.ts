import { describe, expect, it } from 'vitest';
import { F, Intercept, Next, Seg, SegAttr } from '../../../../main/machine/cpu/layout.ts';
import { MODE_KEY_64, ModeKey } from '../../../../main/machine/cpu/mode.ts';
import { DEFAULT_CPUID, ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import { allowedCr4, cpuidLeaf } from '../../../../main/machine/cpu/system/cpuid-policy.ts';
import { CODE64, DATA32, Fixture } from './fixture.ts';

/** MOV CRn, EAX. */
function writeCr(f: Fixture, cr: number, lo: number, hi = 0): string {
  f.state.setReg64(0, lo, hi);
  const next = f.run('mov_to_cr', { modrm: 0xc0 | ((cr & 7) << 3), rex: cr > 7 ? 4 : 0, length: 3 });
  return next === Next.Fault ? f.fault() : `next ${next}`;
}

describe('control registers', () => {
  it('refuses impossible combinations in CR0', () => {
    const f = new Fixture();
    expect(writeCr(f, 0, 0x8000_0010)).toBe('13:0');
    expect(writeCr(f, 0, 0x2000_0011)).toBe('13:0');
    expect(writeCr(f, 0, 0x11)).toBe(`next ${Next.Jump}`);
    expect(f.state.rip).toBe(3);
    expect(f.get(F.cr0)).toBe(0x11);
    expect(writeCr(f, 0, 0x6000_0001)).toBe(`next ${Next.Jump}`);
    expect(f.get(F.cr0)).toBe(0x6000_0011);
  });

  it('goes to long mode and back', () => {
    const f = new Fixture().longMode();
    f.set(F.cr0, 0x11);
    f.set(F.efer, 0x100);
    f.set(F.cr4, 0);
    f.state.setSegment(Seg.CS, 0x08, 0, 0xffff_ffff, 0xc09b);
    f.system.recomputeMode();
    expect(writeCr(f, 0, 0x8000_0011)).toBe('13:0'); // no PAE
    expect(writeCr(f, 4, 0x20)).toBe(`next ${Next.Jump}`);
    expect(writeCr(f, 0, 0x8000_0011)).toBe(`next ${Next.Jump}`);
    expect(f.get(F.efer)).toBe(0x500);
    expect(f.get(F.mode) & ModeKey.CodeSizeMask).toBe(ModeKey.Code32);
    expect(f.flushes).toContain(true);
    f.run('jmp_far_imm', { imm: 0x1000, immHigh: 0x30 });
    expect(f.get(F.mode)).toBe(MODE_KEY_64);
    expect(writeCr(f, 4, 0)).toBe('13:0'); // PAE cannot go in long mode
    expect(writeCr(f, 0, 0x11)).toBe('13:0'); // nor paging in 64-bit mode
    f.put32(0x5000, 0x1000, 0x08);
    f.run('jmp_far_mem', { disp: 0x5000, modrm: 0x2c });
    expect(writeCr(f, 0, 0x11)).toBe(`next ${Next.Jump}`);
    expect(f.get(F.efer)).toBe(0x100);
  });

  it('checks CR3, CR4 and CR8', () => {
    const f = new Fixture().longMode();
    expect(writeCr(f, 3, 0x5000, 0x10)).toBe('13:0');
    f.flushes.length = 0;
    expect(writeCr(f, 3, 0x1_0000, 0)).toBe(`next ${Next.Jump}`);
    expect(f.flushes).toEqual([false]);
    expect(writeCr(f, 4, 0x100_0020)).toBe('13:0');
    expect(writeCr(f, 4, 0xa0)).toBe(`next ${Next.Jump}`);
    expect(f.flushes).toEqual([false, true]);
    expect(writeCr(f, 8, 16)).toBe('13:0');
    expect(writeCr(f, 8, 9)).toBe(`next ${Next.Jump}`);
    expect(f.get(F.cr8)).toBe(9);
    expect(writeCr(f, 1, 0)).toBe('6');
    expect(writeCr(f, 5, 0)).toBe('6');
  });

  it('needs CPL 0, and offers accesses to the holder of the vCPU', () => {
    const f = new Fixture().protectedMode().userMode();
    for (const name of ['mov_to_cr', 'mov_from_cr', 'clts', 'wbinvd', 'hlt', 'rdmsr', 'wrmsr', 'lmsw'] as const) {
      expect(f.run(name, { modrm: 0xc0 }), name).toBe(Next.Fault);
      expect(f.fault(), name).toBe('13:0');
    }
    f.set(F.cpl, 0);
    f.set(F.intercepts, Intercept.CrAccess);
    f.state.rip = 0x100;
    expect(f.run('mov_to_cr', { modrm: 0xd9, length: 3 })).toBe(Next.ExitBefore);
    expect([F.exit, F.exitInfo0, F.exitInfo1, F.exitInfo2, F.exitInfo3].map((x) => f.get(x))).toEqual([
      ExitCode.ControlRegister,
      3,
      1,
      1,
      3,
    ]);
    expect(f.state.rip).toBe(0x100);
  });

  it('sets PE with LMSW but never clears it', () => {
    const f = new Fixture();
    f.state.setReg32(0, 9);
    f.run('lmsw', { modrm: 0xf0 });
    expect(f.get(F.cr0)).toBe(0x19);
    f.state.setReg32(0, 0);
    f.run('lmsw', { modrm: 0xf0 });
    expect(f.get(F.cr0)).toBe(0x11);
  });

  it('guards debug registers', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg32(0, 0xffff_ffff);
    f.run('mov_to_dr', { modrm: 0xf8 });
    expect(f.get(F.dr + 56)).toBe(0xffff_27ff);
    expect(f.run('mov_from_dr', { modrm: 0xc0 })).toBe(Next.Fault); // DR7.GD is set now
    expect(f.fault()).toBe('1');
    expect(f.get(F.dr + 48) & 0x2000).toBe(0x2000);
    expect(f.get(F.dr + 56) & 0x2000).toBe(0);
    expect(f.run('mov_from_dr', { modrm: 0xe9 })).toBe(Next.Sequential); // DR5 is DR7
    expect(f.state.regLo(1)).toBe(0xffff_07ff);
    f.set(F.cr4, 8);
    f.run('mov_from_dr', { modrm: 0xe9 });
    expect(f.fault()).toBe('6');
  });

  it('invalidates the page of the effective address', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg32(3, 0x1234_5678);
    expect(f.run('invlpg', { modrm: 0x3b, base: 3 })).toBe(Next.Jump);
    expect(f.invalidated).toEqual([0x1234_5678]);
  });
});

describe('model-specific registers', () => {
  const wrmsr = (f: Fixture, msr: number, lo: number, hi = 0) => {
    f.state.setReg32(1, msr);
    f.state.setReg32(0, lo);
    f.state.setReg32(2, hi);
    return f.run('wrmsr') === Next.Fault ? f.fault() : 'ok';
  };
  const rdmsr = (f: Fixture, msr: number) => {
    f.state.setReg32(1, msr);
    return f.run('rdmsr') === Next.Fault
      ? f.fault()
      : `${f.state.regLo(2).toString(16)}:${f.state.regLo(0).toString(16)}`;
  };

  it('keeps segment bases and refuses non-canonical ones', () => {
    const f = new Fixture().longMode();
    expect(wrmsr(f, 0xc000_0101, 0x1234, 0xffff_8000)).toBe('ok');
    expect(f.state.base(Seg.GS)).toBe(-0x8000_0000_0000 + 0x1234);
    expect(wrmsr(f, 0xc000_0102, 0, 0x8000)).toBe('13:0');
    f.set(F.kernelGsBase, 0x77);
    expect(f.run('swapgs')).toBe(Next.Sequential);
    expect(f.state.base(Seg.GS)).toBe(0x77);
    expect(rdmsr(f, 0xc000_0102)).toBe('ffff8000:1234');
  });

  it('guards EFER', () => {
    const f = new Fixture().longMode();
    expect(wrmsr(f, 0xc000_0080, 0x801)).toBe('13:0'); // LME off while paging
    expect(wrmsr(f, 0xc000_0080, 0x1101)).toBe('13:0'); // SVME
    f.flushes.length = 0;
    expect(wrmsr(f, 0xc000_0080, 0x101)).toBe('ok');
    expect(f.get(F.efer)).toBe(0x501);
    expect(f.flushes).toEqual([true]); // NXE changed
  });

  it('keeps memory types that exist', () => {
    const f = new Fixture().protectedMode();
    expect(wrmsr(f, 0x277, 0x0007_0406, 0x0007_0406)).toBe('ok');
    expect(wrmsr(f, 0x277, 0x0002_0406, 0)).toBe('13:0');
    expect(wrmsr(f, 0x20f, 0xf000_0800, 0xf)).toBe('ok');
    expect(rdmsr(f, 0x20f)).toBe('f:f0000800');
    expect(wrmsr(f, 0x268, 0x0606_0607, 0)).toBe('13:0');
    expect(rdmsr(f, 0xfe)).toBe('0:508');
  });

  it('asks the bus for what it does not know', () => {
    const f = new Fixture().protectedMode();
    expect(rdmsr(f, 0x4b56_4d00)).toBe('13:0');
    f.busMsrs.set(0x808, { lo: 5, hi: 0 });
    expect(rdmsr(f, 0x808)).toBe('0:5');
    expect(wrmsr(f, 0x808, 6)).toBe('ok');
    expect(wrmsr(f, 0x809, 6)).toBe('13:0');
  });

  it('counts cycles in the TSC across a write', () => {
    const f = new Fixture().protectedMode();
    f.cycles = 0x1_0000_0005;
    expect(rdmsr(f, 0x10)).toBe('1:5');
    wrmsr(f, 0x10, 0xffff_fff0, 0);
    f.cycles += 0x20;
    f.run('rdtsc');
    expect([f.state.regLo(2), f.state.regLo(0)]).toEqual([1, 0x10]);
    f.userMode();
    expect(f.run('rdtsc')).toBe(Next.Sequential);
    f.set(F.cr4, 4);
    expect(f.run('rdtsc')).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
  });

  it('reads and writes bases only with CR4.FSGSBASE', () => {
    const f = new Fixture().longMode();
    f.run('wrfsbase', { modrm: 0xd0, size: 8 });
    expect(f.fault()).toBe('6');
    f.set(F.cr4, 0x1_0020);
    f.state.setReg64(0, 0x5000, 0x1234);
    expect(f.run('wrfsbase', { modrm: 0xd0, size: 8 })).toBe(Next.Sequential);
    expect(f.run('rdfsbase', { modrm: 0xc3, size: 8 })).toBe(Next.Sequential);
    expect([f.state.regLo(3), f.state.regHi(3)]).toEqual([0x5000, 0x1234]);
  });
});

describe('CPUID', () => {
  it('answers beyond its range with the highest basic leaf', () => {
    expect(cpuidLeaf(DEFAULT_CPUID, 0x99, 0)).toEqual(cpuidLeaf(DEFAULT_CPUID, 7, 0));
    expect(cpuidLeaf(DEFAULT_CPUID, 0x4000_0000, 0)).toEqual([0, 0, 0, 0]);
  });

  it('spells the vendor and brand', () => {
    const chars = (words: readonly number[]) =>
      words.map((w) => String.fromCharCode(w & 255, (w >> 8) & 255, (w >> 16) & 255, w >>> 24)).join('');
    const [, b, c, d] = cpuidLeaf(DEFAULT_CPUID, 0, 0);
    expect(chars([b, d, c])).toBe('GenuineIntel');
    expect([2, 3, 4].map((n) => chars(cpuidLeaf(DEFAULT_CPUID, 0x8000_0000 + n, 0))).join('')).toContain('D510');
  });

  it('puts the APIC id in leaf 1 and shows the APIC only when it is on', () => {
    const f = new Fixture().protectedMode();
    f.set(F.index, 3);
    f.state.setReg32(0, 1);
    f.run('cpuid');
    expect(f.state.regLo(3) >>> 24).toBe(3);
    expect(f.state.regLo(2) & 0x200).toBe(0);
    f.set(F.apicBase, 0xfee0_0800);
    f.state.setReg32(0, 1);
    f.run('cpuid');
    expect(f.state.regLo(2) & 0x200).toBe(0x200);
  });

  it('governs what CR4 accepts', () => {
    const hidden = { ...DEFAULT_CPUID, leaves: { ...DEFAULT_CPUID.leaves, '7:0': [0, 0, 0, 0] as const } };
    const f = new Fixture().protectedMode();
    expect(writeCr(f, 4, 0x1_0000)).toBe(`next ${Next.Jump}`);
    f.policy = hidden;
    expect(writeCr(f, 4, 0x1_0000)).toBe('13:0');
    expect(allowedCr4(hidden) & 0x1_0000).toBe(0);
  });
});

describe('system calls', () => {
  it('enters by SYSCALL and returns by SYSRET', () => {
    const f = new Fixture().longMode().userMode();
    f.set(F.star + 4, (0x1b << 16) | 0x30);
    f.state.set64(F.lstar, 0x1000, 0xffff_8000);
    f.set(F.sfmask, 0x4_7700);
    f.set(F.eflags, 0x202);
    expect(f.run('syscall')).toBe(Next.Jump);
    expect(f.state.cpl).toBe(0);
    expect(f.state.rip).toBe(-0x8000_0000_0000 + 0x1000);
    expect(f.state.regLo(1)).toBe(0x102);
    expect(f.state.regLo(11)).toBe(0x202);
    expect(f.get(F.eflags)).toBe(2);
    expect([f.state.selector(Seg.CS), f.state.selector(Seg.SS)]).toEqual([0x30, 0x38]);
    expect(f.run('sysret', { size: 8 })).toBe(Next.Jump);
    expect(f.state.cpl).toBe(3);
    expect(f.state.rip).toBe(0x102);
    expect([f.state.selector(Seg.CS), f.state.selector(Seg.SS)]).toEqual([0x2b, 0x23]);
    expect(f.get(F.eflags)).toBe(0x202);
    expect(f.get(F.mode)).toBe(MODE_KEY_64);
  });

  it('refuses a non-canonical SYSRET at CPL 0, as Intel does', () => {
    const f = new Fixture().longMode();
    f.state.setReg64(1, 0, 0x8000);
    expect(f.run('sysret', { size: 8 })).toBe(Next.Fault);
    expect(f.fault()).toBe('13:0');
    expect(f.state.cpl).toBe(0);
  });

  it('does not know SYSCALL outside 64-bit mode', () => {
    const f = new Fixture().protectedMode();
    f.set(F.efer, 1);
    f.run('syscall');
    expect(f.fault()).toBe('6');
  });

  it('enters by SYSENTER and returns by SYSEXIT', () => {
    const f = new Fixture().protectedMode().userMode();
    f.run('sysenter');
    expect(f.fault()).toBe('13:0');
    f.set(F.sysenterCs, 0x60);
    f.set(F.sysenterEsp, 0x9000);
    f.set(F.sysenterEip, 0xc010_0000);
    f.set(F.eflags, 0x202);
    expect(f.run('sysenter')).toBe(Next.Jump);
    expect([f.state.cpl, f.state.rip, f.state.regLo(4), f.get(F.eflags)]).toEqual([0, 0xc010_0000, 0x9000, 2]);
    expect([f.state.selector(Seg.CS), f.state.selector(Seg.SS)]).toEqual([0x60, 0x68]);
    f.state.setReg32(1, 0x5000);
    f.state.setReg32(2, 0x1234);
    expect(f.run('sysexit')).toBe(Next.Jump);
    expect([f.state.cpl, f.state.rip, f.state.regLo(4)]).toEqual([3, 0x1234, 0x5000]);
    expect([f.state.selector(Seg.CS), f.state.selector(Seg.SS)]).toEqual([0x73, 0x7b]);
  });

  it('offers hypercalls only to those who take them', () => {
    const f = new Fixture().protectedMode();
    f.run('vmcall');
    expect(f.fault()).toBe('6');
    f.set(F.intercepts, Intercept.Vmcall);
    expect(f.run('vmmcall', { length: 3 })).toBe(Next.ExitBefore);
    expect([f.get(F.exit), f.get(F.exitInfo0), f.get(F.exitInfo3)]).toEqual([ExitCode.Hypercall, 1, 3]);
  });
});

describe('descriptor tables', () => {
  it('loads and stores GDTR by operand size', () => {
    const f = new Fixture().protectedMode();
    f.put16(0x5000, 0x1f, 0x5678, 0xab12);
    f.run('lidt', { modrm: 0x1c, disp: 0x5000 });
    expect([f.get(F.idtLimit), f.get(F.idtBase)]).toEqual([0x1f, 0xab12_5678]);
    f.run('lidt', { modrm: 0x1c, disp: 0x5000, size: 2 });
    expect(f.get(F.idtBase)).toBe(0x12_5678);
    f.run('sidt', { modrm: 0x0c, disp: 0x6000 });
    expect([f.peek16(0x6000), f.peek32(0x6002)]).toEqual([0x1f, 0x12_5678]);
  });

  it('loads TR busy and refuses a busy one', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg32(0, 0x28);
    expect(f.run('ltr', { modrm: 0xd8 })).toBe(Next.Sequential);
    expect(f.state.attr(Seg.TR)).toBe(0x8b);
    expect(f.peek32(0x102c) & 0xf00).toBe(0xb00);
    f.run('ltr', { modrm: 0xd8 });
    expect(f.fault()).toBe('13:28');
    f.state.setReg32(0, 0);
    f.run('ltr', { modrm: 0xd8 });
    expect(f.fault()).toBe('13:0');
  });

  it('reads 16-byte system descriptors in long mode', () => {
    const f = new Fixture().longMode();
    f.descriptor(0x1000, 0x48, 0x3000, 0x67, 0x89);
    f.put32(0x1050, 0xffff_8000, 0);
    f.state.setReg32(0, 0x48);
    expect(f.run('ltr', { modrm: 0xd8 })).toBe(Next.Sequential);
    expect(f.state.base(Seg.TR)).toBe(-0x8000_0000_0000 + 0x3000);
  });

  it('answers LAR, LSL, VERR and VERW by privilege', () => {
    const f = new Fixture().protectedMode().userMode();
    const ask = (name: 'lar' | 'lsl' | 'verr' | 'verw', selector: number) => {
      f.state.setReg32(3, selector);
      f.state.setReg32(0, 0);
      f.run(name, { modrm: 0xc3 });
      return (f.get(F.eflags) & 0x40) === 0 ? 'no' : f.state.regLo(0).toString(16);
    };
    expect(ask('lar', 0x23)).toBe('c0f300');
    expect(ask('lar', 0x10)).toBe('no');
    expect(ask('lsl', 0x23)).toBe('ffffffff');
    expect(ask('lsl', 0)).toBe('no');
    expect(ask('verr', 0x1b)).toBe('0');
    expect(ask('verw', 0x1b)).toBe('no');
    expect(ask('verw', 0x23)).toBe('0');
    expect(ask('verr', 0x28)).toBe('no');
    // a paragraph mode does not know them
    const g = new Fixture();
    g.run('lar', { modrm: 0xc3 });
    expect(g.fault()).toBe('6');
  });

  it('adjusts RPL', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg32(0, 0x10);
    f.state.setReg32(1, 3);
    f.run('arpl', { modrm: 0xc8 });
    expect(f.state.regLo(0)).toBe(0x13);
    expect(f.get(F.eflags) & 0x40).toBe(0x40);
    f.run('arpl', { modrm: 0xc8 });
    expect(f.get(F.eflags) & 0x40).toBe(0);
  });
});

describe('flags and waiting', () => {
  it('lets POPF change IF and IOPL by privilege', () => {
    const f = new Fixture().protectedMode();
    f.put32(0x8000, 0x3202, 0x202);
    expect(f.run('popf', { length: 1 })).toBe(Next.Jump);
    expect(f.get(F.eflags)).toBe(0x3202);
    expect(f.opened).toBe(1);
    f.userMode();
    f.run('popf', { length: 1 });
    expect(f.get(F.eflags)).toBe(0x3202); // IOPL stays, IF may change: IOPL is 3
    f.set(F.eflags, 2);
    f.put32(0x8008, 0x3202);
    expect(f.run('popf', { length: 1 })).toBe(Next.Sequential);
    expect(f.get(F.eflags)).toBe(2);
    f.run('sti');
    expect(f.fault()).toBe('13:0');
  });

  it('holds interrupts off for one instruction after STI', () => {
    const f = new Fixture().protectedMode();
    expect(f.run('sti', { length: 1 })).toBe(Next.Jump);
    expect([f.get(F.shadow), f.get(F.eflags), f.state.rip, f.opened]).toEqual([1, 0x202, 0x101, 1]);
    expect(f.run('sti', { length: 1 })).toBe(Next.Sequential);
    expect(f.run('cli')).toBe(Next.Sequential);
    expect(f.get(F.eflags)).toBe(2);
  });

  it('halts after the instruction, or leaves before it', () => {
    const f = new Fixture().protectedMode();
    expect(f.run('hlt', { length: 1 })).toBe(Next.Exit);
    expect([f.get(F.exit), f.get(F.exitInfo0), f.get(F.halted), f.state.rip]).toEqual([ExitCode.Halt, 0, 1, 0x101]);
    f.set(F.halted, 0);
    f.set(F.intercepts, Intercept.Hlt);
    expect(f.run('hlt', { length: 1 })).toBe(Next.ExitBefore);
    expect([f.get(F.exitInfo0), f.get(F.halted), f.state.rip]).toEqual([1, 0, 0x101]);
  });

  it('builds nested frames with ENTER', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg32(5, 0x7000);
    f.put32(0x6ffc, 0xaaaa);
    expect(f.run('enter', { imm: 0x20 | (2 << 16) })).toBe(Next.Sequential);
    expect(f.state.regLo(5)).toBe(0x7ffc);
    expect(f.state.regLo(4)).toBe(0x7ff4 - 0x20);
    expect([f.peek32(0x7ffc), f.peek32(0x7ff8), f.peek32(0x7ff4)]).toEqual([0x7000, 0xaaaa, 0x7ffc]);
  });
});

describe('ports', () => {
  it('checks the I/O map of the TSS', () => {
    const f = new Fixture().protectedMode().userMode();
    f.state.setSegment(Seg.TR, 0x28, 0x3000, 0x67 + 0x20, 0x8b);
    f.u8.fill(0xff, 0x1000_3068, 0x1000_3068 + 0x20);
    f.u8[0x1000_3068 + 0x0c] = 0xf9; // ports 61 and 62 are allowed
    const input = (port: number, opcode: number) => {
      f.state.setReg32(2, port);
      return f.run('in_dx', { opcode }) === Next.Fault ? f.fault() : 'ok';
    };
    expect(input(0x61, 0xec)).toBe('ok');
    expect(input(0x60, 0xec)).toBe('13:0');
    expect(input(0x61, 0xed)).toBe('13:0'); // four ports
    expect(input(0x3f0, 0xec)).toBe('13:0'); // beyond the limit
    f.set(F.eflags, 0x3002);
    expect(input(0x3f0, 0xec)).toBe('ok');
  });

  it('moves the right part of the accumulator', () => {
    const f = new Fixture().protectedMode();
    f.state.setReg64(0, 0x1122_3344, 7);
    f.run('out_imm', { opcode: 0xe6, imm: 0x80 });
    f.run('out_imm', { opcode: 0xe7, imm: 0x81, size: 2 });
    f.run('out_imm', { opcode: 0xe7, imm: 0x82 });
    expect(f.io).toEqual([
      { port: 0x80, size: 1, value: 0x44 },
      { port: 0x81, size: 2, value: 0x3344 },
      { port: 0x82, size: 4, value: 0x1122_3344 },
    ]);
    f.inputs.push(0xab, 0xcdef, 0x8000_0001);
    f.run('in_imm', { opcode: 0xe4, imm: 1 });
    expect(f.state.regLo(0)).toBe(0x1122_33ab);
    f.run('in_imm', { opcode: 0xe5, imm: 1, size: 2 });
    expect(f.state.regLo(0)).toBe(0x1122_cdef);
    f.run('in_imm', { opcode: 0xe5, imm: 1 });
    expect([f.state.regLo(0), f.state.regHi(0)]).toEqual([0x8000_0001, 0]);
  });

  it('stops REP INS at the page that faults, with registers in step', () => {
    const f = new Fixture().protectedMode().pagedMode();
    f.put32(0x1_1000 + 6 * 4, 0);
    f.state.setReg32(2, 0x1f0);
    f.state.setReg32(1, 6);
    f.state.setReg32(7, 0x5ff8);
    f.inputs.push(1, 2, 3, 4);
    expect(f.run('ins', { opcode: 0x6d, flags: 1 })).toBe(Next.Jump);
    expect([f.state.regLo(1), f.state.regLo(7), f.peek32(0x5ff8), f.peek32(0x5ffc)]).toEqual([4, 0x6000, 1, 2]);
    expect(f.run('ins', { opcode: 0x6d, flags: 1 })).toBe(Next.Fault);
    expect(f.fault()).toBe('14:2');
    expect(f.inputs).toEqual([3, 4]); // no port was read for nothing
    expect(f.state.rip).toBe(0x100);
  });

  it('leaves for intercepted ports after the permission check', () => {
    const f = new Fixture().protectedMode();
    f.set(F.intercepts, Intercept.Io);
    f.state.setReg32(2, 0x3f8);
    expect(f.run('out_dx', { opcode: 0xee, length: 1 })).toBe(Next.ExitBefore);
    expect([F.exit, F.exitInfo0, F.exitInfo1, F.exitInfo2, F.exitInfo3].map((x) => f.get(x))).toEqual([
      ExitCode.Io,
      0x3f8,
      1,
      0,
      1,
    ]);
    expect(f.io).toEqual([]);
  });
});

describe('mode key', () => {
  it('is not flat with a null, expand-down, read-only or short data segment', () => {
    const f = new Fixture().protectedMode();
    const flat = () => {
      f.system.recomputeMode();
      return (f.get(F.mode) & ModeKey.Flat) !== 0;
    };
    expect(flat()).toBe(true);
    for (const attr of [DATA32 | SegAttr.Unusable, DATA32 | SegAttr.DC, DATA32 & ~SegAttr.RW, DATA32 & ~SegAttr.G]) {
      f.state.setSegment(Seg.ES, 0x10, 0, 0xffff_ffff, attr);
      expect(flat()).toBe(false);
    }
    f.state.setSegment(Seg.ES, 0x10, 0, 0x3ff_ffff, DATA32);
    expect(flat()).toBe(true);
    f.state.setSegment(Seg.ES, 0x10, 0, 0x3ff_efff, DATA32);
    expect(flat()).toBe(false);
    expect(CODE64 & SegAttr.L).toBe(SegAttr.L);
  });
});
