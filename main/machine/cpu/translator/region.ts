// Chooses what is translated together: from one operation record on, straight through its page, until an instruction the translator does not
// take. A direct branch back to the first one makes the region a loop; every other taken branch leaves it.

import type { HostMemory } from '../host-memory.ts';
import type { Handler } from '../handlers.ts';
import { decodeTables } from '../interpreter.ts';
import { OpFlag, PAGE_CODE } from '../layout.ts';
import { conditions } from '../../isa/data.ts';
import { readOperationRecord, type OperationRecord } from './operation-record.ts';

/** Instructions in one region at most. */
const REGION_LENGTH = 128;
const BRANCHES = new Set(['jmp', ...conditions.map(({ name }) => `j${name}`)]);
/** Instructions whose meanings use only what TranslatorSemantics has. */
const TRANSLATED = new Set([
  ...['mov', 'movzx', 'movsx', 'movsxd', 'lea', 'nop', 'push', 'pop', 'cbw', 'cwd', 'bswap', 'xchg'],
  ...['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp', 'test', 'inc', 'dec', 'neg', 'not', 'shl', 'shr', 'sar'],
  ...conditions.flatMap(({ name }) => [`cmov${name}`, `set${name}`]),
  ...BRANCHES,
]);
/** Operands it has no answer to (segment registers, control registers ...). */
const OPERANDS = new Set(['E', 'G', 'Z', 'A', 'M', 'R', 'I', 'J', 'O', 'CL', '1']);

export interface RegionInstruction {
  record: OperationRecord;
  handler: Handler;
}

function translated(h: Handler | undefined, record: OperationRecord): boolean {
  if (!h || h.instruction.routine || !TRANSLATED.has(h.instruction.name) || h.general) return false;
  if (BRANCHES.has(h.instruction.name) && (h.operands[0]?.kind !== 'J' || record.flags & OpFlag.OpSize16)) return false;
  // 8F /0 computes its address with the stack pointer moved, which needs atomicStack
  if (h.instruction.name === 'pop' && h.memory) return false;
  return h.operands.every((o) => OPERANDS.has(o.kind));
}

/**
 * The instructions of the region that starts at an operation record of machine frame `frame`; empty if already the first cannot be translated.
 * Only what has been decoded, and so executed or come close to, is taken.
 */
export function findRegion(mem: HostMemory, frame: number, recordAddress: number): RegionInstruction[] {
  const map = mem.u32[(PAGE_CODE >> 2) + frame]!;
  const handlers = decodeTables().all;
  const out: RegionInstruction[] = [];
  let address = recordAddress;
  while (map !== 0 && address !== 0 && out.length < REGION_LENGTH) {
    const record = readOperationRecord(mem.view, address);
    const handler = handlers[record.handler - 1];
    if (!translated(handler, record)) break;
    out.push({ record, handler: handler! });
    const next = record.pageOffset + record.length;
    if (handler!.instruction.end || next >= 4096) break;
    address = mem.u32[(map >> 2) + next]!;
  }
  return out;
}
