// Writes to pages that hold decoded code, as WebAssembly: a program that changes itself, or data on the same page as code.
// Invariant: does what HostMemory.noteWrite and CodeCache.invalidate do for a frame whose only reason for slow writes is PageFlag.Code.

import type { E } from '../wasm/expr.ts';
import { i32, select } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { CodePage } from './code-cache.ts';
import {
  OP,
  PAGE_CODE,
  PAGE_FLAGS,
  PAGE_WRITE_SLOW,
  PageFlag,
  RAM_BASE,
  TLB_ADDEND,
  TLB_FLAGS,
  TLB_FLAG_CODE,
} from './layout.ts';

const Z = i32(0);
/** WebAssembly's v128.any_true. */
const ANY_TRUE = 0x53;
/** Bytes of the longest instruction but one: where a record can begin that reaches into the written bytes. */
const REACH = 14;

/** Writes to a page with code before it is looked at whether any is left, and between further looks. */
const FIRST_CHECK = 128;
const CHECK_EVERY = 4096;

/** Adds code_write, which needs the imported code_changed and code_page_written, and code_untouched. */
export function defineCodeWrites(m: ModuleBuilder): void {
  // (TLB entry, linear low, bytes) -> WebAssembly address to write at, or 0 if the write needs the long way
  m.func('code_write', ['i32', 'i32', 'i32'], ['i32'], (f) =>
    visitRecords(f, (record, slot, map, frame, offset) => {
      overwrite(f, record);
      f.if(map.ld32(CodePage.watched), () => {
        f.st32(slot, 0, 0);
        f.callVoid('code_changed', frame, offset);
      });
    }),
  );
  // the same, but 0 also if somebody would have to be told
  m.func('code_untouched', ['i32', 'i32', 'i32'], ['i32'], (f) =>
    visitRecords(f, (record, _slot, map) => {
      f.if(map.ld32(CodePage.watched), () => f.return(Z));
      overwrite(f, record);
    }),
  );
}

/** The record looks itself up again, and is then decoded anew in its place, unless somebody knows it by its address (CodeCache.watch). */
function overwrite(f: FunctionBuilder, record: E): void {
  f.st16(record, OP.handler, 0);
  f.st32(record, OP.link, 0);
}

/** Calls `found` for every record that a write to a page with code overlaps, then returns where to write. */
function visitRecords(f: FunctionBuilder, found: (record: E, slot: E, map: E, frame: E, offset: E) => void): void {
  const [entry, lo, bytes] = f.params as unknown as [E, E, E];
  f.if(entry.ld32(TLB_FLAGS).and(TLB_FLAG_CODE).eqz(), () => f.return(Z));
  const h = f.let(lo.add(entry.ld32(TLB_ADDEND)));
  const frame = f.let(h.sub(RAM_BASE).shrU(12));
  // the frame may have become something else since the entry was made
  f.if(frame.ld8u(PAGE_FLAGS).and(PAGE_WRITE_SLOW).ne(PageFlag.Code), () => f.return(Z));
  const map = f.let(frame.shl(2).ld32(PAGE_CODE));
  f.if(map.eqz(), () => f.return(h));
  // a page that has become data is written again and again: once nothing is left of its code, writes are plain ones
  const writes = f.let(map.ld32(CodePage.writes).add(1));
  f.st32(map, CodePage.writes, writes);
  f.if(writes.and(CHECK_EVERY - 1).eq(FIRST_CHECK), () => {
    f.callVoid('code_page_written', frame);
    f.if(frame.shl(2).ld32(PAGE_CODE).eqz(), () => f.return(h));
  });
  const offset = f.let(lo.and(4095));
  const end = f.let(map.add(offset.add(bytes).shl(2)));
  const from = f.let(offset.sub(select(offset.ltU(REACH), offset, REACH)));
  const slot = f.let(map.add(from.shl(2)));
  // most places hold no record: four at a time
  f.loop((four) => {
    f.block((none) => {
      f.brIf(none, slot.ldV128().v1(ANY_TRUE, 'i32').eqz());
      const at = f.let(slot);
      const last = f.let(select(slot.add(16).ltU(end), slot.add(16), end));
      f.loop((head) => {
        const record = f.let(at.ld32());
        f.if(record.and(record.ld16u(OP.handler).ne(0).mul(-1)), () => {
          const next = at.sub(map).shrU(2).add(record.ld8u(OP.length));
          f.if(next.gtU(offset), () => found(record, at, map, frame, at.sub(map).shrU(2)));
        });
        f.set(at, at.add(4));
        f.brIf(head, at.ltU(last));
      });
    });
    f.set(slot, slot.add(16));
    f.brIf(four, slot.ltU(end));
  });
  f.return(h);
}
