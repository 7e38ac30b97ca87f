// Emits the interpreter: one WebAssembly module per code width with the main loop, the decoder, traces of operation records, and the handlers.
// Main loop: `op` points at an operation record; its handler number selects inline code (hot handlers) or a function in table 0.
// Records of straight-line code lie one behind the other, so that going on is an addition. A trace ends in a pseudo-operation (number 0) that
// looks the next address up. Invariant: a page offset has at most one live record, found through the page's map; records of overwritten code
// have their handler patched to 0, so that running code meets the change at the next instruction (see code-cache.ts).

import { INSTRUCTIONS } from '../isa/table.ts';
import { defineMultiplyHigh } from '../isa/arithmetic.ts';
import { E, i32, i64, select, type WasmType } from '../wasm/expr.ts';
import type { FunctionBuilder, Label } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { CodePage, CROSS_CODE } from './code-cache.ts';
import { defineCodeWrites } from './code-writes.ts';
import { buildDecodeTables, type DecodeTables } from './decode-tables.ts';
import { defineDecoder } from './decoder.ts';
import { defineFlags } from './flag-functions.ts';
import { Event, defineFastEvents } from './fast-events.ts';
import type { Handler } from './handlers.ts';
import { InterpreterSemantics } from './interpreter-semantics.ts';
import {
  ARENA,
  ARENA_END,
  F,
  FIRST_REGION,
  GPR,
  Next,
  OP,
  OP_BYTES,
  OpFlag,
  PAGE_CODE,
  RAM_BASE,
  REGION_ORIGINALS,
  RunExit,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  SegAttr,
  Stall,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_TAG_EXEC,
} from './layout.ts';
import { ModeKey } from './mode.ts';
import { defineRegionAccess } from './translator/access.ts';
import { defineChain } from './translator/chain.ts';
import { countJump } from './translator/hotness.ts';
import { RegionExit, SHARED_FUNCTIONS } from './translator/interface.ts';
import { defineWalk } from './walk.ts';

/** Next.Cross: dispatch the record behind this one. Only between the interpreter and its own code. */
const NEXT_CROSS = 5;
/** Records of an instruction that spans two pages: itself, the decoded instruction, a look-up, the bytes it was decoded from. */
const CROSS_RECORDS = 4;
/** Records in one trace at most. */
const TRACE_LENGTH = 48;
const Z = i32(0);

export interface InterpreterImage {
  bytes: Uint8Array<ArrayBuffer>;
  /** Names of the imported system routines, without `sys_`. */
  routines: string[];
}
/** A function by name and type. */
export interface SharedFunction {
  name: string;
  params: readonly WasmType[];
  results: readonly WasmType[];
}

let tables: DecodeTables | null = null;
/** The decode tables, built once per process. */
export function decodeTables(): DecodeTables {
  return (tables ??= buildDecodeTables());
}

/** System routines that the instruction table names. */
export function routineNames(): string[] {
  const names = new Set<string>();
  for (const i of INSTRUCTIONS) if (i.routine) names.add(i.routine);
  return [...names];
}

const declarations: Partial<Record<32 | 64, { m: ModuleBuilder; shared: SharedFunction[] }>> = {};
const images: Partial<Record<32 | 64, InterpreterImage>> = {};

/** Functions of the interpreter that translated code may call (SHARED_FUNCTIONS); cheap, since nothing is written for it. */
export function sharedFunctions(mode: 32 | 64): readonly SharedFunction[] {
  return declared(mode).shared;
}
const declared = (mode: 32 | 64): { m: ModuleBuilder; shared: SharedFunction[] } =>
  (declarations[mode] ??= declare(mode));

/** The module for one code width; generated once per process. */
export function interpreterImage(mode: 32 | 64): InterpreterImage {
  return (images[mode] ??= { bytes: declared(mode).m.build(16), routines: routineNames() });
}

function declare(mode: 32 | 64): { m: ModuleBuilder; shared: SharedFunction[] } {
  const t = decodeTables();
  const m = new ModuleBuilder();
  const routines = routineNames();
  // (op, address low, address high, bytes | stack << 8) -> WebAssembly address or 0
  for (const name of ['slow_read', 'slow_write', 'slow_modify'])
    m.import(`js_${name}`, ['i32', 'i32', 'i32', 'i32'], ['i32']);
  m.import('flush_bounce', [], []);
  m.import('js_fetch_fill', ['i32', 'i32'], ['i32']);
  m.import('new_code_page', ['i32'], ['i32']);
  m.import('arena_full', ['i32'], ['i32']);
  m.import('fetch_cross', ['i32'], ['i32']);
  m.import('interrupts_enabled', [], []);
  m.import('place_hot', ['i32'], []);
  m.import('code_changed', ['i32', 'i32'], []);
  for (const name of routines) m.import(`sys_${name}`, ['i32'], ['i32']);

  const ud = t.all.find((h) => h.instruction.routine === 'ud')!;
  defineFlags(m);
  defineMultiplyHigh(m);
  for (const i of INSTRUCTIONS) i.define?.(m);
  defineCodeWrites(m);
  defineWalk(m, mode);
  defineRegionAccess(m, mode);
  defineChain(m, mode);
  defineAddresses(m, mode);
  defineFastEvents(m, mode);
  defineDecoder(m, mode, ud.id);
  defineTraces(m, mode, t.all.length + 1);
  defineBranches(m, mode);
  defineRun(m, mode, t);

  // table 0: index = handler number; inline and impossible handlers have no function
  m.func('no_handler', ['i32'], ['i32'], (f) => f.unreachable());
  m.func('cross', ['i32'], ['i32'], (f) => cross(f, mode));
  m.table = ['no_handler'];
  for (const h of t.all) {
    if (h.hot || !h.modes.has(mode)) {
      m.table[h.id] = 'no_handler';
      continue;
    }
    const name = `h${h.id}`;
    m.table[h.id] = name;
    m.func(name, ['i32'], ['i32'], (f) => {
      const s = semantics(f, mode, h, f.params[0]!, null);
      h.instruction.meaning(s);
      f.return(Z);
    });
  }
  m.table[t.all.length + 1] = 'cross';
  if (m.table.length > FIRST_REGION)
    throw new Error(`There are ${m.table.length} handlers; regions begin at ${FIRST_REGION}.`);
  m.tableSize = FIRST_REGION;
  m.tableSharing = 'export';
  m.export(SHARED_FUNCTIONS);
  const shared = m.declared().filter(({ name }) => SHARED_FUNCTIONS.includes(name));
  return { m, shared };
}

/**
 * An instruction that spans two pages: fetched anew each time (the second page may be mapped elsewhere by now), decoded anew only
 * when its bytes have changed.
 */
function cross(f: FunctionBuilder, mode: 32 | 64): void {
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
  const decoded = f.let(op.add(OP_BYTES));
  const saved = 3 * OP_BYTES;
  const low = f.let(i32(CROSS_CODE).ld64());
  const high = f.let(i32(CROSS_CODE).ld64(7));
  const same = low
    .eq(op.ld64(saved))
    .and(high.eq(op.ld64(saved + 8)))
    .and(decoded.ld16u(OP.handler).ne(0));
  f.if(same, () => f.return(i32(NEXT_CROSS)));
  const r = f.let(f.call('decode_one', i32(CROSS_CODE).sub(offset), offset, decoded, i32(0xffff)));
  f.st16(op, 2 * OP_BYTES + OP.handler, 0);
  f.st16(op, 2 * OP_BYTES + OP.pageOffset, r.and(0xffff));
  f.st64(op, saved, low);
  f.st64(op, saved + 8, high);
  f.return(i32(NEXT_CROSS));
}

function semantics(
  f: FunctionBuilder,
  mode: 32 | 64,
  h: Handler,
  op: E,
  inline: ConstructorParameters<typeof InterpreterSemantics>[8],
) {
  return new InterpreterSemantics(f, mode, h.osz, h.instruction, h.operands, h.memory, h.general, op, inline);
}

function ripAt(mode: 32 | 64, offset: E): E {
  if (mode === 64) return Z.ld64(STATE + SLOT_PAGE_BASE).add(offset.zx());
  return Z.ld32(STATE + SLOT_PAGE_BASE)
    .add(offset)
    .sub(Z.ld32(STATE + F.segBase + Seg.CS * 8));
}

/** ea_offset(op) and seg_linear(segment, offset, bytes | write << 8): the general addressing forms. */
function defineAddresses(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('ea_offset', ['i32'], ['i64'], (f) => {
    const op = f.params[0]!;
    const base = op.ld8u(OP.base).ld64(STATE + GPR);
    const index = op
      .ld8u(OP.index)
      .ld64(STATE + GPR)
      .shl(op.ld8u(OP.scale).zx());
    const sum = f.let(base.add(index).add(op.ld32s64(OP.disp)));
    const flags = f.let(op.ld8u(OP.flags));
    if (mode === 32)
      f.if(
        flags.and(OpFlag.Addr16),
        () => f.return(sum.and(0xffffn)),
        () => f.return(sum.and(0xffffffffn)),
      );
    else f.if(flags.and(OpFlag.Addr32), () => f.return(sum.and(0xffffffffn)));
    f.return(sum);
  });
  m.func('seg_linear', ['i32', 'i64', 'i32'], ['i64'], (f) => {
    const [segment, offset, info] = f.params as unknown as [E, E, E];
    const base = segment.shl(3).ld64(STATE + F.segBase);
    if (mode === 64) {
      f.if(segment.ltU(Seg.FS), () => f.return(offset));
      f.return(base.add(offset));
      return;
    }
    const off = f.let(offset.lo());
    const attr = f.let(segment.shl(2).ld32(STATE + F.segAttr));
    const limit = f.let(segment.shl(2).ld32(STATE + F.segLimit));
    const last = f.let(off.add(info.and(255)).sub(1));
    const key = Z.ld32(STATE + F.mode);
    const cr0pe = Z.ld32(STATE + F.cr0).and(1);
    const real = f.let(key.and(ModeKey.Vm86).or(cr0pe.eqz()));
    const bad = f.let(Z);
    f.if(attr.and(SegAttr.Unusable), () => f.set(bad, 1));
    f.if(real.eqz(), () =>
      f.if(
        info.and(256),
        () => f.if(attr.and(SegAttr.Code | SegAttr.RW).ne(SegAttr.RW), () => f.set(bad, 1)),
        () => f.if(attr.and(SegAttr.Code | SegAttr.RW).eq(SegAttr.Code), () => f.set(bad, 1)),
      ),
    );
    f.if(
      attr.and(SegAttr.Code | SegAttr.DC | SegAttr.NotSystem).eq(SegAttr.DC | SegAttr.NotSystem),
      () => {
        // expand-down: offsets above the limit, up to 64 KiB or 4 GiB
        const top = select(attr.and(SegAttr.DB), i32(-1), i32(0xffff));
        f.set(bad, bad.or(off.leU(limit).or(last.gtU(top)).or(last.ltU(off))));
      },
      // a 4 GiB segment lets accesses wrap around
      () => f.if(limit.ne(-1), () => f.set(bad, bad.or(last.gtU(limit).or(last.ltU(off))))),
    );
    f.if(bad, () => {
      f.st32(Z, STATE + F.faultVector, select(segment.eq(Seg.SS), i32(12), i32(13)));
      f.st32(Z, STATE + F.faultHasError, 1);
      f.st32(Z, STATE + F.faultError, 0);
      f.return(i64(0));
    });
    f.return(base.add(off.zx()).and(0xffffffffn));
  });
}

/** lookup() -> op for F.rip, or 0 with a fault pending; decode_trace(page, offset, map). */
function defineTraces(m: ModuleBuilder, mode: 32 | 64, crossHandler: number): void {
  m.func('decode_trace', ['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [page, off0, map0] = f.params as unknown as [E, E, E];
    const map = f.let(map0);
    const off = f.let(off0);
    f.if(Z.ld32(CodePage.next).gtU(ARENA_END - (TRACE_LENGTH + 6) * OP_BYTES), () =>
      f.set(map, f.call('arena_full', page.sub(RAM_BASE).shrU(12))),
    );
    const first = f.let(Z.ld32(CodePage.next));
    const rec = f.let(first);
    const left = f.let(i32(TRACE_LENGTH));
    f.block((done) => {
      f.loop((head) => {
        const slot = f.let(map.add(off.shl(2)));
        f.brIf(done, slot.ld32());
        const r = f.let(f.call('decode_one', page, off, rec, i32(4096)));
        f.if(r.and(2 << 16), () => {
          // runs into the next page: executed from a copy each time, and only as a trace of its own
          f.if(rec.eq(first), () => {
            f.st16(rec, OP.handler, crossHandler);
            f.st16(rec, OP.pageOffset, off);
            f.st8(rec, OP.length, 1);
            f.st32(slot, 0, rec);
            f.st16(rec, OP_BYTES + OP.handler, 0);
            f.set(rec, rec.add(CROSS_RECORDS * OP_BYTES));
          });
          f.br(done);
        });
        f.st32(slot, 0, rec);
        f.set(rec, rec.add(OP_BYTES));
        f.set(off, r.and(0xffff));
        f.brIf(done, r.and(1 << 16));
        f.brIf(done, off.eq(4096));
        f.set(left, left.sub(1));
        f.brIf(head, left);
      });
    });
    f.st32(rec, OP.handler, 0);
    f.st16(rec, OP.pageOffset, off);
    f.st32(Z, CodePage.next, rec.add(OP_BYTES));
    f.return(first);
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
    const pageBase = f.let(long ? linear.and(-4096n) : linear.and(-4096));
    f.if(long ? pageBase.ne(entry.ld64(TLB_TAG_EXEC)) : pageBase.ne(entry.ld32(TLB_TAG_EXEC)), () =>
      f.if(f.call('fetch_fill', lo, long ? linear.shrU(32n).lo() : Z).eqz(), () => f.return(Z)),
    );
    f.st64(Z, STATE + SLOT_PAGE_BASE, pageBase.zx());
    const page = f.let(pageBase.lo().add(entry.ld32(TLB_ADDEND)));
    const frame = f.let(page.sub(RAM_BASE).shrU(12));
    f.st32(Z, STATE + F.codeFrame, frame);
    const map = f.let(frame.shl(2).ld32(PAGE_CODE));
    f.if(map.eqz(), () => f.set(map, f.call('new_code_page', frame)));
    f.if(map.ld32(CodePage.key).ne(Z.ld32(STATE + F.mode)), () => f.set(map, f.call('new_code_page', frame)));
    const off = f.let(lo.and(4095));
    const op = f.let(map.add(off.shl(2)).ld32());
    f.if(op, () => {
      countJump(f, op, i32(1));
      f.return(op);
    });
    f.return(f.call('decode_trace', page, off, map));
  });
}

/** branch_rip(op): F.rip = direct target. branch_link(op): the target's record if it is known and in this page (then also linked), else 0 with F.rip set. */
function defineBranches(m: ModuleBuilder, mode: 32 | 64): void {
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
}

function defineRun(m: ModuleBuilder, mode: 32 | 64, t: DecodeTables): void {
  m.func(
    'run',
    [],
    ['i32'],
    (f) => {
      const op = f.let(Z);
      const fuel = f.let(Z.ld32(STATE + F.fuel));
      const status = f.local('i32');
      const handler = f.local('i32');
      const spill = (v: E) => f.st32(Z, STATE + F.fuel, v);
      /** Enters the handler of the pending exception if it is an everyday one and instructions are left to run there. */
      const deliver = (lookup: Label, left: E): void => {
        const vector = f.let(Z.ld32(STATE + F.faultVector));
        const usual = vector
          .ltU(32)
          .and(
            Z.ld32(STATE + F.interceptExceptions)
              .shrU(vector)
              .and(1)
              .eqz(),
          )
          .and(fuel.gtS(0));
        const stalled = f.let(select(Z.ld32(Stall.fuel).eq(left), Z.ld32(Stall.count), Z).add(1));
        f.if(usual.and(stalled.ltU(Stall.limit)), () => {
          // a fault restarts its instruction: RF is set in the pushed flags
          const info = Z.ld32(STATE + F.faultHasError).or(Event.Resume);
          f.if(f.call('fast_deliver', vector, info, Z.ld32(STATE + F.faultError), Z.ld64(STATE + F.rip)), () => {
            f.st32(Z, STATE + F.faultVector, -1);
            f.st32(Z, Stall.fuel, left);
            f.st32(Z, Stall.count, stalled);
            f.set(fuel, left);
            f.br(lookup);
          });
        });
      };
      const setRip = () => f.st64(Z, STATE + F.rip, ripAt(mode, op.ld16u(OP.pageOffset)).zx());
      f.loop((lookup) => {
        spill(fuel);
        // a fetch fault belongs to the next instruction: not before its budget has come, nor before the trap of a single step
        f.if(fuel.eqz(), () => f.return(i32(RunExit.Budget)));
        f.set(op, f.call('lookup'));
        f.if(op.eqz(), () => {
          deliver(lookup, fuel);
          f.return(i32(RunExit.Fault));
        });
        f.loop((next) => {
          f.set(fuel, fuel.sub(1));
          f.if(fuel.ltS(0), () => {
            setRip();
            spill(Z);
            f.return(i32(RunExit.Budget));
          });
          f.block((fault) => {
            const map: number[] = [];
            const bodies: (() => void)[] = [];
            // number 0: look up again; not an instruction
            map[0] = 0;
            bodies.push(() => {
              f.set(fuel, fuel.add(1));
              setRip();
              f.br(lookup);
            });
            for (const h of t.hot) {
              if (!h.modes.has(mode)) {
                map[h.id] = -1;
                continue;
              }
              map[h.id] = bodies.length;
              bodies.push(() => {
                const s = semantics(f, mode, h, op, { op, fuel, next, lookup, fault });
                h.instruction.meaning(s);
              });
            }
            f.set(handler, op.ld16u(OP.handler));
            f.loop((dispatch) => {
              const cold = (): void => {
                spill(fuel);
                f.set(status, f.callIndirect(['i32'], ['i32'], handler, op));
                f.set(fuel, Z.ld32(STATE + F.fuel));
                f.if(status, () => {
                  f.if(status.eq(Next.Jump), () => {
                    f.brIf(
                      lookup,
                      Z.ld32(STATE + F.mode)
                        .and(2)
                        .eq(mode === 64 ? 2 : 0),
                    );
                    f.return(i32(RunExit.Mode));
                  });
                  f.if(status.geS(ARENA), () => {
                    // a region with too little fuel: this record is executed by itself, whatever is in its handler's place
                    f.set(op, status);
                    f.set(fuel, fuel.sub(1));
                    f.if(fuel.ltS(0), () => {
                      setRip();
                      spill(Z);
                      f.return(i32(RunExit.Budget));
                    });
                    f.set(handler, op.ld16u(OP.handler));
                    f.if(handler.geU(FIRST_REGION), () => f.set(handler, handler.shl(1).ld16u(REGION_ORIGINALS)));
                    f.br(dispatch);
                  });
                  f.brIf(fault, status.eq(Next.Fault).or(status.eq(RegionExit.Fault)));
                  f.if(status.eq(NEXT_CROSS), () => {
                    f.set(fuel, fuel.add(1));
                    f.set(op, op.add(OP_BYTES));
                    f.br(next);
                  });
                  f.if(status.eq(Next.ExitBefore), () => spill(fuel.add(1)));
                  f.return(i32(RunExit.Intercept));
                });
              };
              f.switch(handler, map, bodies, cold);
            });
            f.set(op, op.add(OP_BYTES));
            f.br(next);
          });
          // a fault: the instruction has not retired; a region says itself where
          f.if(
            status.eq(RegionExit.Fault),
            () => {
              f.set(status, 0);
              f.set(fuel, fuel.sub(1));
            },
            setRip,
          );
          deliver(lookup, fuel.add(1));
          spill(fuel.add(1));
          f.return(i32(RunExit.Fault));
        });
      });
      f.unreachable();
    },
    true,
  );
}
