// Decompresses the lz4 "legacy frame" inside Linux images: a magic number, then blocks of up to 8 MiB uncompressed, each
// with its compressed length in front (LZ4 Frame Format Description, "Legacy frame"). Kernels put no end mark.
import { decompressBlock, makeBuffer } from 'lz4js';
import { KernelImageError } from './errors.ts';

const MAGIC = 0x184c_2102;
const BLOCK_BYTES = 8 * 1024 * 1024;

export function isLz4Legacy(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && readU32(bytes, 0) === MAGIC;
}

/**
 * @param size exact length of the result in bytes, known from the image's header
 * @throws KernelImageError when it is damaged.
 */
export function decompressLz4Legacy(bytes: Uint8Array, size: number): Uint8Array {
  const out = makeBuffer(size);
  let at = 4;
  let written = 0;
  while (at + 4 <= bytes.length && written < size) {
    const length = readU32(bytes, at);
    at += 4;
    if (length === MAGIC) continue; // concatenated frames
    if (length > bytes.length - at) throw damaged();
    const end = decompressBlock(bytes, out, at, length, written);
    if (end <= written || end - written > BLOCK_BYTES) throw damaged();
    written = end;
    at += length;
  }
  if (written !== size) throw damaged();
  return Uint8Array.from(out);
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function damaged(): KernelImageError {
  return new KernelImageError('damaged', 'The lz4-compressed kernel inside this image is damaged.');
}
