import { describe, expect, it } from 'vitest';
import { F, PAGE_FLAGS, PageFlag } from '../../../../main/machine/cpu/layout.ts';
import { Access } from '../../../../main/machine/cpu/system/index.ts';
import { Fixture } from './fixture.ts';

function walk(f: Fixture, lo: number, access: number, user = false, hi = 0): string {
  if (f.system.pageWalk(lo, hi, access, user) === 0) return `fault ${f.system.walk.errorCode.toString(16)}`;
  return `frame ${f.system.walk.frame.toString(16)}`;
}

describe('page walk without paging', () => {
  it('maps a linear address to itself', () => {
    const f = new Fixture();
    expect(walk(f, 0x12_3456, Access.Write)).toBe('frame 123');
    expect(f.system.walk.writeOk).toBe(true);
  });
});

describe('32-bit paging', () => {
  const setup = () => new Fixture().protectedMode().pagedMode();

  it('sets A on both levels and D only for writes', () => {
    const f = setup();
    expect(walk(f, 0x5123, Access.Read)).toBe('frame 5');
    expect(f.peek32(0x1_0000) & 0x60).toBe(0x20);
    expect(f.peek32(0x1_1014) & 0x60).toBe(0x20);
    expect(f.system.walk.writeOk).toBe(false);
    expect(walk(f, 0x5123, Access.Write)).toBe('frame 5');
    expect(f.peek32(0x1_1014) & 0x60).toBe(0x60);
    expect(f.peek32(0x1_0000) & 0x60).toBe(0x20);
    expect(f.system.walk.writeOk).toBe(true);
  });

  it('gives error codes by cause, and changes nothing on a fault', () => {
    const f = setup();
    f.put32(0x1_1014, 0x5001); // supervisor, read-only
    expect(walk(f, 0x40_0000, Access.Read)).toBe('fault 0');
    expect(walk(f, 0x40_0000, Access.Write, true)).toBe('fault 6');
    expect(walk(f, 0x5000, Access.Read, true)).toBe('fault 5');
    expect(walk(f, 0x5000, Access.Write, true)).toBe('fault 7');
    // without NX, a fetch is reported like a read
    expect(walk(f, 0x5000, Access.Exec, true)).toBe('fault 5');
    expect(f.peek32(0x1_1014)).toBe(0x5001);
    expect(f.peek32(0x1_0000)).toBe(0x1_1007);
  });

  it('honours CR0.WP for the supervisor only', () => {
    const f = setup();
    f.put32(0x1_1014, 0x5005);
    expect(walk(f, 0x5000, Access.Write)).toBe('frame 5');
    expect(walk(f, 0x5000, Access.Write, true)).toBe('fault 7');
    f.set(F.cr0, 0x8001_0011);
    expect(walk(f, 0x5000, Access.Write)).toBe('fault 3');
  });

  it('combines permissions of both levels', () => {
    const f = setup();
    f.put32(0x1_0000, 0x1_1005);
    expect(walk(f, 0x5000, Access.Write, true)).toBe('fault 7');
    f.put32(0x1_0000, 0x1_1003);
    expect(walk(f, 0x5000, Access.Read, true)).toBe('fault 5');
  });

  it('maps 4 MiB pages with CR4.PSE, PSE-36 included', () => {
    const f = setup();
    f.put32(0x1_0004, 0x40_0083);
    f.put32(0x1_0008, 0x80_6083); // bits 35:32 = 3
    f.put32(0x1_000c, 0xa0_0083); // a reserved bit
    f.put32(0x1_0010, 0x1_1083);
    // without CR4.PSE the bit is ignored
    expect(walk(f, 0x100_3000, Access.Write)).toBe('frame 3');
    f.set(F.cr4, 0x10);
    expect(walk(f, 0x40_3000, Access.Write)).toBe('frame 403');
    expect(f.system.walk.pageSizeBits).toBe(22);
    expect(f.peek32(0x1_0004)).toBe(0x40_00e3);
    expect(walk(f, 0x80_1000, Access.Read)).toBe('frame 300801');
    expect(walk(f, 0xc0_0000, Access.Read)).toBe('fault 9');
  });

  it('reports global pages only with CR4.PGE', () => {
    const f = setup();
    f.put32(0x1_1014, 0x5107);
    walk(f, 0x5000, Access.Read);
    expect(f.system.walk.global).toBe(false);
    f.set(F.cr4, 0x80);
    walk(f, 0x5000, Access.Read);
    expect(f.system.walk.global).toBe(true);
  });

  it('tells the dirty log about accessed bits in watched tables', () => {
    const f = setup();
    f.u8[PAGE_FLAGS + 0x11] = PageFlag.LogDirty;
    walk(f, 0x5000, Access.Read);
    expect(f.noted).toEqual([0x1_1014]);
  });
});

describe('PAE paging', () => {
  const setup = () => {
    const f = new Fixture().protectedMode();
    f.put32(0x1_0020, 0x1_1001, 0);
    f.put32(0x1_0038, 0x1_1001, 0); // the fourth gigabyte, the same
    f.put32(0x1_1000, 0x1_2007, 0, 0x20_0087, 0);
    f.put32(0x1_2000 + 5 * 8, 0x5007, 0);
    f.put32(0x1_2000 + 6 * 8, 0x6007, 0x8000_0000);
    f.put32(0x1_2000 + 7 * 8, 0x7007, 0x10); // bit 36: beyond the physical address width
    f.put32(0x1_2000 + 8 * 8, 0x8007, 5);
    f.set(F.cr3, 0x1_0020);
    f.set(F.cr4, 0x20);
    f.set(F.cr0, 0x8000_0011);
    return f;
  };

  it('walks three levels from a 32-byte aligned table', () => {
    const f = setup();
    expect(walk(f, 0x5000, Access.Read)).toBe('frame 5');
    expect(walk(f, 0xc000_5000, Access.Write)).toBe('frame 5');
    expect(walk(f, 0x4000_5000, Access.Read)).toBe('fault 0');
    // PDPTEs have no accessed bit
    expect(f.peek32(0x1_0020)).toBe(0x1_1001);
    expect(walk(f, 0x8123, Access.Read)).toBe('frame 500008');
  });

  it('maps 2 MiB pages and checks their reserved bits', () => {
    const f = setup();
    expect(walk(f, 0x20_7000, Access.Write)).toBe('frame 207');
    expect(f.system.walk.pageSizeBits).toBe(21);
    f.put32(0x1_1008, 0x20_2087, 0);
    expect(walk(f, 0x20_7000, Access.Read)).toBe('fault 9');
  });

  it('treats bit 63 as NX with EFER.NXE and as reserved without', () => {
    const f = setup();
    expect(walk(f, 0x6000, Access.Read)).toBe('fault 9');
    f.set(F.efer, 0x800);
    expect(walk(f, 0x6000, Access.Read)).toBe('frame 6');
    expect(walk(f, 0x6000, Access.Exec)).toBe('fault 11');
    expect(walk(f, 0x5000, Access.Exec)).toBe('frame 5');
    expect(walk(f, 0x7000, Access.Read)).toBe('fault 9');
  });

  it('refuses reserved bits in PDPTEs', () => {
    const f = setup();
    f.put32(0x1_0020, 0x1_1003, 0);
    expect(walk(f, 0x5000, Access.Read)).toBe('fault 9');
    expect(f.system.writeControlRegister(3, 0x1_0020, 0)).toBe(false);
    f.put32(0x1_0020, 0x1_1001, 0);
    expect(f.system.writeControlRegister(3, 0x1_0020, 0)).toBe(true);
  });

  it('walks from the PDPTEs that the last load of CR3 latched', () => {
    const f = setup();
    expect(f.system.writeControlRegister(3, 0x1_0020, 0)).toBe(true);
    f.put32(0x1_0020, 0, 0);
    f.put32(0x1_0028, 0x1_1001, 0);
    expect(walk(f, 0x5000, Access.Read)).toBe('frame 5');
    expect(walk(f, 0x4000_5000, Access.Read)).toBe('fault 0');
    // a refused load leaves them; CR0.CD loads them, too
    f.put32(0x1_0030, 3, 0);
    expect(f.system.writeControlRegister(3, 0x1_0020, 0)).toBe(false);
    expect(walk(f, 0x5000, Access.Read)).toBe('frame 5');
    f.put32(0x1_0030, 0, 0);
    expect(f.system.writeControlRegister(0, 0xc000_0011, 0)).toBe(true);
    expect(walk(f, 0x5000, Access.Read)).toBe('fault 0');
    expect(walk(f, 0x4000_5000, Access.Read)).toBe('frame 5');
    // whoever puts another CR3 into the state has the tables read from memory
    f.put32(0x1_0040, 0x1_1001, 0);
    f.set(F.cr3, 0x1_0040);
    expect(walk(f, 0x5000, Access.Read)).toBe('frame 5');
    f.put32(0x1_0040, 0, 0);
    expect(walk(f, 0x5000, Access.Read)).toBe('fault 0');
  });
});

describe('4-level paging', () => {
  it('maps 4 KiB, 2 MiB and 1 GiB pages, and high addresses', () => {
    const f = new Fixture().longMode();
    expect(walk(f, 0x5000, Access.Read)).toBe('frame 5');
    f.put32(0x1_2010, 0x20_0083, 0);
    expect(walk(f, 0x40_3000, Access.Write)).toBe('frame 203');
    f.put32(0x1_1008, 0x4000_0083, 0);
    expect(walk(f, 0x4012_3000, Access.Write)).toBe('frame 40123');
    expect(f.system.walk.pageSizeBits).toBe(30);
    f.put32(0x1_1008, 0x4020_0083, 0);
    expect(walk(f, 0x4012_3000, Access.Write)).toBe('fault b');
    // the top of the address space, through the last entries
    f.put32(0x1_0ff8, 0x1_1007, 0);
    f.put32(0x1_1ff8, 0x1_2007, 0);
    f.put32(0x1_2ff8, 0x1_3007, 0);
    expect(walk(f, 0xffe0_7abc, Access.Read, false, 0xffff_ffff)).toBe('frame 7');
    f.put32(0x1_0ff8, 0x1_1087, 0); // PS in a PML4E is reserved
    expect(walk(f, 0xffe0_7abc, Access.Read, false, 0xffff_ffff)).toBe('fault 9');
  });

  it('takes bits 38:30 from both halves', () => {
    const f = new Fixture().longMode();
    // 0x1_4000_0000: directory pointer 5
    f.put32(0x1_1028, 0x1_2007, 0);
    expect(walk(f, 0x4000_9000, Access.Read, false, 1)).toBe('frame 9');
  });
});

describe('second-level translation', () => {
  it('translates tables and pages, and reports what is missing', () => {
    const f = new Fixture().protectedMode();
    // guest-physical page n is machine frame n + 0x100, up to page 0x20
    f.nested = (page) => (page < 0x20 ? page + 0x100 : -1);
    f.set(F.nested, 1);
    f.put32(0x11_0000, 0x1_1007);
    f.put32(0x11_1000 + 5 * 4, 0x5007);
    f.put32(0x11_1000 + 6 * 4, 0x3_0007);
    f.set(F.cr3, 0x1_0000);
    f.set(F.cr0, 0x8000_0011);
    expect(walk(f, 0x5000, Access.Write)).toBe('frame 105');
    expect(f.peek32(0x11_1014)).toBe(0x5067);
    walk(f, 0x6abc, Access.Read);
    expect(f.system.walk.nestedFault).toBe(true);
    expect(f.system.walk.nestedGpa).toBe(0x3_0000);
    expect(f.system.walk.nestedTable).toBe(false);
    f.set(F.cr3, 0x4_0000);
    walk(f, 0x6abc, Access.Read);
    expect(f.system.walk.nestedTable).toBe(true);
    expect(f.system.walk.nestedGpa).toBe(0x4_0000);
  });
});
