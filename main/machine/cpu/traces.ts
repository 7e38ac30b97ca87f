// From an address to its operation record: look-up, decoding of straight-line code into traces, direct branches, instructions that span two
// pages. Invariant: a page offset has at most one live record, found through the page's map; a map may also hold a record whose code has been
// overwritten (its handler is 0), which is decoded anew in its place when it is next wanted.

import { E, i32 } from '../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { CodePage, CROSS_CODE } from './code-cache.ts';
import { TEMPLATE_REACH, completeTemplate, templateKey } from './decode-templates.ts';
import {
  BUDGET_ENDED,
  CODE_GENERATION,
  F,
  FOUND,
  Found,
  Next,
  OP,
  OP_BYTES,
  OpFlag,
  PAGE_CODE,
  RAM_BASE,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_EXEC,
} from './layout.ts';
import { countJump } from './translator/hotness.ts';

/** Next.Cross: dispatch the record behind this one. Only between the interpreter and its own code. */
export const NEXT_CROSS = 5;
/** Records of an instruction that spans two pages: itself, the decoded instruction, a look-up, the bytes it was decoded from. */
const CROSS_RECORDS = 4;
/** Of those, the decoded instruction, and its bytes. */
export const CROSS_DECODED = OP_BYTES;
export const CROSS_BYTES = 3 * OP_BYTES;
/** Records in one trace at most. */
const TRACE_LENGTH = 48;
/** Bits of decode_one's result above the end offset. */
const ENDS = 1 << 16;
const CROSSES = 2 << 16;
const Z = i32(0);

/**
 * Writes: decode the instruction at page + off into the record `rec`. Sets `off` to its end, `ends` to whether a trace ends there; calls
 * `crosses` (which must leave) with `off` unchanged and an invalid record if it runs into the next page.
 */
function decodeRecord(
  f: FunctionBuilder,
  mode: 32 | 64,
  at: { page: E; off: Local; rec: E; key: E; ends: Local },
  crosses: () => void,
): void {
  const { page, off, rec, ends } = at;
  f.block((done) => {
    f.block((unknown) => {
      f.brIf(unknown, off.gtU(4096 - TEMPLATE_REACH), false);
      completeTemplate(f, mode, at, unknown);
      f.br(done);
    });
    const r = f.let(f.call('decode_one', page, off, rec, i32(4096)));
    f.if(r.and(CROSSES), crosses);
    f.if(off.leU(4096 - TEMPLATE_REACH), () => f.callVoid('remember_template', page.add(off), rec, r));
    f.set(off, r.and(0xffff));
    f.set(ends, r.and(ENDS));
  });
}

/**
 * Adds decode_trace(page, offset, map) -> op, decode_again(page, offset, map, op) -> 1 or 0, and lookup() -> op for F.rip, or 0 with a fault pending.
 * `counting`: jumps are counted for the translating tier.
 */
export function defineTraces(m: ModuleBuilder, mode: 32 | 64, crossHandler: number, counting: boolean): void {
  m.func('decode_trace', ['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [page, off0, map0] = f.params as unknown as [E, E, E];
    const map = f.let(map0);
    const off = f.let(off0);
    const room = Z.ld32(CodePage.end).sub((TRACE_LENGTH + 6) * OP_BYTES);
    f.if(
      Z.ld32(CodePage.next).gtU(room),
      () => f.set(map, f.call('segment_full', page.sub(RAM_BASE).shrU(12))),
      undefined,
      false,
    );
    const first = f.let(Z.ld32(CodePage.next));
    const rec = f.let(first);
    const left = f.let(i32(TRACE_LENGTH));
    const key = f.let(templateKey());
    const ends = f.local('i32');
    f.block((done) => {
      f.loop((head) => {
        const slot = f.let(map.add(off.shl(2)));
        f.brIf(done, slot.ld32());
        decodeRecord(f, mode, { page, off, rec, key, ends }, () => {
          // executed from a copy each time, and only as a trace of its own
          f.if(rec.eq(first), () => {
            f.st16(rec, OP.handler, crossHandler);
            f.st16(rec, OP.pageOffset, off);
            f.st8(rec, OP.length, 1);
            f.st32(slot, 0, rec);
            f.st32(rec, OP_BYTES + OP.handler, 0);
            f.set(rec, rec.add(CROSS_RECORDS * OP_BYTES));
          });
          f.br(done);
        });
        f.st32(slot, 0, rec);
        f.set(rec, rec.add(OP_BYTES));
        f.brIf(done, ends);
        f.brIf(done, off.eq(4096));
        f.set(left, left.sub(1));
        f.brIf(head, left);
      });
    });
    f.st32(rec, OP.handler, 0);
    f.st16(rec, OP.pageOffset, off);
    f.st32(rec, OP.link, 0);
    f.st32(Z, CodePage.next, rec.add(OP_BYTES));
    f.return(first);
  });
  m.func('decode_again', ['i32', 'i32', 'i32', 'i32'], ['i32'], (f) => {
    const [page, off0, map, op] = f.params as unknown as [E, E, E, E];
    const off = f.let(off0);
    const rec = f.let(op);
    const ends = f.local('i32');
    const key = f.let(templateKey());
    const failed = (): void => {
      f.st16(rec, OP.handler, 0);
      f.return(rec.ne(op));
    };
    f.loop((head) => {
      decodeRecord(f, mode, { page, off, rec, key, ends }, failed);
      f.if(ends, () => f.return(i32(1)));
      f.set(rec, rec.add(OP_BYTES));
      // the record behind it must be what follows now
      f.if(off.ne(rec.ld16u(OP.pageOffset)), () => {
        f.set(rec, rec.sub(OP_BYTES));
        failed();
      });
      // what was overwritten together is decoded together
      f.if(off.ltU(4096), () =>
        f.if(rec.ld16u(OP.handler).eqz(), () => f.brIf(head, map.add(off.shl(2)).ld32().eq(rec))),
      );
    });
    f.return(i32(1));
  });
  m.func('lookup', [], ['i32'], (f) => {
    const long = mode === 64;
    let linear: E;
    if (long) linear = f.let(Z.ld64(STATE + F.rip));
    else {
      const rip = f.let(Z.ld32(STATE + F.rip));
      f.if(rip.gtU(Z.ld32(STATE + F.segLimit + Seg.CS * 4)), () => {
        f.st32(Z, STATE + F.faultVector, 13);
        f.st32(Z, STATE + F.faultHasError, 1);
        f.st32(Z, STATE + F.faultError, 0);
        f.return(Z);
      });
      linear = f.let(rip.add(Z.ld32(STATE + F.segBase + Seg.CS * 8)));
    }
    const lo = linear.lo();
    const entry = f.let(Z.ld32(STATE + F.tlb).add(lo.shrU(7).and((TLB_ENTRIES - 1) << 5)));
    // asked for by the linear address, so that it is here by the time that the TLB has said where that is
    const found = f.let(
      lo
        .xor(lo.shrU(12))
        .and(Found.entries - 1)
        .shl(Math.log2(Found.bytes)),
    );
    const pageBase = f.let(long ? linear.and(-4096n) : linear.and(-4096));
    f.if(long ? pageBase.ne(entry.ld64(TLB_TAG_EXEC)) : pageBase.ne(entry.ld32(TLB_TAG_EXEC)), () =>
      f.if(f.call('fetch_fill', lo, long ? linear.shrU(32n).lo() : Z).eqz(), () => f.return(Z)),
    );
    f.st64(Z, STATE + SLOT_PAGE_BASE, pageBase.zx());
    const page = f.let(pageBase.lo().add(entry.ld32(TLB_ADDEND)));
    const frame = f.let(page.sub(RAM_BASE).shrU(12));
    f.st32(Z, STATE + F.codeFrame, frame);
    const here = f.let(
      page
        .add(lo.and(4095))
        .zx()
        .or(
          Z.ld32(STATE + F.mode)
            .zx()
            .shl(32n),
        ),
    );
    const generation = Z.ld32(CODE_GENERATION);
    f.if(
      found
        .ld64(FOUND + Found.place)
        .eq(here)
        .and(found.ld32(FOUND + Found.generation).eq(generation)),
      () => {
        const known = f.let(found.ld32(FOUND + Found.record));
        f.if(
          known.ld16u(OP.handler),
          () => {
            if (counting) countJump(f, known, Z.ld32(BUDGET_ENDED).eqz());
            f.return(known);
          },
          undefined,
          true,
        );
      },
    );
    const map = f.let(frame.shl(2).ld32(PAGE_CODE));
    f.if(map.eqz(), () => f.set(map, f.call('new_code_page', frame)));
    f.if(map.ld32(CodePage.key).ne(Z.ld32(STATE + F.mode)), () => f.set(map, f.call('new_code_page', frame)));
    const off = f.let(lo.and(4095));
    const op = f.let(map.add(off.shl(2)).ld32());
    f.if(op, () => {
      f.if(
        op.ld16u(OP.handler),
        () => {
          f.st64(found, FOUND + Found.place, here);
          f.st32(found, FOUND + Found.generation, generation);
          f.st32(found, FOUND + Found.record, op);
          if (counting) countJump(f, op, Z.ld32(BUDGET_ENDED).eqz());
          f.return(op);
        },
        undefined,
        true,
      );
      // overwritten code (code-writes.ts)
      f.if(f.call('decode_again', page, off, map, op), () => f.return(op));
      f.st32(map.add(off.shl(2)), 0, 0);
    });
    f.return(f.call('decode_trace', page, off, map));
  });
}

/** branch_rip(op): F.rip = direct target. branch_link(op): the target's record if it is known and in this page (then also linked), else 0 with F.rip set. join(op): for
 * a record without a handler the live record at its offset (then also linked), or 0. */
export function defineBranches(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('branch_rip', ['i32'], [], (f) => {
    const op = f.params[0]!;
    const target = op.ld64(OP.imm);
    if (mode === 64) {
      f.st64(Z, STATE + F.rip, Z.ld64(STATE + SLOT_PAGE_BASE).add(target));
      return;
    }
    const rip = f.let(ripAt(32, target.lo()));
    f.if(op.ld8u(OP.flags).and(OpFlag.OpSize16), () => f.set(rip, rip.and(0xffff)));
    f.st64(Z, STATE + F.rip, rip.zx());
  });
  m.func('branch_link', ['i32'], ['i32'], (f) => {
    const op = f.params[0]!;
    const target = f.let(op.ld64(OP.imm));
    f.if(target.ltU(4096n), () => {
      const map = f.let(
        Z.ld32(STATE + F.codeFrame)
          .shl(2)
          .ld32(PAGE_CODE),
      );
      f.if(map, () => {
        const t = f.let(map.add(target.lo().shl(2)).ld32());
        f.if(t, () => {
          f.st32(op, OP.link, t);
          f.return(t);
        });
      });
    });
    f.callVoid('branch_rip', op);
    f.return(Z);
  });
  m.func('join', ['i32'], ['i32'], (f) => {
    const op = f.params[0]!;
    const offset = f.let(op.ld16u(OP.pageOffset));
    f.if(offset.ltU(4096), () => {
      const map = f.let(
        Z.ld32(STATE + F.codeFrame)
          .shl(2)
          .ld32(PAGE_CODE),
      );
      f.if(map, () => {
        const target = f.let(map.add(offset.shl(2)).ld32());
        f.if(target, () =>
          f.if(target.ld16u(OP.handler), () => {
            f.st32(op, OP.link, target);
            f.return(target);
          }),
        );
      });
    });
    f.return(Z);
  });
}

/**
 * An instruction that spans two pages: fetched anew each time (the second page may be mapped elsewhere by now), decoded anew only
 * when its bytes have changed.
 */
export function cross(f: FunctionBuilder, mode: 32 | 64): void {
  const op = f.params[0]!;
  const offset = f.let(op.ld16u(OP.pageOffset));
  const room = f.let(i32(4096).sub(offset));
  f.st64(Z, STATE + F.rip, ripAt(mode, offset).zx());
  const base = STATE + SLOT_PAGE_BASE;
  const next = f.let(mode === 64 ? Z.ld64(base).add(4096n) : Z.ld32(base).add(4096));
  const entry = f.let(
    Z.ld32(STATE + F.tlb).add(
      next
        .lo()
        .shrU(7)
        .and((TLB_ENTRIES - 1) << 5),
    ),
  );
  f.if(next.ne(mode === 64 ? entry.ld64(TLB_TAG_EXEC) : entry.ld32(TLB_TAG_EXEC)), () =>
    f.if(f.call('fetch_cross', op).eqz(), () => f.return(i32(Next.Fault))),
  );
  const here = Z.ld32(STATE + F.codeFrame)
    .shl(12)
    .add(offset)
    .add(RAM_BASE);
  f.copy(i32(CROSS_CODE), here, room);
  f.copy(i32(CROSS_CODE).add(room), next.lo().add(entry.ld32(TLB_ADDEND)), i32(15).sub(room));
  const decoded = f.let(op.add(CROSS_DECODED));
  const saved = CROSS_BYTES;
  const low = f.let(i32(CROSS_CODE).ld64());
  const high = f.let(i32(CROSS_CODE).ld64(7));
  const same = low
    .eq(op.ld64(saved))
    .and(high.eq(op.ld64(saved + 8)))
    .and(decoded.ld16u(OP.handler).ne(0));
  f.if(same, () => f.return(i32(NEXT_CROSS)));
  const r = f.let(f.call('decode_one', i32(CROSS_CODE).sub(offset), offset, decoded, i32(0xffff)));
  f.st32(op, 2 * OP_BYTES + OP.handler, 0);
  f.st16(op, 2 * OP_BYTES + OP.pageOffset, r.and(0xffff));
  f.st32(op, 2 * OP_BYTES + OP.link, 0);
  f.st64(op, saved, low);
  f.st64(op, saved + 8, high);
  f.return(i32(NEXT_CROSS));
}

/** F.rip of an offset in the executing page: i32, in 64-bit mode i64. */
export function ripAt(mode: 32 | 64, offset: E): E {
  if (mode === 64) return Z.ld64(STATE + SLOT_PAGE_BASE).add(offset.zx());
  return Z.ld32(STATE + SLOT_PAGE_BASE)
    .add(offset)
    .sub(Z.ld32(STATE + F.segBase + Seg.CS * 8));
}
