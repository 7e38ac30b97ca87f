// Lays the instruction table out for the decoder in WebAssembly memory.
//
// Root: for each opcode map, opcode and mandatory-prefix column a u32: 0 = undefined, a leaf's address, or a group's address | 1 (by ModRM.reg
// and mod == 3: 16 entries) or | 2 (8 memory entries by reg, then 64 register entries by ModRM & 63).
// Leaf (32 bytes): u16 handler[operand size index 0..2][form 0..3], then u32 LeafFlag bits at LEAF_FLAGS, u32 instruction row at LEAF_ROW.

import type { Encoding, Instruction, Operand } from '../isa/instruction.ts';
import { INSTRUCTIONS } from '../isa/table.ts';
import { HandlerSet, OSZ, canBeMemory, canBeRegister, implicitMemory, type Handler } from './handlers.ts';
import { TABLES } from './layout.ts';

export const LEAF_FLAGS = 24;
export const LEAF_ROW = 28;
const LEAF_BYTES = 32;
export const TABLE_BYTES = 0xc_0000; // per mode

export const LeafFlag = {
  ModRm: 1,
  ImmShift: 1, // 4 bits
  RegShift: 5, // 3 bits: RegisterFile of ModRM.reg
  RmShift: 8, // 3 bits: RegisterFile of ModRM.rm
  D64: 1 << 11,
  End: 1 << 12,
  Lock: 1 << 13,
  OpcodeRegister: 1 << 14,
  Accumulator: 1 << 15,
  Stack: 1 << 16,
  ImplicitMemory: 1 << 17,
  /** mod is ignored: always a register (MOV to and from CR and DR) */
  NoMemory: 1 << 18,
  Group: 1 << 19,
  /** operand size 64 needs no REX.W and 66 has no effect (near branches in 64-bit mode) */
  ForceDefault: 1 << 20,
} as const;

/** Kinds of immediate. */
export const Imm = {
  None: 0,
  Sx8: 1,
  Z: 2,
  Full: 3,
  Zx16: 4,
  Moffs: 5,
  FarPointer: 6,
  Zx16Zx8: 7,
  Rel8: 8,
  RelZ: 9,
  SegmentOfOpcode: 10,
  Zx8: 11,
} as const;
/** How a register number becomes a byte in the operation record. */
export const RegisterFile = { Byte: 0, General: 1, Slot16: 2, Raw: 3, Mmx: 4 } as const;

const COLUMN_COUNT = 4;
export const rootIndex = (map: number, opcode: number, column: number): number =>
  ((map << 8) | opcode) * COLUMN_COUNT + column;

function immediateKind(e: Encoding): number {
  const imm = e.operands.filter((o) => o.kind === 'I');
  if (e.operands.some((o) => o.kind === 'O')) return Imm.Moffs;
  if (e.operands.some((o) => o.kind === 'P')) return Imm.FarPointer;
  const j = e.operands.find((o) => o.kind === 'J');
  if (j) return j.size === 8 ? Imm.Rel8 : Imm.RelZ;
  if (imm.length === 2) return Imm.Zx16Zx8;
  if (imm.length === 0) return Imm.None;
  const size = imm[0]!.size;
  if (size === 8)
    return e.operands.some((o) => o.kind === 'A' && /^E[4-7]/.test(e.text)) || /^CD/.test(e.text) ? Imm.Zx8 : Imm.Sx8;
  if (size === 16) return Imm.Zx16;
  if (size === 'z') return Imm.Z;
  return Imm.Full;
}
/** Near branches ignore the operand-size prefix in 64-bit mode (SDM vol. 1, 6.3.7). */
const NEAR = new Set(['jmp', 'call', 'ret']);
/** POP of a segment register finds the register in its opcode. */
const POP_SEGMENT_TEXT = new Set(['07', '17', '1F', '0F A1', '0F A9']);

function registerFile(operands: Operand[], kinds: string): number {
  const o = operands.find((x) => x.kind.length === 1 && kinds.includes(x.kind));
  if (!o) return RegisterFile.General;
  if ('VWU'.includes(o.kind)) return RegisterFile.Slot16;
  if ('NQ'.includes(o.kind)) return RegisterFile.Mmx;
  if ('SCD'.includes(o.kind)) return RegisterFile.Raw;
  return o.size === 8 ? RegisterFile.Byte : RegisterFile.General;
}

export interface Row {
  instruction: Instruction;
  encoding: Encoding;
}

export interface DecodeTables {
  /** Bytes for TABLES + (mode === 64 ? TABLE_BYTES : 0). */
  image: Record<32 | 64, Uint8Array>;
  hot: Handler[];
  all: Handler[];
  rows: Row[];
}

export function tableBase(mode: 32 | 64): number {
  return TABLES + (mode === 64 ? TABLE_BYTES : 0);
}

/** Builds both modes' tables. Throws when two rows claim the same code (our own mistake). */
export function buildDecodeTables(): DecodeTables {
  const set = new HandlerSet();
  const rows: Row[] = [];
  for (const instruction of INSTRUCTIONS)
    for (const encoding of instruction.encodings) rows.push({ instruction, encoding });
  type Pending = { row: number; mode: 32 | 64; handlers: (Handler | null)[][] };
  const pending: Pending[] = [];
  rows.forEach(({ instruction: i, encoding: e }, row) => {
    for (const mode of [32, 64] as const) {
      if (mode === 64 ? i.i64 : i.o64) continue;
      const handlers = OSZ.map((osz) => {
        if (osz === 64 && mode === 32) return [null, null, null, null];
        // 64-bit mode cannot encode a 32-bit operand size for pushes, pops and near branches
        const effective = mode === 64 && i.d64 && osz === 32 ? 64 : osz;
        const at = (memory: boolean, general: boolean): Handler | null => {
          if (e.modrm && !e.modrmBytes) {
            if (memory ? !canBeMemory(e, i) : !canBeRegister(e, i)) return null;
          } else if (memory) return null;
          const touches = memory || i.stack || implicitMemory(e, i);
          const h = set.get(i, e, effective, memory, general && Boolean(touches));
          h.modes.add(mode);
          return h;
        };
        return [at(false, false), at(true, false), at(false, true), at(true, true)];
      });
      pending.push({ row, mode, handlers });
    }
  });
  const { hot, all } = set.number();
  const image = { 32: new Uint8Array(TABLE_BYTES), 64: new Uint8Array(TABLE_BYTES) };
  for (const mode of [32, 64] as const) {
    const view = new DataView(image[mode].buffer);
    const base = tableBase(mode);
    let next = 4 * 256 * COLUMN_COUNT * 4;
    const alloc = (n: number): number => {
      const at = next;
      next += n;
      if (next > TABLE_BYTES) throw new Error('decode tables: no room');
      return at;
    };
    for (const p of pending.filter((x) => x.mode === mode)) {
      const { instruction: i, encoding: e } = rows[p.row]!;
      const leaf = alloc(LEAF_BYTES);
      p.handlers.forEach((forms, o) =>
        forms.forEach((h, f) => view.setUint16(leaf + (o * 4 + f) * 2, h?.id ?? 0, true)),
      );
      const usesAccumulator = e.operands.some((o) => o.kind === 'A') && !e.operands.some((o) => 'EZ'.includes(o.kind));
      const imm = POP_SEGMENT_TEXT.has(e.text) ? Imm.SegmentOfOpcode : immediateKind(e);
      let flags = imm << LeafFlag.ImmShift;
      if (e.modrm) flags |= LeafFlag.ModRm;
      flags |= registerFile(e.operands, 'GVNSCD') << LeafFlag.RegShift;
      flags |= registerFile(e.operands, 'EZARWUQM') << LeafFlag.RmShift;
      if (i.d64 && mode === 64) flags |= LeafFlag.D64;
      if (i.end) flags |= LeafFlag.End;
      if (i.lock && 'EM'.includes(e.operands[0]!.kind)) flags |= LeafFlag.Lock;
      if (e.plusRegister) flags |= LeafFlag.OpcodeRegister;
      if (usesAccumulator) flags |= LeafFlag.Accumulator;
      if (i.stack) flags |= LeafFlag.Stack;
      if (implicitMemory(e, i)) flags |= LeafFlag.ImplicitMemory;
      if (e.operands.some((o) => o.kind === 'C' || o.kind === 'D')) flags |= LeafFlag.NoMemory;
      if (mode === 64 && (e.operands.some((o) => o.kind === 'J') || NEAR.has(i.name))) flags |= LeafFlag.ForceDefault;
      view.setUint32(leaf + LEAF_FLAGS, flags, true);
      view.setUint32(leaf + LEAF_ROW, p.row, true);
      const opcodes = e.plusRegister
        ? [0, 1, 2, 3, 4, 5, 6, 7].map((r) => (e.opcode & 0xf8) + r).filter((o) => o >= e.opcode)
        : [e.opcode];
      for (const opcode of opcodes)
        for (const column of e.prefixes) {
          const root = rootIndex(e.map, opcode, column) * 4;
          place(view, base, root, leaf, e, alloc, e.text);
        }
    }
  }
  return { image, hot, all, rows };
}

function place(
  view: DataView,
  base: number,
  root: number,
  leaf: number,
  e: Encoding,
  alloc: (n: number) => number,
  text: string,
): void {
  const put = (at: number, v: number) => {
    if (view.getUint32(at, true) !== 0) throw new Error(`decode tables: ${text} collides with another row`);
    view.setUint32(at, v, true);
  };
  if (e.digit === undefined && !e.modrmBytes) {
    put(root, base + leaf);
    return;
  }
  // every grouped opcode uses the full form: 8 by reg for memory, 64 for registers
  let group = view.getUint32(root, true);
  if (group === 0) {
    group = base + alloc(72 * 4) + 2;
    view.setUint32(root, group, true);
  } else if ((group & 3) !== 2) throw new Error(`decode tables: ${text} collides with a row without a digit`);
  const at = group - 2 - base;
  if (e.modrmBytes) {
    for (let m = e.modrmBytes[0]; m <= e.modrmBytes[1]; m++) view.setUint32(at + (8 + (m & 63)) * 4, base + leaf, true);
    return;
  }
  const digit = e.digit!;
  const memoryOnly = e.operands.some((o) => o.kind === 'M');
  const registerOnly =
    e.operands.length > 0 &&
    e.operands.some((o) => 'RUCD'.includes(o.kind)) &&
    !e.operands.some((o) => 'EWQM'.includes(o.kind));
  if (!registerOnly) put(at + digit * 4, base + leaf);
  if (!memoryOnly)
    for (let rm = 0; rm < 8; rm++) {
      const slot = at + (8 + digit * 8 + rm) * 4;
      if (view.getUint32(slot, true) === 0) view.setUint32(slot, base + leaf, true);
    }
}
