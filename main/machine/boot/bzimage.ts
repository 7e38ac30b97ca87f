// Reads Linux's bzImage: its setup header and the compressed kernel inside (Linux Documentation/arch/x86/boot.rst).
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { KernelImageError } from './errors.ts';
import { decompressLz4Legacy, isLz4Legacy } from './lz4-legacy.ts';
import { decompressXz, isXz } from './xz.ts';

/** Offsets of the setup header's fields in the file (boot.rst, "The Real-Mode Kernel Header"). */
export const SetupHeader = {
  SetupSectors: 0x1f1,
  BootFlag: 0x1fe,
  HeaderMagic: 0x202,
  Version: 0x206,
  KernelVersion: 0x20e,
  TypeOfLoader: 0x210,
  LoadFlags: 0x211,
  Code32Start: 0x214,
  RamdiskImage: 0x218,
  RamdiskSize: 0x21c,
  CommandLine: 0x228,
  InitrdAddressMax: 0x22c,
  KernelAlignment: 0x230,
  Relocatable: 0x234,
  ExtendedLoadFlags: 0x236,
  CommandLineSize: 0x238,
  PayloadOffset: 0x248,
  PayloadLength: 0x24c,
  PreferredAddress: 0x258,
  InitSize: 0x260,
} as const;

export const LoadFlag = { LoadedHigh: 1, CanUseHeap: 0x80 } as const;
/** XLF_KERNEL_64: the 64-bit entry point exists at 0x200. */
export const ExtendedLoadFlag = { Kernel64: 1 } as const;

export interface BzImage {
  readonly file: Uint8Array;
  /** Boot protocol version, 0x020f = 2.15. */
  readonly protocol: number;
  /** The text a kernel built with it shows: "6.1.0-50-686 (...) #1 ...". Empty when there is none. */
  readonly kernelVersion: string;
  /** End of the setup header in the file (it starts at 0x1f1). */
  readonly headerEnd: number;
  /** Everything after the real-mode code: goes to code32Start. */
  readonly protectedMode: Uint8Array;
  readonly code32Start: number;
  readonly has64BitEntry: boolean;
  readonly relocatable: boolean;
  readonly kernelAlignment: number;
  readonly preferredAddress: number;
  /** Bytes of memory the kernel needs from its load address on before it reads the memory map. */
  readonly initSize: number;
  readonly initrdAddressMax: number;
  /** Longest command line in bytes, without the terminating zero. */
  readonly commandLineSize: number;
  /** The compressed kernel as it is in the file, without the length that follows it; null for images without one. */
  readonly payload: Uint8Array | null;
  /** Length of the uncompressed payload, null when the format does not give it. */
  readonly payloadSize: number | null;
}

export function isBzImage(bytes: Uint8Array): boolean {
  return bytes.length > 0x268 && bytes[0x1fe] === 0x55 && bytes[0x1ff] === 0xaa && text(bytes, 0x202, 4) === 'HdrS';
}

/** @throws KernelImageError when this is no bzImage of protocol 2.06 or later, or it is cut off. */
export function parseBzImage(file: Uint8Array): BzImage {
  if (!isBzImage(file))
    throw new KernelImageError('unknown-format', 'This file is not a Linux kernel image (bzImage).');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const protocol = view.getUint16(SetupHeader.Version, true);
  if (protocol < 0x206 || (file[SetupHeader.LoadFlags] & LoadFlag.LoadedHigh) === 0) {
    throw new KernelImageError(
      'unsupported',
      `This is a Linux kernel with boot protocol ${protocol >> 8}.${protocol & 0xff}; at least 2.6 and a bzImage are needed (Linux 2.6.22 or later).`,
    );
  }
  const setupBytes = ((file[SetupHeader.SetupSectors] || 4) + 1) * 512;
  if (setupBytes >= file.length)
    throw new KernelImageError('damaged', 'This Linux kernel image is cut off: only its setup code is there.');
  const payloadLength = protocol >= 0x208 ? u32(SetupHeader.PayloadLength) : 0;
  const payloadAt = setupBytes + (protocol >= 0x208 ? u32(SetupHeader.PayloadOffset) : 0);
  if (payloadAt + payloadLength > file.length)
    throw new KernelImageError('damaged', 'This Linux kernel image is cut off: its compressed kernel is not complete.');
  const hasLoadAddress = protocol >= 0x20a;
  const versionAt = view.getUint16(SetupHeader.KernelVersion, true);
  const isGzip = payloadLength > 18 && file[payloadAt] === 0x1f && file[payloadAt + 1] === 0x8b;
  return {
    file,
    protocol,
    kernelVersion: versionAt === 0 ? '' : text(file, versionAt + 0x200, 128),
    headerEnd: SetupHeader.HeaderMagic + file[0x201],
    protectedMode: file.subarray(setupBytes),
    code32Start: u32(SetupHeader.Code32Start),
    has64BitEntry:
      protocol >= 0x20c && (view.getUint16(SetupHeader.ExtendedLoadFlags, true) & ExtendedLoadFlag.Kernel64) !== 0,
    relocatable: file[SetupHeader.Relocatable] !== 0,
    kernelAlignment: u32(SetupHeader.KernelAlignment),
    preferredAddress: hasLoadAddress ? Number(view.getBigUint64(SetupHeader.PreferredAddress, true)) : 0x10_0000,
    initSize: hasLoadAddress ? u32(SetupHeader.InitSize) : file.length - setupBytes,
    initrdAddressMax: u32(SetupHeader.InitrdAddressMax),
    commandLineSize: u32(SetupHeader.CommandLineSize),
    // gzip ends with its uncompressed length itself; the build appends it to every other format.
    payload: payloadLength === 0 ? null : file.subarray(payloadAt, payloadAt + payloadLength - (isGzip ? 0 : 4)),
    payloadSize: payloadLength === 0 ? null : u32(payloadAt + payloadLength - 4),
  };
}

/**
 * The ELF kernel (vmlinux) inside a bzImage, as a domain builder needs it.
 * @throws KernelImageError when there is none, it is damaged, or its compression is one we do not read.
 */
export async function extractVmlinux(image: BzImage): Promise<Uint8Array> {
  const { payload, payloadSize } = image;
  if (payload === null || payloadSize === null)
    throw new KernelImageError(
      'unsupported',
      'This Linux image carries no compressed kernel that could be taken out of it.',
    );
  const kernel = await decompressPayload(payload, payloadSize);
  if (kernel.length < payloadSize)
    throw new KernelImageError('damaged', 'The kernel inside this image is shorter than its header says.');
  return kernel;
}

async function decompressPayload(payload: Uint8Array, size: number): Promise<Uint8Array> {
  if (payload[0] === 0x7f && payload[1] === 0x45) return payload; // not compressed
  if (isXz(payload)) return decompressXz(payload);
  if (isLz4Legacy(payload)) return decompressLz4Legacy(payload, size);
  try {
    if (payload[0] === 0x1f && payload[1] === 0x8b) return plainBytes(gunzipSync(payload));
    if (payload[0] === 0x28 && payload[1] === 0xb5) return plainBytes(zstdDecompressSync(payload));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KernelImageError('damaged', `The compressed kernel inside this image is damaged: ${why}.`);
  }
  const magic = [...payload.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new KernelImageError(
    'unsupported',
    `The kernel inside this image is compressed in a way we do not read (it begins with ${magic}); gzip, xz, lz4 and zstd are possible.`,
  );
}

/** A Buffer's bytes as what everyone else expects. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function text(bytes: Uint8Array, start: number, maximum: number): string {
  const slice = bytes.subarray(start, start + maximum);
  const end = slice.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? slice : slice.subarray(0, end));
}
