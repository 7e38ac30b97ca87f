// Where the indirect jumps and calls of a page probably go inside it: places that were looked up (their records are warm) and that nothing else in
// the page goes to directly. Invariant: a guess decides only what is translated together; generated code compares the real target with each.

import type { Handler } from '../handlers.ts';
import { decodeTables } from '../interpreter.ts';
import { OP } from '../layout.ts';
import type { CodeMemory } from './interface.ts';
import { readOperationRecord } from './operation-record.ts';

/** Targets of one jump, nearest first, and how far away the cases of a switch may be, in bytes. */
const JUMP_TARGETS = 24;
const JUMP_DISTANCE = 1024;
/** Targets of one call. */
const CALL_TARGETS = 6;

export interface IndirectTargets {
  /** Page offsets where a call or a jump at a page offset seems to go, ascending. */
  callsFrom(offset: number): readonly number[];
  jumpsFrom(offset: number): readonly number[];
}

const isDirect = ({ operands }: Handler): boolean => operands[0]?.kind === 'J';

/** @param map address of the page's map of records */
export function findIndirectTargets(mem: CodeMemory, map: number): IndirectTargets {
  const handlers = decodeTables().all;
  /** Every place by its heat; most places have never been jumped to and so have the heat they began with. */
  const byHeat = new Map<number, number[]>();
  const jumpedTo = new Set<number>();
  const called = new Set<number>();
  const behindCall = new Set<number>();
  for (let at = 0; at < 4096; at++) {
    const address = mem.u32[(map >> 2) + at]!;
    if (address === 0) continue;
    const heat = mem.view.getUint8(address + OP.heat);
    const same = byHeat.get(heat);
    if (same) same.push(at);
    else byHeat.set(heat, [at]);
    const record = readOperationRecord(mem.view, address);
    const handler = handlers[record.handler - 1];
    if (!handler) continue;
    const { name } = handler.instruction;
    if (name === 'call') behindCall.add(at + record.length);
    if (isDirect(handler) && record.imm >= 0n && record.imm < 4096n)
      (name === 'call' ? called : jumpedTo).add(Number(record.imm));
  }
  const cold = [...byHeat.values()].toSorted((a, b) => b.length - a.length)[0] ?? [];
  const never = new Set(cold);
  const warm = [...byHeat.values()]
    .flat()
    .filter((at) => !never.has(at) && !jumpedTo.has(at) && !behindCall.has(at))
    .toSorted((a, b) => a - b);
  const indirect = warm.filter((at) => !called.has(at));
  const nearest = (places: readonly number[], to: number, most: number): number[] =>
    places
      .toSorted((a, b) => Math.abs(a - to) - Math.abs(b - to))
      .slice(0, most)
      .toSorted((a, b) => a - b);
  return {
    callsFrom: (offset) => nearest(warm, offset, CALL_TARGETS),
    jumpsFrom: (offset) =>
      nearest(
        indirect.filter((at) => Math.abs(at - offset) < JUMP_DISTANCE),
        offset,
        JUMP_TARGETS,
      ),
  };
}
