// The page walk of the everyday case, as WebAssembly: every entry present and permitted, in RAM, the tables accessed before.
// Second-level translations are taken from NESTED_TLB, or the walk is not an everyday one.
// `walk_fill` then fills the TLB entry, or says that an entry is absent or forbids the access; anything else it leaves to tlb.ts and system/paging.ts, which know all the rules.
// Invariant: it fills an entry only where the full walk would succeed, and sets accessed and dirty of the last entry as that would
// (SDM vol. 3, chapter 4).

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import {
  F,
  NESTED,
  NESTED_GENERATION,
  NESTED_TLB,
  PAGE_FLAGS,
  PAGE_WRITER,
  PAGE_WRITE_SLOW,
  PageFlag,
  RAM_BASE,
  SEVERAL_WRITERS,
  STATE,
  TLB_ADDEND,
  TLB_BYTES,
  TLB_ENTRIES,
  TLB_FLAGS,
  TLB_FLAG_CODE,
  TLB_INVALID,
  TLB_SUPERVISOR,
  TLB_TAG_EXEC,
  TLB_TAG_READ,
  TLB_TAG_WRITE,
  TlbList,
} from './layout.ts';

const Z = i32(0);
const state = (field: number): E => Z.ld32(STATE + field);
const READ = 0;
const WRITE = 1;
const EXEC = 2;
/** Results of walk_fill besides 0. Bit 0 of the last two is bit 0 of the error code. */
const FILLED = 1;
const NOT_PRESENT = 2;
const FORBIDDEN = 3;

/** Address of the TLB entry for the low half of a linear address. */
export const entryOf = (lo: E, user: E): E =>
  select(user, i32(TLB_SUPERVISOR + TLB_BYTES), TLB_SUPERVISOR).add(lo.shrU(7).and((TLB_ENTRIES - 1) << 5));

/** Adds walk_fill and the wrappers slow_read, slow_write, slow_modify and fetch_fill around the imported js_ ones. */
export function defineWalk(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('walk_fill', ['i32', 'i32', 'i32', 'i32'], ['i32'], (f) => walkFill(f, mode));
  const user = (): E => state(F.cpl).eq(3);
  for (const name of ['slow_read', 'slow_write', 'slow_modify'])
    m.func(
      name,
      ['i32', 'i32', 'i32', 'i32'],
      ['i32'],
      (f) => {
        const [op, lo, hi, info] = f.params as unknown as [E, E, E, E];
        const write = name !== 'slow_read';
        f.block((js) => {
          f.brIf(js, lo.and(4095).add(info.and(255)).gtU(4096));
          if (mode === 64) f.brIf(js, hi.ne(hi.shl(16).shrS(16)));
          const u = f.let(user());
          const entry = f.let(entryOf(lo, u));
          const page = f.let(lo.and(-4096));
          const h = f.let(Z);
          if (write) {
            const known =
              mode === 64
                ? entry.ld64(TLB_TAG_READ).eq(page.zx().or(hi.zx().shl(32n)))
                : entry.ld32(TLB_TAG_READ).eq(page);
            f.if(known, () => {
              f.set(h, f.call('code_write', entry, lo, info.and(255)));
              f.if(h, () => f.return(h));
            });
          }
          const r = f.let(f.call('walk_fill', lo, hi, i32(write ? WRITE : READ), u));
          f.brIf(js, r.eqz());
          f.if(r.ne(FILLED), () => {
            // beyond the flat limit a segment fault comes first
            if (mode === 32) f.brIf(js, lo.or(4095).gtU(state(F.flatLimit)));
            pageFault(f, lo, hi, r, write ? i32(2) : Z, u);
            f.return(Z);
          });
          if (write)
            f.if(entry.ld32(TLB_TAG_WRITE).ne(page), () => {
              f.set(h, f.call('code_write', entry, lo, info.and(255)));
              f.brIf(js, h.eqz());
              f.return(h);
            });
          f.return(lo.add(entry.ld32(TLB_ADDEND)));
        });
        f.return(f.call(`js_${name}`, op, lo, hi, info));
      },
      true,
    );
  m.func(
    'fetch_fill',
    ['i32', 'i32'],
    ['i32'],
    (f) => {
      const [lo, hi] = f.params as unknown as [E, E];
      f.block((js) => {
        if (mode === 64) f.brIf(js, hi.ne(hi.shl(16).shrS(16)));
        const u = f.let(user());
        const r = f.let(f.call('walk_fill', lo, hi, i32(EXEC), u));
        f.brIf(js, r.eqz());
        f.if(r.ne(FILLED), () => {
          // the fetch bit needs PAE tables with execute-disable
          const nxe = state(F.cr4).and(0x20).ne(0).and(state(F.efer).and(0x800).ne(0));
          pageFault(f, lo, hi, r, nxe.shl(4), u);
          f.return(Z);
        });
        f.return(i32(1));
      });
      f.return(f.call('js_fetch_fill', lo, hi));
    },
    true,
  );
}

/** Makes #PF pending for what walk_fill found. `bits` are the error code's bits of the access. */
function pageFault(f: FunctionBuilder, lo: E, hi: E, found: E, bits: E, user: E): void {
  f.st32(Z, STATE + F.cr2, lo);
  f.st32(Z, STATE + F.cr2 + 4, hi);
  f.st32(Z, STATE + F.faultVector, 14);
  f.st32(Z, STATE + F.faultHasError, 1);
  f.st32(Z, STATE + F.faultError, found.and(1).or(bits).or(user.shl(2)));
}

/** Offset of a guest page's entry in NESTED_TLB. */
const nestedEntry = (page: E): E => page.and(NESTED.entries - 1).mul(NESTED.entryBytes);

/** walk_fill(low, high, access, user) -> 0 (not an everyday case), FILLED, NOT_PRESENT or FORBIDDEN. */
function walkFill(f: FunctionBuilder, mode: 32 | 64): void {
  const [lo, hi, access, user] = f.params as unknown as [E, E, E, E];
  const fail = (c: E): void => f.if(c, () => f.return(Z));
  const absent = (entry: E): void => f.if(entry.and(1).eqz(), () => f.return(i32(NOT_PRESENT)));
  const forbid = (c: E): void => f.if(c, () => f.return(i32(FORBIDDEN)));
  fail(state(F.careful));
  const nested = f.let(state(F.nested));
  /** Turns a guest page, a local, into its machine frame. */
  const toMachine = (page: Local): void =>
    f.if(nested, () => {
      fail(page.shrU(20));
      const entry = nestedEntry(page);
      fail(entry.ld32(NESTED_TLB + NESTED.read).ne(Z.ld32(NESTED_GENERATION).or(page)));
      f.set(page, entry.ld32(NESTED_TLB + NESTED.frame));
    });
  const frame = f.let(lo.shrU(12));
  const combined = f.let(i32(6)); // R/W and U/S of all levels
  const leaf = f.let(i32(0x60)); // A, D, G
  const leafAt = f.let(Z); // where it is in machine memory
  const missing = f.let(Z); // A and D that this access sets
  const nx = f.let(Z);
  const cr0 = f.let(state(F.cr0));
  const ramFrames = Z.ld32(TlbList.ramFrames);
  f.if(cr0.shrU(31), () => {
    const cr4 = f.let(state(F.cr4));
    const cr3 = f.let(state(F.cr3));
    const twoLevel = (): void => {
      const directory = f.let(cr3.shrU(12));
      toMachine(directory);
      fail(directory.geU(ramFrames));
      f.set(leafAt, directory.shl(12).add(lo.shrU(22).shl(2)));
      const pde = f.let(leafAt.ld32(RAM_BASE));
      absent(pde);
      f.set(combined, pde);
      f.set(leaf, pde);
      f.if(
        pde.and(0x80).ne(0).and(cr4.and(0x10).ne(0)),
        () => {
          fail(pde.and(0x3f_e000));
          f.set(frame, pde.shrU(22).shl(10).or(lo.shrU(12).and(0x3ff)));
        },
        () => {
          const table = f.let(pde.shrU(12));
          toMachine(table);
          fail(pde.and(0x20).eqz().or(table.geU(ramFrames)));
          f.set(leafAt, table.shl(12).add(lo.shrU(12).and(0x3ff).shl(2)));
          const pte = f.let(leafAt.ld32(RAM_BASE));
          absent(pte);
          f.set(combined, pde.and(pte));
          f.set(leaf, pte);
          f.set(frame, pte.shrU(12));
        },
      );
    };
    const wide = (): void => {
      const efer = f.let(state(F.efer));
      const long = mode === 64 ? i32(1) : f.let(efer.and(0x400));
      const nxe = efer.and(0x800);
      const table: Local = f.let(cr3.shrU(12));
      const e = f.local('i64');
      // bits that must be clear for a frame below 4 GiB; NX only where it is enabled
      const high = f.let(
        select(long, i64(0x000f_ffff_0000_0000n), i64(0x7fff_ffff_0000_0000n)).or(
          select(nxe, i64(0), i64(-(1n << 63n))),
        ),
      );
      const load = (index: E): void => {
        toMachine(table);
        fail(table.geU(ramFrames));
        f.set(leafAt, table.shl(12).add(index.shl(3)));
        f.set(e, leafAt.ld64(RAM_BASE));
        absent(e.lo());
        fail(e.and(high).ne(0n));
      };
      f.block((done) => {
        const step = (level: number): void => {
          const shift = 12 + 9 * (level - 1);
          const index = shift === 39 ? hi.shrU(7) : shift === 30 ? lo.shrU(30).or(hi.shl(2)) : lo.shrU(shift);
          load(index.and(0x1ff));
          f.set(combined, combined.and(e.lo()));
          f.set(nx, nx.or(e.shrU(63n).lo()));
          if (level === 1) {
            f.set(leaf, e.lo());
            f.set(frame, e.lo().shrU(12));
            return;
          }
          f.if(e.lo().and(0x80), () => {
            if (level === 4) {
              f.return(Z);
              return;
            }
            fail(e.lo().and(0x3fff_e000 & ((1 << shift) - 1)));
            f.set(leaf, e.lo());
            const inside = (1 << (shift - 12)) - 1;
            f.set(frame, e.lo().shrU(12).and(~inside).or(lo.shrU(12).and(inside)));
            f.br(done);
          });
          fail(e.lo().and(0x20).eqz());
          f.set(table, e.lo().shrU(12));
        };
        f.if(
          long,
          () => {
            fail(Z.ld32(STATE + F.cr3 + 4));
            step(4);
            step(3);
          },
          () => {
            f.if(
              state(F.pdptesFrom).eq(cr3.and(-32).or(1)),
              () =>
                f.set(
                  e,
                  lo
                    .shrU(30)
                    .shl(3)
                    .ld64(STATE + F.pdpte0),
                ),
              () => {
                toMachine(table);
                fail(table.geU(ramFrames));
                f.set(e, table.shl(12).or(cr3.and(0xfe0)).add(lo.shrU(30).shl(3)).ld64(RAM_BASE));
              },
            );
            absent(e.lo());
            fail(e.and(~0xffff_fe19n).ne(0n));
            f.set(table, e.lo().shrU(12));
          },
        );
        step(2);
        step(1);
      });
    };
    if (mode === 64) wide();
    else f.if(cr4.and(0x20), wide, twoLevel);
    // permissions (SDM vol. 3, 4.6)
    forbid(user.and(combined.and(4).eqz()));
    forbid(access.eq(EXEC).and(nx));
    f.if(access.eq(WRITE), () => {
      const mayWrite = combined.and(2).or(user.or(cr0.and(0x1_0000)).eqz());
      forbid(mayWrite.eqz());
    });
    f.set(missing, select(access.eq(WRITE), i32(0x60), 0x20).and(leaf.xor(-1)));
    f.if(cr4.and(0x80).eqz(), () => f.set(leaf, leaf.and(~0x100)));
  });
  /** May be written as far as the second level goes. */
  const nestedWrite = f.let(i32(1));
  f.if(nested, () => {
    // A and D bits are the long way's: the table must be writable in the second level
    fail(missing);
    fail(frame.shrU(20));
    const tag = f.let(Z.ld32(NESTED_GENERATION).or(frame));
    const entry = f.let(nestedEntry(frame));
    f.set(nestedWrite, entry.ld32(NESTED_TLB + NESTED.write).eq(tag));
    fail(
      entry
        .ld32(NESTED_TLB + NESTED.read)
        .ne(tag)
        .or(access.eq(WRITE).and(nestedWrite.eqz())),
    );
    f.set(frame, entry.ld32(NESTED_TLB + NESTED.frame));
  });
  fail(frame.geU(ramFrames));
  const flags = f.let(frame.ld8u(PAGE_FLAGS));
  fail(flags.and(PageFlag.Device));
  if (mode === 32) fail(lo.or(4095).gtU(state(F.flatLimit)).and(access.ne(EXEC)));
  f.if(missing, () => {
    fail(
      leafAt
        .shrU(12)
        .ld8u(PAGE_FLAGS)
        .and(PageFlag.Code | PageFlag.LogDirty | PageFlag.Device),
    );
    f.st32(leafAt, RAM_BASE, leafAt.ld32(RAM_BASE).or(missing));
    f.set(leaf, leaf.or(missing));
  });
  const entry = f.let(entryOf(lo, user));
  const page = f.let(lo.and(-4096));
  const tag = f.let(page.zx().or(mode === 64 ? hi.zx().shl(32n) : i64(0)));
  const invalid = i64(TLB_INVALID);
  // an entry that is in use stands in the list of its kind already
  const listed = f.let(
    entry
      .ld32(TLB_TAG_READ)
      .and(entry.ld32(TLB_TAG_EXEC))
      .and(1)
      .eqz()
      .and(entry.ld32(TLB_FLAGS).and(1).eq(leaf.and(0x100).shrU(8))),
  );
  const beyond = mode === 32 ? f.let(lo.or(4095).gtU(state(F.flatLimit))) : Z;
  f.st64(entry, TLB_TAG_READ, select(beyond, invalid, tag));
  const mayWrite = f.let(
    combined
      .and(2)
      .or(user.or(cr0.and(0x1_0000)).eqz())
      .ne(0)
      .and(leaf.and(0x40).ne(0))
      .and(nestedWrite)
      .and(beyond.eqz()),
  );
  const slow = flags.and(PAGE_WRITE_SLOW);
  const writable = f.let(mayWrite.and(slow.eqz()));
  f.if(writable, () => {
    const at = f.let(frame.shl(1));
    const number = f.let(entry.sub(TLB_SUPERVISOR).shrU(5).add(1));
    const before = f.let(at.ld16u(PAGE_WRITER));
    f.if(before.ne(number), () => f.st16(at, PAGE_WRITER, select(before, i32(SEVERAL_WRITERS), number)));
  });
  f.st64(entry, TLB_TAG_WRITE, select(writable, tag, invalid));
  f.st64(entry, TLB_TAG_EXEC, select(nx, invalid, tag));
  f.st32(entry, TLB_ADDEND, frame.shl(12).add(RAM_BASE).sub(page));
  const global = f.let(leaf.and(0x100).shrU(8));
  f.st32(entry, TLB_FLAGS, global.or(mayWrite.and(slow.eq(PageFlag.Code)).mul(TLB_FLAG_CODE)));
  f.if(listed, () => f.return(i32(FILLED)));
  const count = f.let(select(global, i32(TlbList.globalCount), TlbList.localCount));
  const list = select(global, i32(TlbList.globals), TlbList.locals);
  const n = f.let(count.ld32());
  f.if(n.geU(TlbList.capacity), () => {
    // no room to remember it: the full walk flushes
    f.st64(entry, TLB_TAG_READ, invalid);
    f.st64(entry, TLB_TAG_WRITE, invalid);
    f.st64(entry, TLB_TAG_EXEC, invalid);
    f.return(Z);
  });
  f.st32(list.add(n.shl(2)), 0, entry);
  f.st32(count, 0, n.add(1));
  f.st32(Z, TlbList.walks, Z.ld32(TlbList.walks).add(1));
  f.return(i32(FILLED));
}
