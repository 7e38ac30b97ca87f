// Whether a kernel can be started the way somebody wants: what its Xen notes say of it, and why not.

import type { ElfImage } from '../../machine/boot/elf.ts';
import { buildError } from './domain-image.ts';
import { readElfKernel } from './kernel-image.ts';
import { readXenNotes, type XenNotes } from './xen-notes.ts';

/**
 * Reads a kernel for a domain.
 * @param file an ELF image (prepareKernel makes one of the others)
 * @param pvh for a PVH domain; else for a PV one
 * @throws BulkheadError kernel-unsupported, kernel-corrupt
 */
export function readXenKernel(file: Uint8Array, pvh: boolean): { image: ElfImage; notes: XenNotes } {
  const image = readElfKernel(file);
  const notes = readXenNotes(image);
  if (!notes)
    throw buildError(
      'kernel-unsupported',
      'This ELF kernel says nothing about Xen.',
      'It has neither Xen notes nor a __xen_guest section.',
      'Use a kernel built for Xen, or start it in native mode.',
      'kernel',
    );
  if (pvh && notes.pvhEntry === null)
    throw buildError(
      'kernel-unsupported',
      'This kernel has no PVH entry point.',
      'Its Xen notes lack PHYS32_ENTRY.',
      'Start it as a PV domain.',
      'mode',
    );
  if (!pvh && notes.source === 'notes' && notes.loader === '' && notes.guestOs === '' && notes.pvhEntry !== null)
    throw buildError(
      'kernel-unsupported',
      'This kernel is not paravirtual.',
      'Its only Xen note is a PVH entry point.',
      'Start it as a PVH domain.',
      'mode',
    );
  return { image, notes };
}
