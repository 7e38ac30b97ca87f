// What a kernel file offers: its format, the modes it can run in and why, for the import sheet.
// Invariant: a mode is offered only for what was found in the image (an entry point, a note, a header), never for the file's name.

import { BulkheadError } from '../../shared/errors.ts';
import { parseBzImage } from '../machine/boot/bzimage.ts';
import { type ElfImage, ElfMachine, isElf, parseElf } from '../machine/boot/elf.ts';
import { KernelImageError } from '../machine/boot/errors.ts';
import { identifyKernel, unpackKernelFile } from '../machine/boot/load.ts';
import { prepareKernel } from './builder/kernel-image.ts';
import { readXenNotes, type XenNotes } from './builder/xen-notes.ts';

export interface KernelReport {
  /** One sentence: what it is, or why it cannot be used. */
  summary: string;
  modes: ('native' | 'pv' | 'pvh')[];
  bits: 32 | 64 | null;
  memoryMiB: number;
  facts: { label: string; value: string }[];
  checked: { text: string; found: boolean }[];
}

/** Looks at a file's bytes; unpacks what is packed. Never throws for what a file contains. */
export async function inspectKernel(file: Uint8Array): Promise<KernelReport> {
  const report: KernelReport = { summary: '', modes: [], bits: null, memoryMiB: 128, facts: [], checked: [] };
  try {
    await inspect(file, report);
  } catch (e) {
    if (e instanceof BulkheadError) report.summary = `${e.sentences.what} ${e.sentences.why}`.trim();
    else if (e instanceof KernelImageError) report.summary = e.message;
    else throw e;
  }
  return report;
}

async function inspect(file: Uint8Array, report: KernelReport): Promise<void> {
  const look = (text: string, found: boolean): boolean => {
    report.checked.push({ text, found });
    return found;
  };
  const other = otherProcessor(file);
  if (other) {
    look('an image for x86', false);
    report.summary = `It is built for ${other}. Bulkhead's hosts are x86, so it needs an x86 kernel.`;
    return;
  }
  const bytes = unpackKernelFile(file);
  const format = identifyKernel(bytes);
  if (look('a Linux boot image (bzImage)', format === 'bzimage')) {
    const { kernelVersion } = parseBzImage(bytes);
    report.facts.push({ label: 'Format', value: 'bzImage' });
    if (kernelVersion) report.facts.push({ label: 'Version', value: kernelVersion.split(' ')[0]! });
    inspectElf(parseElf(await prepareKernel(bytes)), report, look);
    if (!report.modes.includes('native')) report.modes.push('native');
    report.memoryMiB = 128;
    report.summary = `A ${report.bits}-bit Linux kernel (bzImage)${offersXen(report) ? ' that also runs on Xen' : ''}.`;
    return;
  }
  const multiboot = look('a multiboot header', format === 'multiboot');
  if (look('an ELF image for x86', isElf(bytes))) {
    report.facts.push({ label: 'Format', value: 'ELF' });
    inspectElf(parseElf(bytes), report, look);
    if (multiboot && !report.modes.includes('native')) report.modes.push('native');
    report.summary = report.modes.length
      ? `A ${report.bits}-bit ELF kernel${offersXen(report) ? ' for Xen' : ''}.`
      : `A ${report.bits}-bit ELF file with no entry that a simulated machine could use.`;
    return;
  }
  if (multiboot) {
    report.modes = ['native'];
    report.bits = 32;
    report.summary = 'A multiboot kernel.';
  } else if (look('a boot sector', format === 'boot-sector')) {
    report.modes = ['native'];
    report.summary = 'A boot sector.';
  } else report.summary = 'This is not a kernel that Bulkhead knows.';
}

const offersXen = ({ modes }: KernelReport): boolean => modes.includes('pv') || modes.includes('pvh');

function inspectElf(image: ElfImage, report: KernelReport, look: (text: string, found: boolean) => boolean): void {
  report.bits = image.machine === ElfMachine.X86_64 ? 64 : 32;
  report.memoryMiB = 64;
  const notes = readXenNotes(image);
  if (look('Xen ELF notes or a __xen_guest section', notes !== null)) report.facts.push(...xenFacts(notes!));
  if (look('a paravirtual entry (PV)', notes !== null && hasPvEntry(image, notes))) report.modes.push('pv');
  // the PVH entry is also what starts an ELF kernel on the bare machine
  if (look('a PVH entry point (PHYS32_ENTRY)', notes?.pvhEntry != null)) report.modes.push('pvh', 'native');
}

/**
 * A kernel that only knows PVH has Xen notes too, 32-bit Linux since 5.9 even the PV loader's. Beside a PVH entry, only the note that names
 * the PV entry (XEN_ELFNOTE_ENTRY, 1) makes it a PV kernel; without one, the ELF header's entry is the PV entry (public/elfnote.h).
 */
function hasPvEntry(image: ElfImage, notes: XenNotes): boolean {
  return notes.pvhEntry === null || image.notes.some((n) => n.name === 'Xen' && n.type === 1);
}

function xenFacts(notes: XenNotes): { label: string; value: string }[] {
  const facts = [
    { label: 'Guest', value: `${notes.guestOs} ${notes.guestVersion}`.trim() },
    { label: 'PAE', value: notes.paeMode },
    { label: 'Features', value: notes.features.replaceAll('|', ', ') },
    { label: 'Xen entry from', value: notes.source === 'section' ? '__xen_guest section' : 'ELF notes' },
  ];
  return facts.filter((f) => f.value !== '');
}

/** The processor that an image is for, when that is not x86: from the ELF header (e_machine), or Linux's ARM64 image header. */
function otherProcessor(file: Uint8Array): string | null {
  if (file.length < 64) return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0x38, true) === 0x644d5241) return 'AArch64'; // "ARM\x64", Documentation/arch/arm64/booting.rst
  if (view.getUint32(0) !== 0x7f454c46) return null;
  const machine = view.getUint16(18, file[5] !== 2);
  if (machine === ElfMachine.I386 || machine === ElfMachine.X86_64) return null;
  return MACHINES[machine] ?? `another processor (ELF machine ${machine})`;
}
/** e_machine values of the System V ABI. */
const MACHINES: Record<number, string> = {
  8: 'MIPS',
  20: 'PowerPC',
  21: '64-bit PowerPC',
  22: 'IBM Z',
  40: '32-bit Arm',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
};
