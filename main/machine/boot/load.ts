// Recognises a kernel file and loads it by the protocol it speaks.
import { gunzipSync } from 'node:zlib';
import type { BootMemory, BootParameters, BootState } from './boot-state.ts';
import { requireRoom } from './boot-state.ts';
import { isBzImage, parseBzImage } from './bzimage.ts';
import { type ElfImage, ElfMachine, isElf, parseElf } from './elf.ts';
import { KernelImageError } from './errors.ts';
import { loadLinux } from './linux.ts';
import { findMultibootHeader, loadMultiboot } from './multiboot.ts';
import { loadPvh, pvhEntry } from './pvh.ts';

/** What a file is, as far as starting it is concerned. */
export type KernelFormat = 'bzimage' | 'multiboot' | 'pvh' | 'elf' | 'boot-sector' | 'unknown';

const BOOT_SECTOR_ADDRESS = 0x7c00;

/** The file's contents, unpacked when it is a gzip file. */
export function unpackKernelFile(file: Uint8Array): Uint8Array {
  if (file[0] !== 0x1f || file[1] !== 0x8b) return file;
  try {
    return gunzipSync(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KernelImageError('damaged', `This gzip file is damaged: ${why}.`);
  }
}

/** Looks at an (unpacked) file. Multiboot goes before PVH because a kernel that has both runs natively by the former. */
export function identifyKernel(bytes: Uint8Array): KernelFormat {
  if (isBzImage(bytes)) return 'bzimage';
  if (findMultibootHeader(bytes) !== null) return 'multiboot';
  if (isElf(bytes)) return pvhEntry(parseElf(bytes)) === null ? 'elf' : 'pvh';
  if (bytes.length === 512 && bytes[510] === 0x55 && bytes[511] === 0xaa) return 'boot-sector';
  return 'unknown';
}

/**
 * Loads a kernel for a bare machine.
 * @throws KernelImageError with a sentence that says what the file is and what was needed.
 */
export function loadKernel(memory: BootMemory, file: Uint8Array, parameters: BootParameters): BootState {
  const bytes = unpackKernelFile(file);
  switch (identifyKernel(bytes)) {
    case 'bzimage':
      return loadLinux(memory, parseBzImage(bytes), parameters);
    case 'multiboot':
      return loadMultiboot(memory, bytes, parameters);
    case 'pvh':
      return loadPvh(memory, requireX86(parseElf(bytes)), parameters);
    case 'boot-sector':
      return loadBootSector(memory, bytes);
    case 'elf': {
      const image = requireX86(parseElf(bytes));
      const xen =
        image.notes.some((note) => note.name === 'Xen') ||
        image.sections.some((section) => section.name === '__xen_guest');
      throw new KernelImageError(
        'unsupported',
        xen
          ? 'This is a paravirtual Xen kernel: it needs the hypervisor. Start it as a pv domain, not on the bare machine.'
          : `This is a ${image.bits}-bit ELF file without a Multiboot header or a PVH entry point, so nothing says how to start it.`,
      );
    }
    default:
      throw new KernelImageError(
        'unknown-format',
        'This file is not a kernel we know. A Linux bzImage, an ELF kernel with a Multiboot header or a PVH entry point, or a 512-byte boot sector can be started.',
      );
  }
}

/** A boot sector at its traditional address, in real mode. There is no firmware: it must not call the BIOS. */
export function loadBootSector(memory: BootMemory, bytes: Uint8Array): BootState {
  requireRoom(memory, BOOT_SECTOR_ADDRESS, bytes.length);
  memory.write(BOOT_SECTOR_ADDRESS, bytes);
  return {
    mode: 'real16',
    entry: BOOT_SECTOR_ADDRESS,
    segment: 0,
    registers: { rsp: BOOT_SECTOR_ADDRESS, rdx: 0x80 },
    description: 'boot sector (without BIOS)',
  };
}

function requireX86(image: ElfImage): ElfImage {
  if (image.machine === ElfMachine.I386 || image.machine === ElfMachine.X86_64) return image;
  throw new KernelImageError(
    'unsupported',
    `This ELF file is for another processor (machine ${image.machine}), not for x86.`,
  );
}
