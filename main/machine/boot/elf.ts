// Reads ELF executables, 32 and 64 bits, little endian (System V ABI, "Object Files"; gABI 4.1): segments, notes, and
// named sections. It reads tolerantly where real kernels are sloppy (notes that overrun their segment) and checks
// everything it uses against the file's length.
import { KernelImageError } from './errors.ts';

export const ElfMachine = { I386: 3, X86_64: 62 } as const;
const PT_LOAD = 1;
const PT_NOTE = 4;
const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const SHT_NOTE = 7;
const SHT_NOBITS = 8;

/** One loadable segment. Addresses are bigint because 64-bit kernels link at the top of the address space. */
export interface ElfSegment {
  readonly virtualAddress: bigint;
  readonly physicalAddress: bigint;
  /** Bytes that the file gives; the rest up to memorySize is zero. */
  readonly data: Uint8Array;
  readonly memorySize: number;
  /** PF_X 1, PF_W 2, PF_R 4 */
  readonly flags: number;
}

export interface ElfNote {
  /** Owner, without the terminating zero: "Xen", "GNU", "Linux". */
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly address: bigint;
  /** Empty for sections without contents in the file. */
  readonly data: Uint8Array;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  /** See ElfMachine. */
  readonly machine: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
  readonly sections: readonly ElfSection[];
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 52 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** @throws KernelImageError when this is no little-endian ELF executable or it is damaged. */
export function parseElf(bytes: Uint8Array): ElfImage {
  if (!isElf(bytes)) throw new KernelImageError('unknown-format', 'This file is not an ELF executable.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[4] === 2;
  if (bytes[4] !== 1 && !wide) throw damaged(`its class byte is ${bytes[4]}, and only 1 (32-bit) and 2 (64-bit) exist`);
  if (bytes[5] !== 1) throw new KernelImageError('unsupported', 'This ELF file is big endian, so it is not for x86.');
  const read: Reader = {
    u16: (offset) => view.getUint16(offset, true),
    u32: (offset) => view.getUint32(offset, true),
    word: (offset) => (wide ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true))),
  };
  try {
    const headers = programHeaders(bytes, read, wide);
    const sections = sectionTable(bytes, read, wide);
    const segments = headers.filter((header) => header.type === PT_LOAD && header.memorySize > 0).map(toSegment(bytes));
    const fromSegments = headers
      .filter((header) => header.type === PT_NOTE)
      .flatMap((header) => parseNotes(bytes, header.offset, header.fileSize));
    const notes =
      fromSegments.length > 0
        ? fromSegments
        : sections
            .filter((section) => section.type === SHT_NOTE)
            .flatMap((section) => parseNotes(section.data, 0, section.data.length));
    return { bits: wide ? 64 : 32, machine: read.u16(18), entry: read.word(24), segments, notes, sections };
  } catch (error) {
    if (error instanceof RangeError) throw damaged('a table in it points past its end');
    throw error;
  }
}

/** The first note with this owner and type, or null. */
export function findNote(image: ElfImage, name: string, type: number): ElfNote | null {
  return image.notes.find((note) => note.name === name && note.type === type) ?? null;
}

/** A note's description as an unsigned integer of its own length (4 or 8 bytes). */
export function noteInteger(note: ElfNote): bigint {
  let value = 0n;
  note.description.slice(0, 8).forEach((byte, index) => (value |= BigInt(byte) << BigInt(8 * index)));
  return value;
}

/** A note's description as text up to its first zero byte. */
export function noteText(note: ElfNote): string {
  const end = note.description.indexOf(0);
  return new TextDecoder().decode(end < 0 ? note.description : note.description.subarray(0, end));
}

interface Reader {
  u16(offset: number): number;
  u32(offset: number): number;
  /** 4 bytes in 32-bit files, 8 in 64-bit ones */
  word(offset: number): bigint;
}

interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly virtualAddress: bigint;
  readonly physicalAddress: bigint;
  readonly fileSize: number;
  readonly memorySize: number;
}

function damaged(why: string): KernelImageError {
  return new KernelImageError('damaged', `This ELF file is damaged: ${why}.`);
}

function programHeaders(bytes: Uint8Array, read: Reader, wide: boolean): ProgramHeader[] {
  const table = Number(read.word(wide ? 32 : 28));
  const entrySize = read.u16(wide ? 54 : 42);
  const count = read.u16(wide ? 56 : 44);
  if (count > 0 && entrySize < (wide ? 56 : 32)) throw damaged('its program headers are too short');
  const headers: ProgramHeader[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * entrySize;
    const header: ProgramHeader = wide
      ? {
          type: read.u32(at),
          flags: read.u32(at + 4),
          offset: Number(read.word(at + 8)),
          virtualAddress: read.word(at + 16),
          physicalAddress: read.word(at + 24),
          fileSize: Number(read.word(at + 32)),
          memorySize: Number(read.word(at + 40)),
        }
      : {
          type: read.u32(at),
          flags: read.u32(at + 24),
          offset: read.u32(at + 4),
          virtualAddress: read.word(at + 8),
          physicalAddress: read.word(at + 12),
          fileSize: read.u32(at + 16),
          memorySize: read.u32(at + 20),
        };
    if (header.type === PT_LOAD) {
      if (header.offset + header.fileSize > bytes.length)
        throw damaged('it ends before the contents its headers announce');
      if (header.fileSize > header.memorySize) throw damaged('a segment has more contents than memory');
    }
    headers.push(header);
  }
  return headers;
}

function toSegment(bytes: Uint8Array): (header: ProgramHeader) => ElfSegment {
  return (header) => ({
    virtualAddress: header.virtualAddress,
    physicalAddress: header.physicalAddress,
    data: bytes.subarray(header.offset, header.offset + header.fileSize),
    memorySize: header.memorySize,
    flags: header.flags,
  });
}

function sectionTable(bytes: Uint8Array, read: Reader, wide: boolean): ElfSection[] {
  const table = Number(read.word(wide ? 40 : 32));
  const entrySize = read.u16(wide ? 58 : 46);
  const count = read.u16(wide ? 60 : 48);
  const namesIndex = read.u16(wide ? 62 : 50);
  // A stripped or truncated section table does not keep a kernel from starting.
  if (table === 0 || count === 0 || entrySize < (wide ? 64 : 40) || table + count * entrySize > bytes.length) return [];
  const raw = Array.from({ length: count }, (_, index) => {
    const at = table + index * entrySize;
    return {
      name: read.u32(at),
      type: read.u32(at + 4),
      address: read.word(at + (wide ? 16 : 12)),
      offset: Number(read.word(at + (wide ? 24 : 16))),
      size: Number(read.word(at + (wide ? 32 : 20))),
    };
  });
  const contents = (section: (typeof raw)[number]): Uint8Array =>
    section.type === SHT_NOBITS || section.offset + section.size > bytes.length
      ? new Uint8Array(0)
      : bytes.subarray(section.offset, section.offset + section.size);
  const names = raw[namesIndex]?.type === SHT_STRTAB ? contents(raw[namesIndex]) : new Uint8Array(0);
  const nameAt = (offset: number): string => {
    const end = names.indexOf(0, offset);
    return end < 0 ? '' : new TextDecoder().decode(names.subarray(offset, end));
  };
  return raw
    .filter((section) => section.type !== SHT_SYMTAB)
    .map((section) => ({
      name: nameAt(section.name),
      type: section.type,
      address: section.address,
      data: contents(section),
    }));
}

/**
 * Notes in a range of the file. The last note may reach past the range, as GRUB's Xen images do; it is taken as long as
 * the file has it.
 */
function parseNotes(bytes: Uint8Array, start: number, length: number): ElfNote[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const notes: ElfNote[] = [];
  const align = (value: number): number => (value + 3) & ~3;
  let at = start;
  while (at + 12 <= start + length && at + 12 <= bytes.length) {
    const nameSize = view.getUint32(at, true);
    const descriptionSize = view.getUint32(at + 4, true);
    const type = view.getUint32(at + 8, true);
    const nameAt = at + 12;
    const descriptionAt = nameAt + align(nameSize);
    if (descriptionAt + descriptionSize > bytes.length) break;
    const rawName = bytes.subarray(nameAt, nameAt + nameSize);
    const nameEnd = rawName.indexOf(0);
    notes.push({
      name: new TextDecoder().decode(nameEnd < 0 ? rawName : rawName.subarray(0, nameEnd)),
      type,
      description: bytes.subarray(descriptionAt, descriptionAt + descriptionSize),
    });
    at = descriptionAt + align(descriptionSize);
  }
  return notes;
}
