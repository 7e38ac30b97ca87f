// Runs of memory accesses: those of a basic block that lie near each other by the same base (a frame's slots, a structure's fields, what is pushed one
// after the other). Where the first of them is, all are looked up at once, as one piece of memory within a page; the others are loads and stores.
// Invariant: between the first access of a run and its last one nothing changes translations, and every member lies inside what was looked up.

import { REG } from '../../isa/semantics.ts';
import { OpFlag, PAGE, SLOT_PAGE_BASE, Seg } from '../layout.ts';
import { callsRoutine, type RegionInstruction } from './blocks.ts';
import type { Facts } from './region-state.ts';

/** Bytes from the first to the last of a run by a register: one that does not lie within a page is left to the interpreter. */
const LONGEST = 128;
/** Slots from here on are no general registers. */
const NO_REGISTER = SLOT_PAGE_BASE - 8;

/** Accesses that are looked up together. */
export interface Run {
  /** Of the lowest byte, and the one behind the highest, from what they have in common. */
  low: number;
  high: number;
  write: boolean;
  members: number;
}
/** One access of an instruction as a member of a run, `offset` bytes from what the members have in common. */
export interface Member {
  readonly run: Run;
  readonly offset: number;
}
/** How an instruction's accesses are made: by its memory operand, and on the stack. Null: each by itself. */
export interface AccessPlan {
  operand: Member | null;
  stack: Member | null;
  /** See careful-places.ts. */
  careful: boolean;
}
export const noPlan = (careful = false): AccessPlan => ({ operand: null, stack: null, careful });

/** What a register holds: a value that is not known, and how much has been added to it. */
interface Value {
  readonly of: number;
  readonly plus: number;
}
/** One access, before runs are made. */
interface Access {
  readonly instruction: number;
  readonly kind: 'operand' | 'stack';
  readonly common: string;
  readonly offset: number;
  readonly bytes: number;
  readonly write: boolean;
}

/** The general registers while a block is read from its beginning. */
class Registers {
  readonly #values: Value[] = Array.from({ length: 16 }, (_, n) => ({ of: n, plus: 0 }));
  #next = 16;
  readonly #mode: 32 | 64;

  constructor(mode: 32 | 64) {
    this.#mode = mode;
  }
  at(register: number): Value {
    return this.#values[register]!;
  }
  /** Where the memory operand of an instruction is; null if that is not a register (or nothing) and a displacement. */
  operand({ handler, record }: RegionInstruction): { common: string; offset: number } | null {
    const { base, index, flags, seg } = record;
    const byNumber = handler.operands.some((o) => o.kind === 'O');
    const disp = byNumber ? Number(BigInt.asIntN(this.#mode, record.imm)) : record.disp;
    if (!Number.isSafeInteger(disp)) return null;
    // POP works out where it stores with the stack pointer behind it (SDM vol. 2, POP)
    if ((handler.general && seg >= Seg.FS) || handler.instruction.name === 'pop') return null;
    if (flags & (this.#mode === 64 ? OpFlag.Addr32 : OpFlag.Addr16) || index < NO_REGISTER) return null;
    if (!byNumber && base < NO_REGISTER) {
      const { of, plus } = this.at(base >> 3);
      return { common: `${of}`, offset: plus + disp };
    }
    const page = Math.floor(disp / PAGE);
    return { common: `${base === SLOT_PAGE_BASE ? 'code' : 'page'} ${page}`, offset: disp - page * PAGE };
  }
  /** Goes on behind an instruction that may have changed all of them. */
  forget(): void {
    for (let n = 0; n < 16; n++) this.#values[n] = { of: this.#next++, plus: 0 };
  }
  /** Goes on behind an instruction. */
  pass(instruction: RegionInstruction, { written, stackStep }: Facts): void {
    if (written.size === 0) return;
    const changed = [...written].map((n) => [n, this.#after(instruction, n, stackStep)] as const);
    for (const [n, value] of changed) this.#values[n] = value ?? { of: this.#next++, plus: 0 };
  }
  #after({ handler, record }: RegionInstruction, register: number, stackStep: number): Value | null {
    const { name } = handler.instruction;
    const [to, from] = handler.operands;
    const plus = ({ of, plus: before }: Value, n: number): Value => ({ of, plus: before + n });
    if (handler.instruction.routine !== undefined) return null;
    if (register === REG.SP && (name === 'push' || name === 'pop'))
      return name === 'pop' && !handler.memory && (record.rm >> 3 === REG.SP || record.reg >> 3 === REG.SP)
        ? null
        : plus(this.at(register), stackStep);
    if (handler.memory ? name !== 'lea' : to?.size === 8) return null;
    if (handler.osz !== this.#mode) return null;
    if (name === 'inc' || name === 'dec') return plus(this.at(register), name === 'inc' ? 1 : -1);
    if ((name === 'add' || name === 'sub') && from?.kind === 'I') {
      const n = Number(record.imm);
      return Math.abs(n) < 2 ** 20 ? plus(this.at(register), name === 'add' ? n : -n) : null;
    }
    if (name === 'mov' && (from?.kind === 'G' || from?.kind === 'E'))
      return this.at((from.kind === 'G' ? record.reg : record.rm) >> 3);
    if (name !== 'lea' || record.index < NO_REGISTER || record.base >= NO_REGISTER) return null;
    if (record.flags & (this.#mode === 64 ? OpFlag.Addr32 : OpFlag.Addr16)) return null;
    return plus(this.at(record.base >> 3), record.disp);
  }
}

/** Makes runs of accesses in their order; those alone are no run. */
function join(accesses: readonly Access[], plans: readonly AccessPlan[]): void {
  const open = new Map<string, Run[]>();
  const members: (readonly [Access, Run])[] = [];
  for (const access of accesses) {
    const { common, offset, bytes, write } = access;
    const here = open.get(common) ?? [];
    // what lies in a page by its number is never in two
    const longest = /^\d/.test(common) ? LONGEST : PAGE;
    const end = offset + bytes;
    let run = here.find(({ low, high }) => Math.max(high, end) - Math.min(low, offset) <= longest);
    if (!run) {
      run = { low: offset, high: end, write, members: 0 };
      open.set(common, [...here, run]);
    }
    run.low = Math.min(run.low, offset);
    run.high = Math.max(run.high, end);
    run.write ||= write;
    run.members++;
    members.push([access, run]);
  }
  for (const [{ instruction, kind, offset }, run] of members)
    if (run.members > 1) plans[instruction]![kind] = { run, offset };
}

/**
 * How the instructions of a block access memory.
 * @param facts what each of them does
 */
export function planAccesses(
  mode: 32 | 64,
  instructions: readonly RegionInstruction[],
  facts: readonly Facts[],
): AccessPlan[] {
  const plans = instructions.map(({ careful }) => noPlan(careful));
  const registers = new Registers(mode);
  const accesses: Access[] = [];
  const careful = new Set<string>();
  let waiting: Access[] = [];
  const end = (): void => {
    join(
      waiting.filter(({ common }) => !careful.has(common)),
      plans,
    );
    accesses.push(...waiting);
    waiting = [];
  };
  instructions.forEach((instruction, i) => {
    const x = facts[i]!;
    // what a routine does to translations and registers nobody knows
    if (callsRoutine(instruction.handler)) {
      end();
      registers.forget();
    } else if (instruction.handler.instruction.routine === undefined)
      for (const kind of ['operand', 'stack'] as const) {
        const those = x.accesses.filter((a) => a.kind === kind);
        if (those.length !== 1 || x.accesses.some((a) => a.kind === 'other')) continue;
        if (kind === 'operand' && x.addressUsed) continue;
        const { register, delta, bytes, write } = those[0]!;
        const at =
          kind === 'operand'
            ? registers.operand(instruction)
            : { common: `${registers.at(register).of}`, offset: registers.at(register).plus + delta };
        if (!at) continue;
        if (instruction.careful) careful.add(at.common);
        waiting.push({ instruction: i, kind, ...at, bytes, write });
      }
    registers.pass(instruction, x);
  });
  end();
  for (const { instruction, common } of accesses) if (careful.has(common)) plans[instruction]!.careful = true;
  return plans;
}
