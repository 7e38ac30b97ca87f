// Places where control comes from anywhere: where functions begin.
// Invariant: what is found here decides only what is translated, and when.

import { OP } from '../layout.ts';
import { decodeTables } from '../interpreter.ts';
import type { CodeMemory } from './interface.ts';
import { originalHandler } from './operation-record.ts';

/**
 * Whether some decoded call of a page goes to a place of it.
 * @param map address of the page's map of records
 * @param place page offset
 */
export function belongsToCall(mem: CodeMemory, map: number, place: number): boolean {
  const { u32, view } = mem;
  const handlers = decodeTables().all;
  for (let at = 0; at < 4096; at++) {
    const record = u32[(map >> 2) + at]!;
    if (record === 0) continue;
    if (view.getBigInt64(record + OP.imm, true) !== BigInt(place)) continue;
    const handler = handlers[originalHandler(view, view.getUint16(record + OP.handler, true)) - 1];
    if (handler?.instruction.name === 'call' && handler.operands[0]?.kind === 'J') return true;
  }
  return false;
}
