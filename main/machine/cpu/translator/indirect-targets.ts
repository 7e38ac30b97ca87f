// Where the indirect jumps and calls of a page probably go inside it: places that were looked up (their records are warm) and that nothing else in
// the page goes to directly. Invariant: a guess decides only what is translated together; generated code compares the real target with each.

import type { Handler } from '../handlers.ts';
import { decodeTables } from '../interpreter.ts';
import { FIRST_REGION, OP, PAGE } from '../layout.ts';
import type { CodeMemory } from './interface.ts';
import { readOperationRecord } from './operation-record.ts';

/** Targets of one jump, nearest first, and how far away the cases of a switch may be, in bytes. */
const JUMP_TARGETS = 24;
const JUMP_DISTANCE = 1024;
/** Jumps to a place that make it a target: a run of the vCPU may end anywhere, and where it goes on counts, too. */
const WARM = 16;
/** Targets of one call. */
const CALL_TARGETS = 6;

export interface IndirectTargets {
  /** Page offsets where a call or a jump at a page offset seems to go, ascending. */
  callsFrom(offset: number): readonly number[];
  jumpsFrom(offset: number): readonly number[];
}

const isDirect = ({ operands }: Handler): boolean => operands[0]?.kind === 'J';

/** @param maps addresses of the maps of records of a page and, if it is known, the one behind: offsets from 4096 on */
export function findIndirectTargets(mem: CodeMemory, maps: readonly number[]): IndirectTargets {
  const handlers = decodeTables().all;
  /** Every place by its heat; most places have never been jumped to and so have the heat they began with. */
  const byHeat = new Map<number, number[]>();
  const jumpedTo = new Set<number>();
  const called = new Set<number>();
  const behindCall = new Set<number>();
  /** Where a region begins. */
  const entered = new Set<number>();
  for (let at = 0; at < maps.length * PAGE; at++) {
    const begin = at & -PAGE;
    const address = mem.u32[(maps[begin / PAGE]! >> 2) + at - begin]!;
    if (address === 0) continue;
    const heat = mem.view.getUint8(address + OP.heat);
    const same = byHeat.get(heat);
    if (same) same.push(at);
    else byHeat.set(heat, [at]);
    const record = readOperationRecord(mem.view, address);
    if (mem.view.getUint16(address + OP.handler, true) >= FIRST_REGION) entered.add(at);
    const handler = handlers[record.handler - 1];
    if (!handler) continue;
    const { name } = handler.instruction;
    if (name === 'call') behindCall.add(at + record.length);
    if (isDirect(handler)) (name === 'call' ? called : jumpedTo).add(Number(record.imm) + begin);
  }
  const [cold = 0] = [...byHeat].toSorted((a, b) => b[1].length - a[1].length)[0] ?? [];
  const jumps = (heat: number): number => (heat - cold) & 255;
  const warm = [...byHeat]
    .flatMap(([heat, places]) => (jumps(heat) < WARM ? places.filter((at) => entered.has(at)) : places))
    .filter((at) => !jumpedTo.has(at) && !behindCall.has(at))
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
