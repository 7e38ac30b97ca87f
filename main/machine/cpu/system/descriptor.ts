// Segment descriptors: reading them from the GDT and LDT (SDM vol. 3, 3.4.5 and 5.8).

import { F, Seg, SegAttr } from '../layout.ts';
import { raiseError } from './fault.ts';
import type { SystemParts } from './parts.ts';

/** Types of system descriptors (SDM vol. 3, table 3-2). */
export const SystemType = {
  Tss16: 1,
  Ldt: 2,
  Tss16Busy: 3,
  CallGate16: 4,
  TaskGate: 5,
  InterruptGate16: 6,
  TrapGate16: 7,
  Tss32: 9,
  Tss32Busy: 11,
  CallGate32: 12,
  InterruptGate32: 14,
  TrapGate32: 15,
} as const;

/** Attribute bits that a segment register keeps from a descriptor. */
const ATTR_KEPT = 0xf0ff;

/** One descriptor as read, and where it was. */
export class Descriptor {
  readonly selector: number;
  readonly lo: number;
  /** Changes only when markAccessed() sets the accessed bit. */
  hi: number;
  /** Linear address in its table. */
  readonly address: number;
  /** Bits 63:32 of the base of a 16-byte system descriptor; see readUpper(). */
  upper = 0;

  constructor(selector: number, lo: number, hi: number, address: number) {
    this.selector = selector;
    this.lo = lo;
    this.hi = hi;
    this.address = address;
  }

  /** Selector as it stands in error codes: without RPL. */
  get errorCode(): number {
    return this.selector & 0xfffc;
  }

  get rpl(): number {
    return this.selector & 3;
  }

  get attr(): number {
    return (this.hi >>> 8) & ATTR_KEPT;
  }

  get type(): number {
    return (this.hi >>> 8) & 0xf;
  }

  get dpl(): number {
    return (this.hi >>> 13) & 3;
  }

  get present(): boolean {
    return (this.hi & 0x8000) !== 0;
  }

  /** A system descriptor: S = 0. */
  get system(): boolean {
    return (this.hi & 0x1000) === 0;
  }

  get code(): boolean {
    return (this.hi & 0x1800) === 0x1800;
  }

  get conforming(): boolean {
    return (this.hi & 0x1c00) === 0x1c00;
  }

  /** Data that may be written. */
  get writableData(): boolean {
    return (this.hi & 0x1a00) === 0x1200;
  }

  /** Data, or code that may be read. */
  get readable(): boolean {
    return (this.hi & 0x1000) !== 0 && ((this.hi & 0x800) === 0 || (this.hi & 0x200) !== 0);
  }

  /** L: 64-bit code. */
  get long(): boolean {
    return (this.hi & 0x20_0000) !== 0;
  }

  /** D/B. */
  get big(): boolean {
    return (this.hi & 0x40_0000) !== 0;
  }

  /** Base; of a 16-byte descriptor with its upper half. */
  get base(): number {
    const low = ((this.lo >>> 16) | ((this.hi & 0xff) << 16) | (this.hi & 0xff00_0000)) >>> 0;
    return (this.upper | 0) * 0x1_0000_0000 + low;
  }

  /** Limit in bytes, inclusive. */
  get limit(): number {
    const raw = (this.lo & 0xffff) | (this.hi & 0xf_0000);
    return (this.hi & 0x80_0000) !== 0 ? ((raw << 12) | 0xfff) >>> 0 : raw;
  }

  // ---- as a gate

  get gateSelector(): number {
    return this.lo >>> 16;
  }

  /** Offset of a 32-bit (or, with upper, 64-bit) gate. */
  get gateOffset(): number {
    const low = ((this.lo & 0xffff) | (this.hi & 0xffff_0000)) >>> 0;
    return (this.upper | 0) * 0x1_0000_0000 + low;
  }

  get gateCount(): number {
    return this.hi & 0x1f;
  }
}

/** True for a null selector: index 0 of the GDT, any RPL. */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

/** Linear address of a selector's descriptor, or -1 if `bytes` bytes of it do not lie within its table. */
function descriptorAddress(parts: SystemParts, selector: number, bytes: number): number {
  const state = parts.state;
  const offset = selector & 0xfff8;
  if ((selector & 4) !== 0) {
    if ((state.attr(Seg.LDTR) & SegAttr.Unusable) !== 0 || offset + bytes - 1 > state.limit(Seg.LDTR)) return -1;
    return wrapSystem(parts, state.base(Seg.LDTR) + offset);
  }
  if (offset + bytes - 1 > state.get32(F.gdtLimit)) return -1;
  return wrapSystem(parts, state.getAddress(F.gdtBase) + offset);
}

/** Linear addresses of system structures are 32 bits wide outside long mode. */
export function wrapSystem(parts: SystemParts, linear: number): number {
  return parts.state.longModeActive ? linear : linear >>> 0;
}

/** Reads a selector's descriptor with supervisor privilege. Raises `vector`(selector) if it is beyond its table. */
export function readDescriptor(parts: SystemParts, selector: number, vector: number): Descriptor {
  const found = tryReadDescriptor(parts, selector);
  if (found === null) raiseError(parts.state, vector, selector & 0xfffc);
  return found;
}

/** The same; null if it is beyond its table. Null selectors are the caller's business. */
export function tryReadDescriptor(parts: SystemParts, selector: number): Descriptor | null {
  const address = descriptorAddress(parts, selector, 8);
  if (address === -1) return null;
  const lo = parts.access.read32(address, false);
  const hi = parts.access.read32(wrapSystem(parts, address + 4), false);
  return new Descriptor(selector, lo, hi, address);
}

/** Reads bits 63:32 of a 16-byte system descriptor (long mode). False if it is cut off by its table's end or its type field is not 0. */
export function readUpper(parts: SystemParts, descriptor: Descriptor): boolean {
  if (descriptorAddress(parts, descriptor.selector, 16) === -1) return false;
  descriptor.upper = parts.access.read32(descriptor.address + 8, false);
  return (parts.access.read32(descriptor.address + 12, false) & 0x1f00) === 0;
}

/**
 * Sets the accessed bit of a code or data descriptor in its table, as loading it does. Returns its attributes with the bit set.
 * May raise #PF, so a transfer that loads two descriptors marks both before it changes anything.
 */
export function markAccessed(parts: SystemParts, descriptor: Descriptor): number {
  if ((descriptor.hi & 0x100) === 0) {
    parts.access.write8(wrapSystem(parts, descriptor.address + 5), ((descriptor.hi >>> 8) & 0xff) | 1, false);
    descriptor.hi |= 0x100;
  }
  return descriptor.attr;
}
