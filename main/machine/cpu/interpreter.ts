// Emits the interpreter: one WebAssembly module per code width with the main loop, the decoder, traces of operation records, and the handlers.
// Main loop: `op` points at an operation record; its handler number selects inline code (hot handlers) or a function in table 0.
// Records of straight-line code lie one behind the other (traces.ts), so that going on is an addition. A trace ends in a pseudo-operation
// (number 0) that looks the next address up. Invariant: records of overwritten code have their handler patched to 0, so that running code meets
// the change at the next instruction.

import { INSTRUCTIONS } from '../isa/table.ts';
import { defineMultiplyHigh } from '../isa/arithmetic.ts';
import { E, i32, select, type WasmType } from '../wasm/expr.ts';
import type { FunctionBuilder, Label } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { defineAddresses } from './addresses.ts';
import { defineCodeWrites } from './code-writes.ts';
import { buildDecodeTables, type DecodeTables } from './decode-tables.ts';
import { defineTemplates } from './decode-templates.ts';
import { defineDecoder } from './decoder.ts';
import { defineFlags } from './flag-functions.ts';
import { Event, defineFastEvents } from './fast-events.ts';
import type { Handler } from './handlers.ts';
import { InterpreterSemantics } from './interpreter-semantics.ts';
import {
  ALONE,
  ARENA,
  BUDGET_ENDED,
  CALL_DEPTH,
  F,
  FIRST_REGION,
  Next,
  OP,
  OP_BYTES,
  PAGE_CODE,
  REGION_ORIGINALS,
  RunExit,
  SLOT_PAGE_BASE,
  STATE,
  Seg,
  Stall,
} from './layout.ts';
import { probe } from './probe.ts';
import { NEXT_CROSS, cross, defineBranches, defineTraces, ripAt } from './traces.ts';
import { defineRegionAccess } from './translator/access.ts';
import { defineChain } from './translator/chain.ts';
import { countJump } from './translator/hotness.ts';
import { countLeft } from './translator/careful-places.ts';
import { JUMPED_TO, LONGEST_WAY, RegionExit, SHARED_FUNCTIONS } from './translator/interface.ts';
import { defineWalk } from './walk.ts';

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

/** Number of the handler of an instruction that spans two pages; its record is followed by that of the instruction itself. */
export function crossHandler(): number {
  return decodeTables().all.length + 1;
}

/** System routines that the instruction table names. */
export function routineNames(): string[] {
  const names = new Set<string>();
  for (const i of INSTRUCTIONS) if (i.routine) names.add(i.routine);
  return [...names];
}

interface Declaration {
  m: ModuleBuilder;
  shared: SharedFunction[];
}
const declarations = new Map<string, Declaration>();
const images = new Map<string, InterpreterImage>();

/** Functions of the interpreter that translated code may call (SHARED_FUNCTIONS); cheap, since nothing is written for it. */
export function sharedFunctions(mode: 32 | 64): readonly SharedFunction[] {
  return declared(mode, true).shared;
}
function declared(mode: 32 | 64, counting: boolean): Declaration {
  const key = `${mode}${counting}`;
  let d = declarations.get(key);
  if (!d) declarations.set(key, (d = declare(mode, counting)));
  return d;
}

/** The module for one code width, with or without `counting` jumps for the translating tier; generated once per process. */
export function interpreterImage(mode: 32 | 64, counting = true): InterpreterImage {
  const key = `${mode}${counting}`;
  let image = images.get(key);
  if (!image) {
    image = { bytes: declared(mode, counting).m.build(16), routines: routineNames() };
    images.set(key, image);
    // what it was written from is not needed any more
    if (!counting) declarations.delete(key);
  }
  return image;
}

function declare(mode: 32 | 64, counting: boolean): Declaration {
  const t = decodeTables();
  const m = new ModuleBuilder();
  m.named = true;
  const routines = routineNames();
  // (op, address low, address high, bytes | stack << 8) -> WebAssembly address or 0
  for (const name of ['slow_read', 'slow_write', 'slow_modify'])
    m.import(`js_${name}`, ['i32', 'i32', 'i32', 'i32'], ['i32']);
  m.import('flush_bounce', [], []);
  m.import('js_fetch_fill', ['i32', 'i32'], ['i32']);
  m.import('new_code_page', ['i32'], ['i32']);
  m.import('segment_full', ['i32'], ['i32']);
  m.import('fetch_cross', ['i32'], ['i32']);
  m.import('interrupts_enabled', [], []);
  // the same behind STI, which holds them off for one more instruction
  m.import('shadow_began', [], []);
  m.import('place_hot', ['i32'], []);
  m.import('place_left', ['i32'], []);
  m.import('code_changed', ['i32', 'i32'], []);
  m.import('code_page_written', ['i32'], []);
  for (const name of routines) m.import(`sys_${name}`, ['i32'], ['i32']);
  if (probe.dispatched) m.import('dispatched', ['i32'], []);

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
  defineTemplates(m, mode);
  defineTraces(m, mode, crossHandler(), counting);
  defineBranches(m, mode);
  defineRun(m, mode, t, counting);

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
  m.table[crossHandler()] = 'cross';
  if (m.table.length > FIRST_REGION)
    throw new Error(`There are ${m.table.length} handlers; regions begin at ${FIRST_REGION}.`);
  m.tableSize = FIRST_REGION;
  m.tableSharing = 'export';
  m.export([...SHARED_FUNCTIONS, 'decode_one', 'decode_trace']);
  const shared = m.declared().filter(({ name }) => SHARED_FUNCTIONS.includes(name));
  return { m, shared };
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

/** Writes: make ALONE the record with the handler it was decoded with, and a look-up of what follows. */
function copyAlone(f: FunctionBuilder, record: E): void {
  f.stV128(Z, ALONE, record.ldV128());
  f.stV128(Z, ALONE + 16, record.ldV128(16));
  const handler = f.let(record.ld16u(OP.handler));
  f.if(handler.geU(FIRST_REGION), () => f.st16(Z, ALONE + OP.handler, handler.shl(1).ld16u(REGION_ORIGINALS)));
  f.st32(Z, ALONE + OP_BYTES + OP.handler, 0);
  f.st16(Z, ALONE + OP_BYTES + OP.pageOffset, record.ld16u(OP.pageOffset).add(record.ld8u(OP.length)));
  f.st32(Z, ALONE + OP_BYTES + OP.link, 0);
}

function defineRun(m: ModuleBuilder, mode: 32 | 64, t: DecodeTables, counting: boolean): void {
  m.func(
    'run',
    [],
    ['i32'],
    (f) => {
      f.st32(Z, CALL_DEPTH, 0);
      const op = f.let(Z);
      const fuel = f.let(Z.ld32(STATE + F.fuel));
      const status = f.local('i32');
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
      /** F.rip has been set by a jump: if it is in the page that is executing, its record may be found without a look-up. */
      const goNear = (next: Label): void => {
        const rip = mode === 64 ? f.let(Z.ld64(STATE + F.rip)) : f.let(Z.ld32(STATE + F.rip));
        const linear = mode === 64 ? rip : f.let(rip.add(Z.ld32(STATE + F.segBase + Seg.CS * 8)));
        const same =
          mode === 64
            ? linear.and(-4096n).eq(Z.ld64(STATE + SLOT_PAGE_BASE))
            : linear
                .and(-4096)
                .eq(Z.ld32(STATE + SLOT_PAGE_BASE))
                .and(rip.leU(Z.ld32(STATE + F.segLimit + Seg.CS * 4)));
        f.if(same, () => {
          const map = f.let(
            Z.ld32(STATE + F.codeFrame)
              .shl(2)
              .ld32(PAGE_CODE),
          );
          const target = f.let(map.add(linear.lo().and(4095).shl(2)).ld32());
          f.if(map.and(target).ne(0), () => {
            f.set(op, target);
            if (counting) countJump(f, target, i32(1), fuel);
            f.br(next);
          });
        });
      };
      const setRip = () => f.st64(Z, STATE + F.rip, ripAt(mode, op.ld16u(OP.pageOffset)).zx());
      f.loop((lookup) => {
        spill(fuel);
        // a fetch fault belongs to the next instruction: not before its budget has come, nor before the trap of a single step
        f.if(fuel.eqz(), () => {
          f.st32(Z, BUDGET_ENDED, 1);
          f.return(i32(RunExit.Budget));
        });
        f.set(op, f.call('lookup'));
        f.st32(Z, BUDGET_ENDED, 0);
        f.if(op.eqz(), () => {
          deliver(lookup, fuel);
          f.return(i32(RunExit.Fault));
        });
        f.loop((next) => {
          f.set(fuel, fuel.sub(1));
          f.if(fuel.ltS(0), () => {
            setRip();
            spill(Z);
            f.st32(Z, BUDGET_ENDED, 1);
            f.return(i32(RunExit.Budget));
          });
          if (probe.dispatched) f.callVoid('dispatched', op);
          f.block((near) => {
            f.block((fault) => {
              const map: number[] = [];
              const bodies: (() => void)[] = [];
              // number 0: look up again; not an instruction
              map[0] = 0;
              bodies.push(() => {
                f.set(fuel, fuel.add(1));
                const target = f.let(op.ld32(OP.link));
                f.if(target.eqz(), () => {
                  f.set(target, f.call('join', op));
                  f.if(target.eqz(), () => {
                    setRip();
                    f.br(lookup);
                  });
                });
                // going straight on where a trace ended (a record without length) is no jump, but a jump to overwritten code comes by here, and
                // behind what a region left to the interpreter, not for want of fuel, another may begin
                const behindRegion = op.eq(ALONE + OP_BYTES).and(fuel.gtS(LONGEST_WAY));
                if (counting) countJump(f, target, op.ld8u(OP.length).ne(0).or(behindRegion), fuel);
                f.set(op, target);
                f.br(next);
              });
              /** On to the record behind this one; written at the end of every body, since one place for all would be a jump more. */
              const goOn = (): void => {
                f.set(op, op.add(OP_BYTES));
                f.br(next);
              };
              for (const h of t.hot) {
                if (!h.modes.has(mode)) {
                  map[h.id] = -1;
                  continue;
                }
                map[h.id] = bodies.length;
                bodies.push(() => {
                  const s = semantics(f, mode, h, op, { op, fuel, next, lookup, near, fault, counting });
                  h.instruction.meaning(s);
                  goOn();
                });
              }
              const handler = f.let(op.ld16u(OP.handler));
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
                    f.if(status.and(JUMPED_TO), () => {
                      f.set(op, status.sub(JUMPED_TO));
                      f.br(next);
                    });
                    // a region with too little fuel: this record is executed by itself, whatever is in its handler's place
                    if (counting) f.if(fuel.gtS(LONGEST_WAY), () => countLeft(f, status));
                    copyAlone(f, status);
                    f.set(op, ALONE);
                    f.br(next);
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
          goNear(next);
          f.br(lookup);
        });
      });
      f.unreachable();
    },
    true,
  );
}
