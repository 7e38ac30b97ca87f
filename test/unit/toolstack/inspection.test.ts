// Parts of looking inside that need no guest: symbols of an ELF file, page tables read without a trace, what xenstore shows and lets be written.
import { describe, expect, it } from 'vitest';
import { Store } from '../../../main/backends/xenstore/store.ts';
import { CpuCore } from '../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../main/machine/cpu/host-memory.ts';
import { F } from '../../../main/machine/cpu/layout.ts';
import { linearToPhysical, readBytes } from '../../../main/toolstack/inspection/linear-memory.ts';
import { registerValues } from '../../../main/toolstack/inspection/registers.ts';
import { isEditable, StoreInspection } from '../../../main/toolstack/inspection/store.ts';
import { Symbols } from '../../../main/toolstack/inspection/symbols.ts';
import { BulkheadError } from '../../../shared/errors.ts';

/** An ELF file with nothing but a symbol table. */
function elf(bits: 32 | 64, symbols: [name: string, address: bigint, type: number, section: number][]): Uint8Array {
  const wide = bits === 64;
  const names = `\0${symbols.map(([n]) => `${n}\0`).join('')}`;
  const entry = wide ? 24 : 16;
  const header = wide ? 64 : 52;
  const section = wide ? 64 : 40;
  const tableAt = header + section * 3;
  const namesAt = tableAt + entry * symbols.length;
  const bytes = new Uint8Array(namesAt + names.length);
  const view = new DataView(bytes.buffer);
  const word = (at: number, v: bigint): void =>
    wide ? view.setBigUint64(at, v, true) : view.setUint32(at, Number(v), true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  word(wide ? 40 : 32, BigInt(header));
  view.setUint16(wide ? 58 : 46, section, true);
  view.setUint16(wide ? 60 : 48, 3, true);
  const put = (n: number, type: number, offset: number, size: number, link: number): void => {
    const at = header + n * section;
    view.setUint32(at + 4, type, true);
    word(at + (wide ? 24 : 16), BigInt(offset));
    word(at + (wide ? 32 : 20), BigInt(size));
    view.setUint32(at + (wide ? 40 : 24), link, true);
  };
  put(1, 2, tableAt, entry * symbols.length, 2);
  put(2, 3, namesAt, names.length, 0);
  let name = 1;
  symbols.forEach(([text, address, type, defined], n) => {
    const at = tableAt + n * entry;
    view.setUint32(at, name, true);
    view.setUint8(at + (wide ? 4 : 12), type);
    view.setUint16(at + (wide ? 6 : 14), defined, true);
    word(at + (wide ? 8 : 4), address);
    name += text.length + 1;
  });
  bytes.set(new TextEncoder().encode(names), namesAt);
  return bytes;
}

describe('symbols', () => {
  for (const bits of [32, 64] as const)
    it(`of a ${bits}-bit kernel name the function that an address is in`, () => {
      const base = bits === 64 ? 0xffff_ffff_8100_0000n : 0xc100_0000n;
      const s = Symbols.of(
        elf(bits, [
          ['second', base + 0x100n, 2, 1],
          ['first', base, 2, 1],
          ['a_variable', base + 0x80n, 1, 1],
          ['elsewhere', base + 0x90n, 2, 0],
          ['A_CONSTANT', base + 0x98n, 0, 0xfff1],
        ]),
      )!;
      expect(s.at(base)).toBe('first');
      expect(s.at(base + 0xffn)).toBe('first+0xff');
      expect(s.at(base + 0x104n)).toBe('second+0x4');
      expect(s.at(base - 1n)).toBeNull();
      expect(s.at(base + 0x1000_0000n)).toBeNull();
    });
  it('are none in a stripped, cut or foreign file', () => {
    expect(Symbols.of(elf(64, []))).toBeNull();
    expect(Symbols.of(elf(64, [['x', 1n, 2, 1]]).subarray(0, 130))).toBeNull();
    expect(Symbols.of(new Uint8Array(100))).toBeNull();
  });
});

describe('page tables', () => {
  const build = (
    set: (write: (address: number, value: bigint, wide?: boolean) => void) => void,
    cr4: number,
    efer = 0,
  ) => {
    const mem = new HostMemory(2 ** 24);
    const core = new CpuCore(mem);
    const cpu = core.createVcpu();
    set((address, value, wide = true) => {
      mem.write32(address, Number(value & 0xffff_ffffn));
      if (wide) mem.write32(address + 4, Number(value >> 32n));
    });
    cpu.set32(F.cr0, 0x8000_0001);
    cpu.set32(F.cr4, cr4);
    cpu.set32(F.efer, efer);
    cpu.set64(F.cr3, 0x1000n);
    return { mem, at: (linear: bigint) => linearToPhysical(cpu, mem, (a) => a, linear) };
  };
  it('of two levels have small and 4 MiB pages', () => {
    const { at } = build((write) => {
      write(0x1000 + 4, 0x2001n, false);
      write(0x2000 + 4 * 3, 0x5_3067n, false);
      write(0x1000 + 8, 0x80_0083n, false);
    }, 0x10);
    expect(at(0x40_3123n)).toBe(0x5_3123);
    expect(at(0x8a_bcden)).toBe(0x8a_bcde);
    expect(at(0x40_4000n)).toBe(-1);
    expect(at(0x10_0000n)).toBe(-1);
  });
  it('of PAE have three levels and 2 MiB pages', () => {
    const { at } = build((write) => {
      write(0x1000 + 3 * 8, 0x2001n);
      write(0x2000 + 8, 0x20_00e3n);
      write(0x2000 + 16, 0x3001n);
      write(0x3000 + 8, 0x7_7001n);
    }, 0x20);
    expect(at(0xc020_1234n)).toBe(0x20_1234);
    expect(at(0xc040_1fffn)).toBe(0x7_7fff);
    expect(at(0x0020_1234n)).toBe(-1);
  });
  it('of long mode have four levels, no-execute bits, and leave no trace of being read', () => {
    const { at, mem } = build(
      (write) => {
        write(0x1000 + 511 * 8, 0x2001n);
        write(0x2000 + 510 * 8, 0x3001n);
        write(0x3000 + 8 * 8, 0x4001n);
        write(0x4000 + 5 * 8, 0x8000_0000_0006_6001n);
      },
      0x20,
      0x500,
    );
    const before = mem.copyOut(0x1000, 0x4000);
    expect(at(0xffff_ffff_8100_5abcn)).toBe(0x6_6abc);
    expect(at(0xffff_ffff_8100_6abcn)).toBe(-1);
    expect(mem.copyOut(0x1000, 0x4000)).toEqual(before);
  });
  it('give bytes where there is memory, null where there is none', () => {
    const { mem, at } = build((write) => {
      write(0x1000, 0x2001n, false);
      write(0x2000 + 4, 0x9001n, false);
      write(0x9ffc, 0x4433_2211n, false);
    }, 0);
    expect(readBytes(mem, at, 0x1ffen, 4, 32)).toEqual([0x33, 0x44, null, null]);
  });
});

describe('registers', () => {
  it('come in the width of the mode, with what they say', () => {
    const core = new CpuCore(new HostMemory(2 ** 21));
    const cpu = core.createVcpu();
    const of = (name: string) => registerValues(cpu, null).find((r) => r.name === name);
    cpu.setReg(0, 0x1234_5678_9abc_def0n);
    expect(of('EAX')).toEqual({ name: 'EAX', value: '0x9abcdef0', group: 'general', note: '' });
    expect(of('R8')).toBeUndefined();
    expect(of('CS')).toMatchObject({ value: '0xf000', note: expect.stringContaining('16-bit code') as string });
    cpu.rflags = 0x246;
    expect(of('EFLAGS')!.note).toBe('PF ZF IF');
    cpu.set32(F.efer, 0x500);
    cpu.setSegment(1, { selector: 0x10, base: 0n, limit: 0xffff_ffff, attr: 0xa09b });
    expect(of('RAX')!.value).toBe('0x123456789abcdef0');
    expect(of('R15')).toBeDefined();
    expect(of('EFER')!.note).toBe('LME LMA');
  });
});

describe('xenstore', () => {
  it('shows text and bytes, and is written only where no protocol runs', () => {
    const store = new Store();
    store.makeDirectory('/local/domain/3', [
      { domid: 0, read: false, write: false },
      { domid: 3, read: true, write: false },
    ]);
    store.set('/local/domain/3/data', 'grün \u0001');
    const s = new StoreInspection(store);
    expect(s.node('/local/domain/3')).toEqual({
      path: '/local/domain/3',
      value: '',
      children: ['data'],
      permissions: 'n0,r3',
      editable: false,
    });
    expect(s.node('/local/domain/3/data').value).toBe('gr\\xc3\\xbcn \\x01');
    s.watch(1, '/local/domain/3');
    s.write('/local/domain/3/data/new', 'grün');
    expect(s.node('/local/domain/3/data/new').value).toBe('grün');
    expect(s.changes(1)).toEqual(['/local/domain/3/data/new']);
    expect(s.changes(1)).toEqual([]);
    s.unwatch(1);
    s.remove('/local/domain/3/data');
    expect(() => s.node('/local/domain/3/data')).toThrow(BulkheadError);
    for (const path of [
      '/',
      '/local/domain/3',
      '/local/domain/3/device/vbd/1/state',
      '/local/domain/0/backend/vif/3/0',
    ])
      expect(() => s.write(path, '1')).toThrow('is not written');
    expect(isEditable('/local/domain/3/control/shutdown')).toBe(true);
    expect(() => s.node('relative')).toThrow('is not a path');
    expect(() => s.node('/a b')).toThrow('is not a path');
  });
});
