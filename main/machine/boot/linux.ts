// Starts a Linux bzImage (and what else follows its boot protocol, such as memtest86+) without firmware
// (Linux Documentation/arch/x86/boot.rst, "32-bit Boot Protocol" and "64-bit Boot Protocol"; zero-page.rst).
import {
  type BootMemory,
  type BootParameters,
  type BootState,
  LowMemory,
  placeHigh,
  requireRoom,
  writeCommandLine,
  writeFlatGdt,
  writeIdentityPageTables,
} from './boot-state.ts';
import { type BzImage, LoadFlag, SetupHeader } from './bzimage.ts';

/** Offsets in struct boot_params, the "zero page". */
const ZeroPage = {
  CursorX: 0x00,
  CursorY: 0x01,
  ExtendedMemoryKiB: 0x02,
  VideoMode: 0x06,
  Columns: 0x07,
  Rows: 0x0e,
  IsVga: 0x0f,
  CharacterHeight: 0x10,
  AcpiRsdp: 0x70,
  AlternativeMemoryKiB: 0x1e0,
  E820Entries: 0x1e8,
  E820Table: 0x2d0,
} as const;
const ZERO_PAGE_BYTES = 4096;
const E820_MAXIMUM = 128;
/** "Unknown" boot loader, as loaders without an assigned number report themselves. */
const LOADER_UNDEFINED = 0xff;

/**
 * Loads the image, its parameters and its RAM disk.
 * @param entry which entry point to use; 64 needs an image that has it
 * @throws KernelImageError when something does not fit.
 */
export function loadLinux(
  memory: BootMemory,
  image: BzImage,
  parameters: BootParameters,
  entry: 32 | 64 = 32,
): BootState {
  const loadAddress = image.code32Start;
  requireRoom(memory, loadAddress, image.protectedMode.length);
  memory.write(loadAddress, image.protectedMode);

  const page = new Uint8Array(ZERO_PAGE_BYTES);
  const view = new DataView(page.buffer);
  page.set(image.file.subarray(SetupHeader.SetupSectors, image.headerEnd), SetupHeader.SetupSectors);
  page[SetupHeader.TypeOfLoader] = LOADER_UNDEFINED;
  page[SetupHeader.LoadFlags] &= ~LoadFlag.CanUseHeap;
  view.setUint32(
    SetupHeader.CommandLine,
    writeCommandLine(memory, parameters.commandLine, image.commandLineSize),
    true,
  );
  view.setUint32(SetupHeader.Code32Start, loadAddress, true);

  // The kernel unpacks itself to its preferred address and needs initSize bytes there before it knows the memory map.
  const kernelEnd = Math.max(
    loadAddress + image.protectedMode.length,
    (image.relocatable ? Math.max(loadAddress, image.preferredAddress) : image.preferredAddress) + image.initSize,
  );
  requireRoom(memory, 0, kernelEnd);
  const { ramdisk } = parameters;
  if (ramdisk !== null) {
    const limit = Math.min(image.initrdAddressMax + 1, memory.size);
    const address = placeHigh(parameters.memoryMap, ramdisk.length, kernelEnd, limit, 'RAM disk');
    memory.write(address, ramdisk);
    view.setUint32(SetupHeader.RamdiskImage, address, true);
    view.setUint32(SetupHeader.RamdiskSize, ramdisk.length, true);
  }
  describeScreen(page, view);
  describeMemory(page, view, memory.size, parameters);
  memory.write(LowMemory.Info, page);

  const description = image.kernelVersion === '' ? 'Linux' : `Linux ${image.kernelVersion.split(' ')[0]}`;
  const registers = { rsi: LowMemory.Info, rsp: LowMemory.StackTop };
  if (entry === 64 && image.has64BitEntry) {
    return {
      mode: 'long64',
      entry: loadAddress + 0x200,
      registers,
      gdt: writeFlatGdt(memory, true),
      pageTable: writeIdentityPageTables(memory),
      description,
    };
  }
  return { mode: 'protected32', entry: loadAddress, registers, gdt: writeFlatGdt(memory, false), description };
}

/** 80x25 colour text, cursor at the top. */
function describeScreen(page: Uint8Array, view: DataView): void {
  page[ZeroPage.VideoMode] = 3;
  page[ZeroPage.Columns] = 80;
  page[ZeroPage.Rows] = 25;
  page[ZeroPage.IsVga] = 1;
  view.setUint16(ZeroPage.CharacterHeight, 16, true);
}

function describeMemory(page: Uint8Array, view: DataView, memoryBytes: number, parameters: BootParameters): void {
  const extendedKiB = Math.max(0, Math.floor(memoryBytes / 1024) - 1024);
  view.setUint16(ZeroPage.ExtendedMemoryKiB, Math.min(0xffff, extendedKiB), true);
  view.setUint32(ZeroPage.AlternativeMemoryKiB, extendedKiB, true);
  view.setBigUint64(ZeroPage.AcpiRsdp, BigInt(parameters.rsdp), true);
  const map = parameters.memoryMap.slice(0, E820_MAXIMUM);
  page[ZeroPage.E820Entries] = map.length;
  map.forEach((range, index) => {
    const at = ZeroPage.E820Table + index * 20;
    view.setBigUint64(at, BigInt(range.start), true);
    view.setBigUint64(at + 8, BigInt(range.length), true);
    view.setUint32(at + 16, range.type, true);
  });
}
