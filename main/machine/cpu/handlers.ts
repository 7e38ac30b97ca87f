// Turns the instruction table into handlers: one for each meaning, operand shape, operand size and addressing form that can occur.
// Invariant: a handler's number is the same in the 32-bit and the 64-bit interpreter; numbers 1..hot are inline in the main loop.

import type { Encoding, Instruction, Operand } from '../isa/instruction.ts';

export const OSZ = [16, 32, 64] as const;

/** Addressing forms: bit 0 = ModRM operand in memory, bit 1 = general (segment checks and odd address sizes), else flat. */
export const Form = { Register: 0, Memory: 1, GeneralRegister: 2, GeneralMemory: 3 } as const;

export interface Handler {
  id: number;
  instruction: Instruction;
  operands: Operand[];
  osz: 16 | 32 | 64;
  memory: boolean;
  general: boolean;
  hot: boolean;
  /** Modes it can occur in. */
  modes: Set<32 | 64>;
}

/** Pseudo-operations: not instructions, not counted. */
export const PSEUDO = {
  /** Look the address up again: page end, patched code, trace joins. */
  relookup: 0,
} as const;

const hasModrmOperand = (operands: Operand[]) => operands.some((o) => 'EMWQ'.includes(o.kind) && o.kind.length === 1);
/** The instruction can have its ModRM operand in memory. */
export const canBeMemory = (e: Encoding, i: Instruction): boolean => {
  if (!e.modrm || i.registerOnly) return false;
  if (e.modrmBytes) return false;
  return hasModrmOperand(e.operands);
};
export const canBeRegister = (e: Encoding, i: Instruction): boolean => {
  if (!e.modrm || i.memoryOnly) return false;
  return !e.operands.some((o) => o.kind === 'M');
};
/** Memory without ModRM: moffs, strings, xlat. They take the general form's address code whenever segments are not flat. */
const STRING_NAMES = new Set(['movs', 'cmps', 'stos', 'lods', 'scas', 'xlat']);
export const implicitMemory = (e: Encoding, i: Instruction): boolean =>
  STRING_NAMES.has(i.name) || e.operands.some((o) => o.kind === 'O');

/** Does the operand size change what the instruction does? */
export const isSized = (e: Encoding, i: Instruction): boolean =>
  Boolean(i.sized) || e.operands.some((o) => o.size === 'v' || o.size === 'z' || o.size === 'y');

const shape = (operands: Operand[], memory: boolean): string =>
  operands
    .map((o) => {
      // registers named by the opcode or implied are register forms of ModRM.rm, whose slot the decoder fills in
      const kind =
        (o.kind === 'E' && !memory) || o.kind === 'Z' || o.kind === 'A' || o.kind === 'R'
          ? 'E'
          : o.kind === 'M'
            ? 'E'
            : o.kind;
      return `${kind}${o.size}`;
    })
    .join();

export class HandlerSet {
  readonly handlers: Handler[] = [];
  private readonly byKey = new Map<string, Handler>();
  private readonly meanings = new Map<Instruction['meaning'], number>();

  /** Registers (or finds) the handler for one combination. */
  get(i: Instruction, e: Encoding, osz: 16 | 32 | 64, memory: boolean, general: boolean): Handler {
    let meaning = this.meanings.get(i.meaning);
    if (meaning === undefined) this.meanings.set(i.meaning, (meaning = this.meanings.size));
    // the accumulator with a second register operand (XCHG) keeps its kind: it cannot be ModRM.rm twice
    const accumulators =
      e.operands.filter((o) => o.kind === 'A').length && e.operands.some((o) => 'EZ'.includes(o.kind));
    const key = `${meaning}|${i.name}|${accumulators ? e.text : shape(e.operands, memory)}|${isSized(e, i) ? osz : 0}|${memory}|${general}|${i.d64 ?? false}`;
    let h = this.byKey.get(key);
    if (!h) {
      h = {
        id: 0,
        instruction: i,
        operands: e.operands,
        osz,
        memory,
        general,
        hot: false,
        modes: new Set(),
      };
      this.byKey.set(key, h);
      this.handlers.push(h);
    }
    return h;
  }

  /** Numbers the handlers: hot ones first. Number 0 is the pseudo-operation. */
  number(): { hot: Handler[]; all: Handler[] } {
    for (const h of this.handlers) h.hot = isHot(h);
    const ordered = [...this.handlers.filter((h) => h.hot), ...this.handlers.filter((h) => !h.hot)];
    ordered.forEach((h, n) => (h.id = n + 1));
    return { hot: ordered.filter((h) => h.hot), all: ordered };
  }
}

/** What earns a place in the main loop: marked hot, flat addressing, everyday operand sizes. */
function isHot(h: Handler): boolean {
  if (!h.instruction.hot || h.general) return false;
  const sized = h.operands.some((o) => o.size === 'v' || o.size === 'z') || Boolean(h.instruction.sized);
  if (sized && h.osz === 16) return false;
  return true;
}
