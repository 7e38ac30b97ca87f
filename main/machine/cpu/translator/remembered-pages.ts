// Which pages a region keeps in locals: those that its loops access again and again, as far as one can see from how the registers of an address
// change: not at all, by small steps, or within the reach of a byte. An address that jumps about would only cost one comparison more.
// Invariant: the choice changes how a page is found, never what is accessed.

import { SLOT_PAGE_BASE } from '../layout.ts';
import type { AccessPlan } from './access-runs.ts';
import type { RegionInstruction } from './blocks.ts';
import type { Flow } from './flow.ts';
import { STACK_PAGE, type Facts } from './region-state.ts';

/** Pages remembered by one region at most: each takes two locals. */
const PAGES = 4;
/** The stack's page is remembered besides from so many accesses on. */
const STACK_ACCESSES = 3;
/** A step of a register that mostly stays within a page, and the reach of an index that always does. */
const STEP = 512n;
const REACH = 0xfffn;

/** How one instruction changes a register: by a small step, to something small, to what another register is (nearly), or who knows. */
type Change = 'step' | 'small' | 'wild' | { readonly from: number };

function changeOf({ handler, record }: RegionInstruction, register: number): Change {
  const { name } = handler.instruction;
  const [to, from] = handler.operands;
  const near = (v: bigint): boolean => v < STEP && v > -STEP;
  if (handler.instruction.routine !== undefined) return 'wild';
  if (name === 'inc' || name === 'dec') return 'step';
  const byImmediate = !handler.memory && from?.kind === 'I';
  if ((name === 'add' || name === 'sub') && byImmediate) return near(record.imm) ? 'step' : 'wild';
  if (name === 'and' && byImmediate) return record.imm >= 0n && record.imm <= REACH ? 'small' : 'wild';
  if (name === 'movzx' && from?.size === 8) return 'small';
  if (name === 'mov' && !handler.memory && to?.size !== 8) {
    if (from?.kind === 'G') return { from: record.reg >> 3 };
    if (from?.kind === 'E') return { from: record.rm >> 3 };
    return 'wild';
  }
  if (name !== 'lea') return 'wild';
  const registers = [record.base, record.index].filter((slot) => slot < SLOT_PAGE_BASE - 8).map((slot) => slot >> 3);
  if (registers.length !== 1) return 'wild';
  if (registers[0] !== register) return { from: registers[0]! };
  return near(BigInt(record.disp)) && record.base === register * 8 ? 'step' : 'wild';
}

/** The registers of an innermost loop. */
class Loop {
  readonly #writers = new Map<number, RegionInstruction[]>();
  readonly #steady = new Map<number, boolean>();

  constructor(blocks: readonly (readonly { instruction: RegionInstruction; facts: Facts }[])[]) {
    for (const { instruction, facts } of blocks.flat())
      for (const register of facts.written) {
        const known = this.#writers.get(register);
        if (known) known.push(instruction);
        else this.#writers.set(register, [instruction]);
      }
  }
  /** Whether it mostly stays where it was, wherever in the loop one looks. */
  #always(register: number): boolean {
    const known = this.#steady.get(register);
    if (known !== undefined) return known;
    this.#steady.set(register, false);
    const steady = (this.#writers.get(register) ?? []).every((w) => this.#after(w, register));
    this.#steady.set(register, steady);
    return steady;
  }
  #after(writer: RegionInstruction, register: number): boolean {
    const change = changeOf(writer, register);
    if (change === 'step' || change === 'small') return true;
    return change !== 'wild' && this.#always(change.from);
  }
  /** Whether it does in front of an instruction of a block. */
  steadyBefore(
    block: readonly { instruction: RegionInstruction; facts: Facts }[],
    i: number,
    register: number,
  ): boolean {
    const writer = block.slice(0, i).findLast(({ facts }) => facts.written.has(register));
    if (!writer) return this.#always(register);
    const change = changeOf(writer.instruction, register);
    return change === 'step' ? this.#always(register) : this.#after(writer.instruction, register);
  }
}

/**
 * Keys (Facts.pages) of the pages to remember, best first.
 * @param blocks instructions of each block, and facts of each instruction
 */
export function pagesToRemember(
  flow: Flow,
  blocks: readonly (readonly RegionInstruction[])[],
  facts: readonly (readonly Facts[])[],
  plans: readonly (readonly AccessPlan[])[],
): string[] {
  const both = flow.place.map((_, n) =>
    (blocks[n] ?? []).map((instruction, i) => ({ instruction, facts: facts[n]![i]! })),
  );
  const loops = new Map<number, Loop>();
  const score = new Map<string, number>();
  let stack = 0;
  for (const n of flow.order) {
    const number = flow.innermost[n]!;
    both[n]!.forEach(({ instruction, facts: { pages } }, i) => {
      const { operand, stack: onStack } = plans[n]![i]!;
      if (operand || onStack) return;
      if (pages.has(STACK_PAGE)) stack++;
      if (number < 0 || pages.size === 0) return;
      let loop = loops.get(number);
      if (!loop) loops.set(number, (loop = new Loop(both.filter((_, m) => flow.innermost[m] === number))));
      const { base, index } = instruction.record;
      const steady =
        instruction.handler.memory &&
        [base, index].every((slot) => slot >= SLOT_PAGE_BASE - 8 || loop.steadyBefore(both[n]!, i, slot >> 3));
      const weight = 8 ** Math.min(flow.depth[n]!, 4);
      for (const key of pages)
        if (key !== STACK_PAGE) score.set(key, (score.get(key) ?? 0) + (steady ? weight : -weight));
    });
  }
  const best = [...score].filter(([, s]) => s > 0).toSorted((a, b) => b[1] - a[1]);
  return [...best.slice(0, PAGES).map(([key]) => key), ...(stack < STACK_ACCESSES ? [] : [STACK_PAGE])];
}
