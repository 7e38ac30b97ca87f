// Decompresses the .xz streams inside Linux images. The library decodes LZMA2 but not the x86 branch filter that kernels
// use before it, so each block is handed over as a stream of its own without that filter, and the filter is undone here.
// Format: "The .xz File Format" 1.1.0.
import { crc32 } from 'node:zlib';
import xzLibrary from 'xz-decompress';
import { KernelImageError } from './errors.ts';

const HEADER_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FOOTER_MAGIC = [0x59, 0x5a];
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
/** Bytes of a block's check by its identifier (section 2.1.1.2). */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;
const CHECK_CRC32 = 1;

export function isXz(bytes: Uint8Array): boolean {
  return HEADER_MAGIC.every((byte, index) => bytes[index] === byte);
}

/**
 * @param bytes exactly one .xz stream (no padding after it)
 * @throws KernelImageError when it is damaged or uses a filter that kernels do not.
 */
export async function decompressXz(bytes: Uint8Array): Promise<Uint8Array> {
  verifyChecksum(bytes, 6, 2, 8);
  const check = bytes[7] & 15;
  const blocks = readIndex(bytes);
  const parts: Uint8Array[] = [];
  let at = 12;
  for (const block of blocks) {
    parts.push(await decompressBlock(bytes, at, block, check));
    at += (block.unpaddedSize + 3) & ~3;
  }
  return parts.length === 1 ? parts[0] : concatenate(parts);
}

interface BlockRecord {
  /** Header, compressed data and check, without padding. */
  readonly unpaddedSize: number;
  readonly uncompressedSize: number;
}

function damaged(why: string): KernelImageError {
  return new KernelImageError('damaged', `The xz-compressed kernel inside this image is damaged: ${why}.`);
}

/** Everything but the compressed data itself is protected by a CRC-32 behind it. */
function verifyChecksum(bytes: Uint8Array, start: number, length: number, checksumAt: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    checksumAt + 4 > bytes.length ||
    view.getUint32(checksumAt, true) !== crc32(bytes.subarray(start, start + length))
  )
    throw damaged('a checksum in it is wrong');
}

/** Section 4: the index before the footer lists every block. */
function readIndex(bytes: Uint8Array): BlockRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const footer = bytes.length - 12;
  if (footer < 24 || !FOOTER_MAGIC.every((byte, index) => bytes[footer + 10 + index] === byte))
    throw damaged('its end is missing');
  verifyChecksum(bytes, footer + 4, 6, footer);
  const indexAt = footer - (view.getUint32(footer + 4, true) + 1) * 4;
  if (indexAt < 12 || bytes[indexAt] !== 0) throw damaged('its index is missing');
  verifyChecksum(bytes, indexAt, footer - 4 - indexAt, footer - 4);
  let at = indexAt + 1;
  const integer = (): number => {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw damaged('a number in its index is too long');
  };
  const count = integer();
  const records: BlockRecord[] = [];
  let total = 12;
  for (let record = 0; record < count; record++) {
    const unpaddedSize = integer();
    const uncompressedSize = integer();
    total += unpaddedSize;
    if (total > indexAt) throw damaged('its index names more data than there is');
    records.push({ unpaddedSize, uncompressedSize });
  }
  return records;
}

async function decompressBlock(bytes: Uint8Array, at: number, record: BlockRecord, check: number): Promise<Uint8Array> {
  const headerSize = (bytes[at] + 1) * 4;
  verifyChecksum(bytes, at, headerSize - 4, at + headerSize - 4);
  const { branchFilter, lzma2Properties } = readFilters(bytes, at);
  const checkSize = CHECK_BYTES[check];
  const dataSize = record.unpaddedSize - headerSize - checkSize;
  const data = bytes.subarray(at + headerSize, at + headerSize + dataSize);
  const stream = wrapBlock(data, record.uncompressedSize, lzma2Properties);
  let result: Uint8Array;
  try {
    const reader = new xzLibrary.XzReadableStream(new Blob([stream as Uint8Array<ArrayBuffer>]).stream());
    result = new Uint8Array(await new Response(reader).arrayBuffer());
  } catch (error) {
    throw damaged(error instanceof Error ? error.message : String(error));
  }
  if (result.length !== record.uncompressedSize) throw damaged('its length is not what its index says');
  if (branchFilter) undoX86BranchFilter(result);
  if (check === CHECK_CRC32) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const paddedData = (dataSize + 3) & ~3;
    if (view.getUint32(at + headerSize + paddedData, true) !== crc32(result)) throw damaged('its checksum is wrong');
  }
  return result;
}

/** Section 3.1: the block header's list of filters. */
function readFilters(bytes: Uint8Array, at: number): { branchFilter: boolean; lzma2Properties: number } {
  const flags = bytes[at + 1];
  let cursor = at + 2;
  const skipInteger = (): void => {
    while (bytes[cursor++] & 0x80);
  };
  if (flags & 0x40) skipInteger();
  if (flags & 0x80) skipInteger();
  let branchFilter = false;
  let lzma2Properties = -1;
  for (let filter = 0; filter <= (flags & 3); filter++) {
    const id = bytes[cursor++];
    const propertySize = bytes[cursor++];
    if (id === FILTER_X86 && propertySize === 0) branchFilter = true;
    else if (id === FILTER_LZMA2) lzma2Properties = bytes[cursor];
    else
      throw new KernelImageError(
        'unsupported',
        `The kernel inside this image uses xz filter ${id}, which x86 kernels do not.`,
      );
    cursor += propertySize;
  }
  if (lzma2Properties < 0) throw damaged('it names no LZMA2 filter');
  return { branchFilter, lzma2Properties };
}

/** A complete .xz stream around one block's LZMA2 data: one filter, no check. */
function wrapBlock(data: Uint8Array, uncompressedSize: number, lzma2Properties: number): Uint8Array {
  const flags = [0, 0];
  const header = [...HEADER_MAGIC, ...flags, ...little32(crc32(Uint8Array.from(flags)))];
  const blockHeader = [2, 0, FILTER_LZMA2, 1, lzma2Properties, 0, 0, 0];
  const block = [...blockHeader, ...little32(crc32(Uint8Array.from(blockHeader)))];
  const padding = (4 - (data.length & 3)) & 3;
  const index = [0, 1, ...variableInteger(block.length + data.length), ...variableInteger(uncompressedSize)];
  while (index.length & 3) index.push(0);
  index.push(...little32(crc32(Uint8Array.from(index))));
  const tail = [...little32(index.length / 4 - 1), ...flags];
  const footer = [...little32(crc32(Uint8Array.from(tail))), ...tail, ...FOOTER_MAGIC];
  return concatenate([
    Uint8Array.from([...header, ...block]),
    data,
    new Uint8Array(padding),
    Uint8Array.from([...index, ...footer]),
  ]);
}

/**
 * Undoes the x86 branch filter (section 5.3.2) in place: the compressor replaced the relative targets of CALL and JMP
 * (opcodes e8, e9) by absolute ones, which repeat more often. An opcode byte that was left alone may be part of the
 * operand of one that was converted, so the filter remembers which of the three bytes before were such opcodes
 * (`history`, one bit each) and only converts where both directions come to the same decision.
 */
function undoX86BranchFilter(data: Uint8Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const extendsSign = (byte: number): boolean => byte === 0 || byte === 0xff;
  let history = 0;
  let lastOpcode = -1;
  let seen = false;
  for (let at = 0; at + 4 < data.length; at++) {
    if ((data[at] & 0xfe) !== 0xe8) continue;
    const distance = seen ? at - lastOpcode : 4;
    lastOpcode = at;
    seen = true;
    history = distance > 3 ? 0 : (history << (distance - 1)) & 7;
    // How many of this operand's high bytes the nearest opcode before could have claimed.
    const claimed = 32 - Math.clz32(history);
    if (history !== 0) {
      const several = (history & (history - 1)) !== 0;
      if (several || extendsSign(data[at + 4 - claimed])) {
        history = (history << 1) | 1;
        continue;
      }
    }
    if (!extendsSign(data[at + 4])) {
      history = (history << 1) | 1;
      continue;
    }
    let absolute = view.getUint32(at + 1, true);
    let relative: number;
    for (;;) {
      relative = (absolute - (at + 5)) >>> 0;
      if (claimed === 0) break;
      const shift = claimed * 8;
      if (!extendsSign((relative >>> (24 - shift)) & 0xff)) break;
      absolute = (relative ^ (2 ** (32 - shift) - 1)) >>> 0;
    }
    // 25 significant bits, sign extended.
    view.setUint32(at + 1, ((relative & 0x01ff_ffff) << 7) >> 7, true);
    at += 4;
    lastOpcode = at - 4;
  }
}

function little32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function variableInteger(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
