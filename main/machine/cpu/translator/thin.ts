// Writes one region as a WebAssembly function: a loop whose head checks the fuel for a whole pass, the meanings one behind the other, and one exit.
// Every meaning is written twice: once to see what it does (registers, flags, memory), then for good with dead flags left out.
// Invariant: nothing observable is in a local when the function returns, and it returns only between two instructions (or with a fault pending).

import type { CpuCore } from '../core.ts';
import { i32 } from '../../wasm/expr.ts';
import type { FunctionBuilder, Local } from '../../wasm/function.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { F, GPR, SLOT_PAGE_BASE, STATE, Seg } from '../layout.ts';
import { RegionExit, type RegionFunction, type RegionModule, type RegionRequest } from './interface.ts';
import { findRegion, type RegionInstruction } from './region.ts';
import {
  RegionExit as OldExit,
  TranslatorSemantics,
  ripOf,
  type Facts,
  type RegionState,
} from './translator-semantics.ts';

const Z = i32(0);

export interface TranslatedRegion {
  /**
   * Runs from the region's first instruction. Before: F.rip is its address, SLOT_PAGE_BASE the page it is executed from, F.fuel the
   * instructions allowed. After: F.rip, F.fuel and the rest of the state are exact; the answer is a RegionExit.
   */
  enter(): number;
  /** Instructions in it. */
  readonly length: number;
  /** Instructions whose flags nobody can see and that therefore set none. */
  readonly flagsDropped: number;
  /** A branch in it goes back to its start. */
  readonly loops: boolean;
}

/** Which instructions set flags that nobody can see. What can leave shows the flags; the end of the region and its head do, too. */
function deadFlags(facts: readonly Facts[]): boolean[] {
  const dead: boolean[] = [];
  let live = true;
  for (let i = facts.length - 1; i >= 0; i--) {
    const x = facts[i]!;
    dead[i] = !live && !x.accessesMemory;
    live = x.readsFlags || x.accessesMemory || x.jumps || (live && !x.setsFlags);
  }
  return dead;
}

/** Writes the function's body. `registers` are those kept in locals, `written` those to spill. */
function write(
  f: FunctionBuilder,
  mode: 32 | 64,
  region: readonly RegionInstruction[],
  registers: ReadonlySet<number>,
  written: ReadonlySet<number>,
  dead: readonly boolean[],
): Facts[] {
  const facts: Facts[] = [];
  const load = (offset: number): Local => f.let(Z.ld64(STATE + offset));
  const locals = Array.from({ length: 16 }, (_, n) => (registers.has(n) ? load(GPR + n * 8) : null));
  const [ccR, ccA, ccB] = [load(F.ccR), load(F.ccA), load(F.ccB)];
  const kindLocal = f.let(Z.ld32(STATE + F.ccOp));
  const fuel = f.let(Z.ld32(STATE + F.fuel).add(1));
  const tlb = f.let(Z.ld32(STATE + F.tlb));
  const pageBase = load(SLOT_PAGE_BASE);
  const [leave, status, ripOffset] = [f.let(Z), f.local('i32'), f.local('i64')];
  const start = region[0]!.record.pageOffset;
  f.block((exit) => {
    f.loop((head) => {
      const state: RegionState = {
        ...{ registers: locals, ccR, ccA, ccB, kindLocal, kind: null, fuel, leave, pageBase, tlb, status, ripOffset },
        ...{ exit, head, start },
      };
      f.if(fuel.ltS(region.length), () => {
        f.set(status, OldExit.Fuel);
        f.set(ripOffset, BigInt(start));
        f.br(exit);
      });
      let last: TranslatorSemantics | null = null;
      region.forEach(({ record, handler }, n) => {
        f.scope(() => {
          last = new TranslatorSemantics(f, mode, handler, record, state, n, dead[n]!);
          handler.instruction.meaning(last);
          last.finish();
          facts.push(last.facts);
        });
      });
      const end = region.at(-1)!.record;
      last!.leaveFor(OldExit.Left, BigInt(end.pageOffset + end.length), region.length);
    });
  });
  for (const n of written) f.st64(Z, STATE + GPR + n * 8, locals[n]!);
  f.st64(Z, STATE + F.ccR, ccR);
  f.st64(Z, STATE + F.ccA, ccA);
  f.st64(Z, STATE + F.ccB, ccB);
  f.st32(Z, STATE + F.ccOp, kindLocal);
  f.st32(Z, STATE + F.fuel, fuel);
  const csBase = Z.ld32(STATE + F.segBase + Seg.CS * 8);
  f.st64(Z, STATE + F.rip, ripOf(mode, pageBase, ripOffset, csBase));
  f.if(status.eq(OldExit.Fuel), () => f.return(i32(region[0]!.record.address)));
  f.if(status.eq(OldExit.Fault), () => f.return(i32(RegionExit.Fault)));
  f.return(i32(RegionExit.Left));
  return facts;
}

export function translateRegions(
  core: CpuCore,
  mode: 32 | 64,
  requests: readonly RegionRequest[],
): RegionModule | null {
  const functions: RegionFunction[] = [];
  const m = new ModuleBuilder();
  for (const name of ['slow_read', 'slow_write', 'slow_modify']) m.import(name, ['i32', 'i32', 'i32', 'i32'], ['i32']);
  m.import('flush_bounce', [], []);
  const every = new Set(Array.from({ length: mode === 64 ? 16 : 8 }, (_, n) => n));
  for (const request of requests) {
    const region = findRegion(core.mem, request.frame, request.record);
    if (region.length < 2) continue;
    const none = region.map(() => false);
    let facts: Facts[] = [];
    const t = new ModuleBuilder();
    for (const name of ['slow_read', 'slow_write', 'slow_modify'])
      t.import(name, ['i32', 'i32', 'i32', 'i32'], ['i32']);
    t.import('flush_bounce', [], []);
    t.func(
      'enter',
      ['i32'],
      ['i32'],
      (f) => {
        facts = write(f, mode, region, every, every, none);
      },
      true,
    );
    t.build(16);
    const registers = new Set(facts.flatMap((x) => [...x.read]));
    const written = new Set(facts.flatMap((x) => [...x.written]));
    const dead = deadFlags(facts);
    const name = `r${functions.length}`;
    m.func(name, ['i32'], ['i32'], (f) => void write(f, mode, region, registers, written, dead), true);
    functions.push({
      name,
      request,
      offsets: region.map(({ record }) => record.pageOffset),
      instructions: region.length,
    });
  }
  return functions.length === 0 ? null : { bytes: m.build(16), functions };
}
