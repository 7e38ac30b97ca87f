// What a kernel file offers: its format, the modes it can run in and why, for the import sheet.

import { identifyKernel, unpackKernelFile } from '../machine/boot/load.ts';
import { parseBzImage } from '../machine/boot/bzimage.ts';
import { ElfMachine, parseElf } from '../machine/boot/elf.ts';
import { KernelImageError } from '../machine/boot/errors.ts';
import { readXenNotes } from './builder/xen-notes.ts';

export interface KernelReport {
  summary: string;
  modes: ('native' | 'pv' | 'pvh')[];
  bits: 32 | 64 | null;
  memoryMiB: number;
  facts: { label: string; value: string }[];
  checked: { text: string; found: boolean }[];
}

/** Looks at a file's bytes. Never throws for what a file contains. */
export function inspectKernel(file: Uint8Array): KernelReport {
  const report: KernelReport = { summary: '', modes: [], bits: null, memoryMiB: 128, facts: [], checked: [] };
  const look = (text: string, found: boolean): boolean => {
    report.checked.push({ text, found });
    return found;
  };
  try {
    const bytes = unpackKernelFile(file);
    const format = identifyKernel(bytes);
    if (look('a Linux boot image (bzImage)', format === 'bzimage')) {
      const image = parseBzImage(bytes);
      report.summary = 'A Linux kernel (bzImage).';
      report.facts.push({ label: 'Format', value: 'bzImage' });
      const version = (image as { version?: string }).version;
      if (version) report.facts.push({ label: 'Version', value: version });
      // what the packed kernel inside offers is found out when it is built
      report.modes = ['native', 'pvh', 'pv'];
      return report;
    }
    const elf = format === 'elf' || format === 'pvh' || format === 'multiboot';
    look('a multiboot header', format === 'multiboot');
    if (look('an ELF image for x86', elf && bytes[0] === 0x7f)) {
      const image = parseElf(bytes);
      report.bits = image.machine === ElfMachine.X86_64 ? 64 : 32;
      report.memoryMiB = 64;
      const notes = readXenNotes(image);
      if (look('Xen ELF notes or a __xen_guest section', notes !== null)) {
        const n = notes as unknown as Record<string, unknown>;
        for (const [label, value] of Object.entries(n))
          if (typeof value === 'string' && value) report.facts.push({ label, value });
      }
      const pvh = look('a PVH entry point (PHYS32_ENTRY)', format === 'pvh' || pvhNote(image.notes));
      if (format === 'multiboot' || pvh) report.modes.push('native');
      if (pvh) report.modes.push('pvh');
      if (notes !== null && !(pvh && report.modes.length && !hasPvEntry(notes))) report.modes.unshift('pv');
      report.summary = `A ${report.bits}-bit ELF kernel${notes ? ' for Xen' : ''}.`;
      return report;
    }
    if (format === 'multiboot') {
      report.modes = ['native'];
      report.summary = 'A multiboot kernel.';
      return report;
    }
    if (look('a boot sector', format === 'boot-sector')) {
      report.modes = ['native'];
      report.summary = 'A boot sector.';
      return report;
    }
    report.summary = 'This is not a kernel that Bulkhead knows.';
  } catch (e) {
    if (!(e instanceof KernelImageError)) throw e;
    report.summary = e.message;
  }
  return report;
}

const pvhNote = (notes: readonly { name: string; type: number }[]): boolean =>
  notes.some((n) => n.name === 'Xen' && n.type === 18);
const hasPvEntry = (notes: object): boolean =>
  (notes as { entry?: unknown }).entry !== undefined && (notes as { entry?: unknown }).entry !== null;
