// The decoder, written as WebAssembly: bytes at a machine address -> an operation record (layout OP), driven by decode-tables.ts.
// `decode_one(page, offset, record, limit)` reads the instruction at page + offset (WebAssembly addresses) and returns
// its end offset | flags << 16: bit 0 = the trace ends here, bit 1 = the instruction runs past `limit` (so the record is not valid).
// Invariant: the decoder never faults and never changes architectural state; undefined codes become the #UD operation.

import { E, i32, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { Imm, LEAF_FLAGS, LeafFlag, RegisterFile, tableBase } from './decode-tables.ts';
import { F, HEAT_START, OP, OpFlag, SHAPE, SLOT_PAGE_BASE, SLOT_ZERO, STATE, Seg, TABLES } from './layout.ts';
import { ModeKey } from './mode.ts';

/** 256 bytes: what prefix a byte is (PrefixClass), one table per mode, behind the decode tables. */
export const PREFIX_CLASS = TABLES + 0x17_0000;
export const PrefixClass = { None: 0, Segment: 1, OpSize: 2, AddrSize: 3, Lock: 4, Repne: 5, Rep: 6, Rex: 7 } as const;
/** 16-bit addressing: base slot, index slot, default segment for each rm. */
const ADDR16 = PREFIX_CLASS + 512;

/** Fills the small constant tables of the decoder. */
export function writePrefixTables(u8: Uint8Array): void {
  for (const mode of [32, 64] as const) {
    const at = PREFIX_CLASS + (mode === 64 ? 256 : 0);
    for (const b of [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]) u8[at + b] = PrefixClass.Segment;
    u8[at + 0x66] = PrefixClass.OpSize;
    u8[at + 0x67] = PrefixClass.AddrSize;
    u8[at + 0xf0] = PrefixClass.Lock;
    u8[at + 0xf2] = PrefixClass.Repne;
    u8[at + 0xf3] = PrefixClass.Rep;
    if (mode === 64) for (let b = 0x40; b < 0x50; b++) u8[at + b] = PrefixClass.Rex;
  }
  const [bx, bp, si, di, none] = [3 * 8, 5 * 8, 6 * 8, 7 * 8, SLOT_ZERO];
  const forms = [
    [bx, si, Seg.DS],
    [bx, di, Seg.DS],
    [bp, si, Seg.SS],
    [bp, di, Seg.SS],
    [si, none, Seg.DS],
    [di, none, Seg.DS],
    [bp, none, Seg.SS],
    [bx, none, Seg.DS],
  ];
  forms.forEach(([b, x, s], n) => {
    u8[ADDR16 + n * 4] = b!;
    u8[ADDR16 + n * 4 + 1] = x!;
    u8[ADDR16 + n * 4 + 2] = s!;
  });
}

/** Adds `reg_slot` and `decode_one` to a module. `undefinedHandler` is the number of the #UD operation. */
export function defineDecoder(m: ModuleBuilder, mode: 32 | 64, undefinedHandler: number): void {
  m.func('reg_slot', ['i32', 'i32', 'i32'], ['i32'], (f) => {
    // (register number, RegisterFile, REX byte) -> OP.reg / OP.rm byte
    const [n, file, rex] = f.params as unknown as [E, E, E];
    f.if(file.eq(RegisterFile.General), () => f.return(n.shl(3)));
    f.if(file.eq(RegisterFile.Byte), () => {
      f.if(rex.eqz().and(n.shrU(2).eq(1)), () => f.return(n.and(3).shl(3).or(1)));
      f.return(n.shl(3));
    });
    f.if(file.eq(RegisterFile.Slot16), () => f.return(n.shl(4)));
    f.if(file.eq(RegisterFile.Mmx), () => f.return(n.and(7).shl(4)));
    f.return(n);
  });
  m.func('decode_one', ['i32', 'i32', 'i32', 'i32'], ['i32'], (f) => decodeOne(f, mode, undefinedHandler));
}

function decodeOne(f: FunctionBuilder, mode: 32 | 64, undefinedHandler: number): void {
  const [page, offset, rec, limit] = f.params as unknown as [E, E, E, E];
  const long = mode === 64;
  const zero = i32(0);
  const key = f.let(zero.ld32(STATE + F.mode));
  const start = f.let(page.add(offset));
  const p = f.let(start);
  /** Notes for decode-templates.ts */
  const shape = (field: number, v: E | number): void => f.st8(zero, field, v);
  const here = (): E => p.sub(start);
  f.st64(zero, SHAPE.at, zero.zx());
  const b = f.let(p.ld8u());
  const cls = f.let(b.ld8u(PREFIX_CLASS + (long ? 256 : 0)));
  const segment = f.let(i32(-1));
  const opSize = f.let(i32(0));
  const addrSize = f.let(i32(0));
  const column = f.let(i32(0)); // 2 = F3, 3 = F2
  const lock = f.let(i32(0));
  const rex = f.let(i32(0));
  f.set(p, p.add(1));
  f.if(cls, () =>
    f.loop((head) => {
      f.if(cls.ne(PrefixClass.Rex), () => f.set(rex, 0));
      f.if(cls.eq(PrefixClass.OpSize), () => f.set(opSize, 1));
      f.if(cls.eq(PrefixClass.Rex), () => f.set(rex, b));
      f.if(cls.eq(PrefixClass.Segment), () => {
        // 26 2E 36 3E: ES CS SS DS; 64 65: FS GS
        const s = f.let(select(b.ltU(0x60), b.shrU(3).and(3), b.and(7)));
        if (long) f.if(b.geU(0x60), () => f.set(segment, s));
        else f.set(segment, s);
      });
      f.if(cls.eq(PrefixClass.AddrSize), () => f.set(addrSize, 1));
      f.if(cls.eq(PrefixClass.Lock), () => f.set(lock, 1));
      f.if(cls.eq(PrefixClass.Repne), () => f.set(column, 3));
      f.if(cls.eq(PrefixClass.Rep), () => f.set(column, 2));
      f.set(b, p.ld8u());
      f.set(cls, b.ld8u(PREFIX_CLASS + (long ? 256 : 0)));
      f.set(p, p.add(1));
      // sixteen prefixes are too many for any instruction: stop looking
      f.brIf(head, cls.ne(0).and(here().ltU(16)));
    }),
  );
  const opcode = f.let(b);
  const root = f.let(opcode);
  // REX.B makes 90 an XCHG with R8 (SDM vol. 2, NOP): the row of 91 and its kin, with register number 0
  if (long) f.if(b.eq(0x90).and(rex.and(1)), () => f.set(root, 0x91));
  f.if(b.eq(0x0f), () => {
    f.set(opcode, p.ld8u());
    f.set(p, p.add(1));
    f.set(root, opcode.or(0x100));
    f.if(opcode.eq(0x38).or(opcode.eq(0x3a)), () => {
      f.set(root, select(opcode.eq(0x38), i32(0x200), 0x300));
      f.set(opcode, p.ld8u());
      f.set(p, p.add(1));
      f.set(root, root.or(opcode));
    });
  });
  const col = f.let(select(column, column, opSize));
  const leaf = f.let(root.shl(2).or(col).shl(2).ld32(tableBase(mode)));
  f.if(leaf.and(2), () => {
    const m = f.let(p.ld8u());
    const at = f.let(select(m.geU(0xc0), m.and(63).add(8), m.shrU(3).and(7)));
    f.set(leaf, leaf.sub(2).add(at.shl(2)).ld32());
  });
  const finish = (handler: E, flags: E): void => {
    f.st16(rec, OP.handler, handler);
    const end = f.let(p.sub(page));
    f.st8(rec, OP.length, end.sub(offset));
    f.st16(rec, OP.pageOffset, offset);
    f.st32(rec, OP.link, 0);
    f.return(end.and(0xffff).or(flags.or(select(end.gtU(limit), i32(2), 0)).shl(16)));
  };
  f.if(leaf.eqz(), () => finish(i32(undefinedHandler), i32(1)));
  const lf = f.let(leaf.ld32(LEAF_FLAGS));

  // operand size index: 0 = 16, 1 = 32, 2 = 64 bits
  const osz = f.local('i32');
  if (long) {
    f.set(
      osz,
      select(
        rex.and(8).or(lf.and(LeafFlag.ForceDefault)),
        i32(2),
        select(opSize, zero, select(lf.and(LeafFlag.D64), i32(2), i32(1))),
      ),
    );
  } else f.set(osz, opSize.xor(key.and(ModeKey.Code32)));
  // address size: 16, 32 or (long) 64
  const addr16 = f.let(long ? zero : addrSize.xor(key.and(ModeKey.Code32)).eqz());
  const opFlags = f.let(
    select(column.eq(2), i32(OpFlag.Rep), select(column.eq(3), i32(OpFlag.Repne), zero))
      .or(select(lock, i32(OpFlag.Lock), zero))
      .or(select(osz.eqz(), i32(OpFlag.OpSize16), zero))
      .or(select(osz.eq(2), i32(OpFlag.OpSize64), zero))
      .or(select(rex, i32(OpFlag.Rex), zero))
      .or(long ? select(addrSize, i32(OpFlag.Addr32), zero) : select(addr16, i32(OpFlag.Addr16), i32(OpFlag.Addr32))),
  );
  const memory = f.let(i32(0));
  const disp = f.let(i32(0));
  const ripRelative = f.let(i32(0));
  const bytes = f.let(opcode.shl(8).or(rex.shl(16)));
  const defaultSegment = f.let(i32(Seg.DS));
  const slot = (n: E, file: E) => f.call('reg_slot', n, file, rex);
  const regFile = (shift: number) => lf.shrU(shift).and(7);
  f.if(
    lf.and(LeafFlag.ModRm),
    () => {
      const m = f.let(p.ld8u());
      f.set(p, p.add(1));
      shape(SHAPE.head, here());
      f.set(bytes, bytes.or(m));
      f.st8(rec, OP.reg, slot(m.shrU(3).and(7).or(rex.and(4).shl(1)), regFile(LeafFlag.RegShift)));
      f.if(
        m.geU(0xc0).or(lf.and(LeafFlag.NoMemory)),
        () => f.st8(rec, OP.rm, slot(m.and(7).or(rex.and(1).shl(3)), regFile(LeafFlag.RmShift))),
        () => {
          f.set(memory, 1);
          const mod = f.let(m.shrU(6));
          const rm = f.let(m.and(7));
          f.st8(rec, OP.scale, 0);
          f.st8(rec, OP.index, SLOT_ZERO);
          const displaced = (bytes: number) => {
            shape(SHAPE.dispAt, here());
            shape(SHAPE.dispBytes, bytes);
          };
          const disp8 = () => {
            displaced(1);
            f.set(disp, p.ld8s());
            f.set(p, p.add(1));
          };
          const disp16 = () => {
            displaced(2);
            f.set(disp, p.ld16s());
            f.set(p, p.add(2));
          };
          const disp32 = () => {
            displaced(4);
            f.set(disp, p.ld32());
            f.set(p, p.add(4));
          };
          const sixteen = () => {
            const row = f.let(rm.shl(2));
            f.st8(rec, OP.base, row.ld8u(ADDR16));
            f.st8(rec, OP.index, row.ld8u(ADDR16 + 1));
            f.set(defaultSegment, row.ld8u(ADDR16 + 2));
            f.if(mod.eqz().and(rm.eq(6)), () => {
              f.st8(rec, OP.base, SLOT_ZERO);
              f.set(defaultSegment, Seg.DS);
              disp16();
            });
            f.if(mod.eq(1), disp8);
            f.if(mod.eq(2), disp16);
          };
          const thirtyTwo = () => {
            f.if(
              rm.eq(4),
              () => {
                const sib = f.let(p.ld8u());
                f.set(p, p.add(1));
                shape(SHAPE.sib, 1);
                const x = f.let(sib.shrU(3).and(7).or(rex.and(2).shl(2)));
                f.if(x.ne(4), () => {
                  f.st8(rec, OP.index, x.shl(3));
                  f.st8(rec, OP.scale, sib.shrU(6));
                });
                const base = f.let(sib.and(7));
                f.if(
                  base.eq(5).and(mod.eqz()),
                  () => {
                    f.st8(rec, OP.base, SLOT_ZERO);
                    disp32();
                  },
                  () => {
                    f.st8(rec, OP.base, base.or(rex.and(1).shl(3)).shl(3));
                    f.if(rex.and(1).eqz().and(base.shrU(1).eq(2)), () => f.set(defaultSegment, Seg.SS)); // ESP, EBP
                  },
                );
              },
              () =>
                f.if(
                  rm.eq(5).and(mod.eqz()),
                  () => {
                    disp32();
                    if (long) {
                      f.st8(rec, OP.base, SLOT_PAGE_BASE);
                      f.set(ripRelative, 1);
                    } else f.st8(rec, OP.base, SLOT_ZERO);
                  },
                  () => {
                    f.st8(rec, OP.base, rm.or(rex.and(1).shl(3)).shl(3));
                    f.if(rex.and(1).eqz().and(rm.eq(5)), () => f.set(defaultSegment, Seg.SS));
                  },
                ),
            );
            f.if(mod.eq(1), disp8);
            f.if(mod.eq(2), disp32);
          };
          if (long) thirtyTwo();
          else f.if(addr16, sixteen, thirtyTwo);
        },
      );
    },
    () => {
      shape(SHAPE.head, here());
      f.if(lf.and(LeafFlag.OpcodeRegister), () =>
        f.st8(rec, OP.rm, slot(opcode.and(7).or(rex.and(1).shl(3)), regFile(LeafFlag.RmShift))),
      );
      f.if(lf.and(LeafFlag.Accumulator), () => f.st8(rec, OP.rm, 0));
    },
  );
  f.st8(rec, OP.seg, select(segment.ltS(0), defaultSegment, segment));
  f.st8(rec, OP.flags, opFlags);
  f.st32(rec, OP.bytes, bytes.or(zero.ld32(HEAT_START)));

  // immediate
  const imm = f.let(zero.zx());
  const kind = f.let(lf.shrU(LeafFlag.ImmShift).and(15));
  const relative = f.let(i32(0));
  const SIGNED = 1;
  const OTHER = 2;
  const take = (n: number, v: E, how = 0) => {
    shape(SHAPE.immAt, here());
    shape(SHAPE.immBytes, n);
    shape(SHAPE.immSigned, how);
    f.set(imm, v);
    f.set(p, p.add(n));
  };
  const rel = (body: () => void) => () => {
    body();
    f.set(relative, 1);
  };
  const word = () =>
    f.if(
      osz.eqz(),
      () => take(2, p.ld16s().sx(), SIGNED),
      () => take(4, p.ld32s64(), SIGNED),
    );
  const map: number[] = [];
  const bodies: (() => void)[] = [];
  const on = (k: number, body: () => void) => {
    map[k] = bodies.length;
    bodies.push(body);
  };
  on(Imm.None, () => {});
  on(Imm.Sx8, () => take(1, p.ld8s().sx(), SIGNED));
  on(Imm.Zx8, () => take(1, p.ld8u().zx()));
  on(Imm.Z, word);
  on(Imm.Full, () => {
    f.if(osz.eq(2), () => take(8, p.ld64()), word);
  });
  on(Imm.Zx16, () => take(2, p.ld16u().zx()));
  on(Imm.Zx16Zx8, () => take(3, p.ld16u().or(p.ld8u(2).shl(16)).zx()));
  on(Imm.Moffs, () => {
    if (long)
      f.if(
        addrSize,
        () => take(4, p.ld32u64()),
        () => take(8, p.ld64()),
      );
    else
      f.if(
        addr16,
        () => take(2, p.ld16u().zx()),
        () => take(4, p.ld32u64()),
      );
  });
  on(Imm.FarPointer, () =>
    f.if(
      osz.eqz(),
      () => take(4, p.ld16u().zx().or(p.ld16u(2).zx().shl(32n)), OTHER),
      () => take(6, p.ld32u64().or(p.ld16u(4).zx().shl(32n))),
    ),
  );
  on(
    Imm.Rel8,
    rel(() => take(1, p.ld8s().sx(), SIGNED)),
  );
  on(
    Imm.RelZ,
    rel(() => {
      if (long) take(4, p.ld32s64(), SIGNED);
      else word();
    }),
  );
  on(Imm.SegmentOfOpcode, () => {
    shape(SHAPE.immSigned, OTHER);
    f.set(imm, opcode.shrU(3).and(7).zx());
  });
  f.switch(kind, map, bodies, () => {});
  const end = f.let(p.sub(page));
  f.if(relative, () => f.set(imm, imm.add(end.zx())));
  f.if(ripRelative, () => f.set(disp, disp.add(end)));
  shape(SHAPE.fromEnd, relative.or(ripRelative.shl(1)));
  f.st64(rec, OP.imm, imm);
  f.st32(rec, OP.disp, disp);

  // addressing form
  const general = f.local('i32');
  if (long) f.set(general, memory.or(lf.and(LeafFlag.ImplicitMemory)).ne(0).and(segment.geS(0).or(addrSize)));
  else {
    const odd = f.let(key.and(ModeKey.Flat).eqz().or(addr16).or(segment.eq(Seg.CS)).or(segment.geS(Seg.FS)));
    const oddStack = key.and(ModeKey.Flat | ModeKey.Stack32).ne(ModeKey.Flat | ModeKey.Stack32);
    f.set(
      general,
      memory.or(lf.and(LeafFlag.ImplicitMemory)).ne(0).and(odd).or(lf.and(LeafFlag.Stack).ne(0).and(oddStack)),
    );
  }
  const form = f.let(memory.or(general.shl(1)));
  const handler = f.let(leaf.add(osz.shl(2).or(form).shl(1)).ld16u());
  f.if(handler.eqz(), () => finish(i32(undefinedHandler), i32(1)));
  // LOCK needs a lockable instruction with a memory destination
  f.if(lock, () => f.if(lf.and(LeafFlag.Lock).eqz().or(memory.eqz()), () => finish(i32(undefinedHandler), i32(1))));
  finish(handler, select(lf.and(LeafFlag.End), i32(1), zero));
}
