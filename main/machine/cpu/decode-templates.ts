// What the decoder remembers: the record of an instruction but for displacement and immediate, found again by the instruction's first bytes.
// Real code repeats some hundred beginnings (prefix, opcode, ModRM, SIB) for ever, so that nearly every instruction, also one that is executed
// for the first time, is decoded by completing a remembered record, without a branch that depends on what it is.
// Invariant: a template is found only by the code mode and all the bytes on which decode_one's result depends besides displacement and
// immediate; completing it writes the record that decode_one would write (but for fields that the instruction does not use).
//
// HEADS, for each mode: u64 by first byte, then three rows by second byte (none; behind a prefix; behind 0F): a mask of the bytes that matter in
// bits 0-39, their number in bits 40-42, the row in bits 44-45. Tag: those bytes, their number, and the ModeKey from bit 48 on.

import { E, i32, i64, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Label, Local } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { LEAF_FLAGS, LeafFlag, rootIndex, tableBase } from './decode-tables.ts';
import { PREFIX_CLASS } from './decoder.ts';
import { F, HEADS, OP, SHAPE, STATE, TEMPLATES, TEMPLATE_HINTS } from './layout.ts';

/** Bytes from an instruction's address on that completing it may read. */
export const TEMPLATE_REACH = 24;
const HEAD_BYTES = 4 * 256 * 8;
const TAG_BITS = (1n << 43n) - 1n;
const BYTES_AT = 40;
const ROW_AT = 44;
const MODE_AT = 48;
const SLOT_BITS = 12;
/** 2^64 divided by the golden ratio: spreads tags over the slots. */
const SPREAD = 0x9e37_79b9_7f4a_7c15n;

/** Fields of a template, byte offsets. The first three are words of the record as they are. */
const T = {
  tag: 0,
  /** handler, length, seg, (pageOffset), reg, rm */
  first: 8,
  /** u32 base, index, scale, flags */
  second: 16,
  /** u32 OP.bytes */
  bytes: 20,
  dispAt: 24,
  /** Bits to shift up and down again. */
  dispShift: 25,
  immAt: 26,
  immShift: 27,
  flags: 28,
  /** u32: all ones if there is a displacement; all ones if it counts from the end */
  dispMask: 32,
  dispEnd: 36,
  /** i64 each */
  immMask: 40,
  immEnd: 48,
  /** i64: the bits of the tag that the hint's reader compares */
  compared: 56,
} as const;
const MODE_BITS = 0x7fn << BigInt(MODE_AT);
const TemplateFlag = {
  /** The trace ends here (as in decode_one's result). */
  End: 1,
  /** A SIB byte follows, which belongs to the head, too. */
  Sib: 2,
} as const;
const Z = i32(0);

const hintsBase = (mode: 32 | 64): number => TEMPLATE_HINTS + (mode === 64 ? 0x2_0000 : 0);
const headsBase = (mode: 32 | 64): number => HEADS + (mode === 64 ? HEAD_BYTES : 0);

/** Writes HEADS. `view` is of the whole WebAssembly memory, in which the decode tables and prefix tables are already. */
export function writeHeads(view: DataView): void {
  // hints of 0 lead here: nothing is equal to an empty slot
  view.setBigUint64(TEMPLATES + T.compared, MODE_BITS, true);
  for (const mode of [32, 64] as const) {
    const root = (map: number, opcode: number, column: number): number =>
      view.getUint32(tableBase(mode) + rootIndex(map, opcode, column) * 4, true);
    /** Groups are told apart by ModRM, leaves say whether they have one. */
    const hasModRm = (map: number, opcode: number): boolean =>
      [0, 1, 2, 3].some((column) => {
        const at = root(map, opcode, column);
        return (at & 2) !== 0 || (at !== 0 && (view.getUint32(at + LEAF_FLAGS, true) & LeafFlag.ModRm) !== 0);
      });
    const isPrefix = (b: number): boolean => view.getUint8(PREFIX_CLASS + (mode === 64 ? 256 : 0) + b) !== 0;
    const put = (row: number, b: number, bytes: number, next = 0): void =>
      view.setBigUint64(
        headsBase(mode) + (row * 256 + b) * 8,
        ((1n << BigInt(8 * bytes)) - 1n) | (BigInt(bytes) << BigInt(BYTES_AT)) | (BigInt(next) << BigInt(ROW_AT)),
        true,
      );
    const [FIRST, PREFIXED, ESCAPED] = [0, 2, 3];
    for (let b = 0; b < 256; b++) {
      if (isPrefix(b)) put(FIRST, b, 0, PREFIXED - 1);
      else if (b === 0x0f) put(FIRST, b, 0, ESCAPED - 1);
      else put(FIRST, b, hasModRm(0, b) ? 2 : 1);
      // more prefixes than one are left to decode_one
      put(PREFIXED, b, isPrefix(b) ? 0 : b === 0x0f ? 4 : hasModRm(0, b) ? 3 : 2);
      put(ESCAPED, b, b === 0x38 || b === 0x3a ? 4 : hasModRm(1, b) ? 3 : 2);
    }
  }
}

/** Tag of the instruction whose first eight bytes are `head`; `key` is the ModeKey shifted to MODE_AT. */
function tagOf(f: FunctionBuilder, mode: 32 | 64, p: E, head: E, key: E): Local {
  const first = f.let(p.ld8u().shl(3).ld64(headsBase(mode)));
  // bits 44-45 become a multiple of 256 entries of 8 bytes
  const row = first
    .shrU(BigInt(ROW_AT - 11))
    .lo()
    .and(0x1800);
  const both = first.or(
    p
      .ld8u(1)
      .shl(3)
      .add(row)
      .ld64(headsBase(mode) + 2048),
  );
  return f.let(
    head
      .or(-1n << BigInt(BYTES_AT))
      .and(both)
      .and(TAG_BITS)
      .or(key),
  );
}
/** The tag with the SIB byte that follows the `tag`'s bytes. */
function withSib(f: FunctionBuilder, tag: E, head: E): Local {
  const bytes = f.let(tag.shrU(BigInt(BYTES_AT)).and(7n));
  const sib = head.and(i64(255).shl(bytes.shl(3n)));
  return f.let(tag.add(1n << BigInt(BYTES_AT)).or(sib));
}
const slotOf = (tag: E): E =>
  tag
    .mul(SPREAD)
    .shrU(BigInt(64 - SLOT_BITS))
    .lo()
    .shl(6)
    .add(TEMPLATES);
/** The current mode as part of a tag, with a bit more, so that no tag is that of an empty slot. */
export const templateKey = (): E =>
  Z.ld32(STATE + F.mode)
    .or(64)
    .zx()
    .shl(BigInt(MODE_AT));

/**
 * Writes: complete the record at `rec` for page + off, which is at least TEMPLATE_REACH bytes before the page's end. Sets `off` to the end of
 * the instruction and `ends` to whether the trace ends there; branches to `unknown` with nothing changed if its template is not known.
 */
export function completeTemplate(
  f: FunctionBuilder,
  mode: 32 | 64,
  at: { page: E; off: Local; rec: E; key: E; ends: Local },
  unknown: Label,
): void {
  const { page, off, rec, key, ends } = at;
  const p = f.let(page.add(off));
  const head = f.let(p.ld64());
  // what the first two bytes stood for last time is nearly always right, and quicker than working out which bytes matter
  const pair = f.let(p.ld8u().shl(8).or(p.ld8u(1)).shl(1));
  const t = f.let(pair.ld16u(hintsBase(mode)).shl(6).add(TEMPLATES));
  const bytes = head.and((1n << BigInt(BYTES_AT)) - 1n).or(key);
  const right = bytes.xor(t.ld64(T.tag)).and(t.ld64(T.compared)).eqz();
  f.if(
    right,
    () => {},
    () => {
      const tag = tagOf(f, mode, p, head, key);
      f.set(t, slotOf(tag));
      f.brIf(unknown, tag.ne(t.ld64(T.tag)), false);
      f.st16(pair, hintsBase(mode), t.sub(TEMPLATES).shrU(6));
    },
    true,
  );
  const flags = f.let(t.ld8u(T.flags));
  f.if(flags.and(TemplateFlag.Sib), () => {
    const tag = withSib(f, f.let(t.ld64(T.tag)), head);
    f.set(t, slotOf(tag));
    f.brIf(unknown, tag.ne(t.ld64(T.tag)), false);
    f.set(flags, t.ld8u(T.flags));
  });
  const first = f.let(t.ld64(T.first));
  f.st64(rec, OP.handler, first.or(off.zx().shl(32n)));
  f.set(off, off.add(first.lo().shrU(16).and(255)));
  const dispShift = f.let(t.ld8u(T.dispShift));
  const disp = p
    .add(t.ld8u(T.dispAt))
    .ld32()
    .shl(dispShift)
    .shrS(dispShift)
    .and(t.ld32(T.dispMask))
    .add(off.and(t.ld32(T.dispEnd)));
  f.st64(rec, OP.base, t.ld32u64(T.second).or(disp.zx().shl(32n)));
  const immShift = f.let(t.ld8u(T.immShift).zx());
  const imm = p
    .add(t.ld8u(T.immAt))
    .ld64()
    .shl(immShift)
    .shrS(immShift)
    .and(t.ld64(T.immMask))
    .add(off.zx().and(t.ld64(T.immEnd)));
  f.st64(rec, OP.imm, imm);
  f.st64(rec, OP.link, t.ld32u64(T.bytes).shl(32n));
  f.set(ends, flags.and(TemplateFlag.End));
}

/** Adds remember_template(address of the instruction, its record, decode_one's result), to be called after a decode_one that fitted the page. */
export function defineTemplates(m: ModuleBuilder, mode: 32 | 64): void {
  m.func('remember_template', ['i32', 'i32', 'i32'], [], (f) => {
    const [p, rec, result] = f.params as unknown as [E, E, E];
    const head = f.let(p.ld64());
    const tag = tagOf(f, mode, p, head, templateKey());
    const shape = (field: number): E => Z.ld8u(field);
    const bytes = tag.shrU(BigInt(BYTES_AT)).lo().and(7);
    // the decoder found the head elsewhere, an undefined code, or an immediate of a rare form
    f.if(
      shape(SHAPE.head)
        .eqz()
        .or(bytes.ne(shape(SHAPE.head)))
        .or(shape(SHAPE.immSigned).and(2)),
      () => f.return(),
    );
    const put = (t: E): void => {
      f.st64(t, T.tag, tag);
      const mask = i64(1)
        .shl(tag.shrU(BigInt(BYTES_AT)).and(7n).shl(3n))
        .sub(1n);
      f.st64(t, T.compared, mask.or(MODE_BITS));
    };
    f.if(shape(SHAPE.sib), () => {
      const t = f.let(slotOf(tag));
      put(t);
      f.st8(t, T.flags, TemplateFlag.Sib);
      f.set(tag, withSib(f, tag, head));
    });
    const t = f.let(slotOf(tag));
    put(t);
    f.st64(t, T.first, rec.ld64(OP.handler).and(BigInt.asIntN(64, ~(0xffffn << 32n))));
    // fields that this form of instruction does not use keep what the record held before, which nobody reads
    f.st32(t, T.second, rec.ld32(OP.base));
    f.st32(t, T.bytes, rec.ld32(OP.bytes));
    f.st8(t, T.flags, result.shrU(16).and(TemplateFlag.End));
    const dispBytes = f.let(shape(SHAPE.dispBytes));
    f.st8(t, T.dispAt, shape(SHAPE.dispAt));
    f.st8(t, T.dispShift, i32(32).sub(dispBytes.shl(3)).and(31));
    f.st32(t, T.dispMask, select(dispBytes, i32(-1), Z));
    f.st32(t, T.dispEnd, Z.sub(shape(SHAPE.fromEnd).shrU(1)));
    const immBytes = f.let(shape(SHAPE.immBytes));
    const immShift = f.let(i32(64).sub(immBytes.shl(3)).and(63));
    f.st8(t, T.immAt, shape(SHAPE.immAt));
    f.st8(t, T.immShift, immShift);
    const mask = select(shape(SHAPE.immSigned), i64(-1), i64(-1).shrU(immShift.zx()));
    f.st64(t, T.immMask, select(immBytes, mask, i64(0)));
    f.st64(t, T.immEnd, i64(0).sub(shape(SHAPE.fromEnd).and(1).zx()));
  });
}
