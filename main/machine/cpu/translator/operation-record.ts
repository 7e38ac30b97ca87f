// An operation record (layout.ts, OP) as an object: what the decoder found out about one instruction.

import { FIRST_REGION, OP, REGION_ORIGINALS } from '../layout.ts';

export interface OperationRecord {
  /** WebAssembly address of the record. */
  address: number;
  handler: number;
  /** Bytes of the instruction. */
  length: number;
  /** Segment register of the memory operand (Seg). */
  seg: number;
  pageOffset: number;
  /** State slots (byte offsets) of ModRM.reg, ModRM.rm, base and index register. */
  reg: number;
  rm: number;
  base: number;
  index: number;
  /** 0..3 */
  scale: number;
  /** OpFlag bits. */
  flags: number;
  disp: number;
  /** Immediate, or the target of a direct branch relative to the page. */
  imm: bigint;
  bytes: number;
}

/** The handler number that a record was decoded with, also if it enters a region by now. */
export function originalHandler(view: DataView, handler: number): number {
  return handler >= FIRST_REGION ? view.getUint16(REGION_ORIGINALS + handler * 2, true) : handler;
}

/** @param view of the whole WebAssembly memory. */
export function readOperationRecord(view: DataView, address: number): OperationRecord {
  const u8 = (field: number): number => view.getUint8(address + field);
  return {
    address,
    handler: originalHandler(view, view.getUint16(address + OP.handler, true)),
    length: u8(OP.length),
    seg: u8(OP.seg),
    pageOffset: view.getUint16(address + OP.pageOffset, true),
    reg: u8(OP.reg),
    rm: u8(OP.rm),
    base: u8(OP.base),
    index: u8(OP.index),
    scale: u8(OP.scale),
    flags: u8(OP.flags),
    disp: view.getInt32(address + OP.disp, true),
    imm: view.getBigInt64(address + OP.imm, true),
    bytes: view.getUint32(address + OP.bytes, true) & 0xff_ffff,
  };
}
