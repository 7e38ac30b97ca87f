// From a kernel file to the ELF image that a PV or PVH domain is built from.

import { BulkheadError } from '../../../shared/errors.ts';
import { extractVmlinux, isBzImage, parseBzImage } from '../../machine/boot/bzimage.ts';
import { type ElfImage, ElfMachine, isElf, parseElf } from '../../machine/boot/elf.ts';
import { KernelImageError } from '../../machine/boot/errors.ts';
import { unpackKernelFile } from '../../machine/boot/load.ts';

const WHY: Record<KernelImageError['problem'], { why: string; action: string }> = {
  damaged: {
    why: 'What the file says about itself does not fit what is in it: it is cut short or was changed.',
    action: 'Fetch or build the kernel again.',
  },
  unsupported: {
    why: 'The file is whole, but this build does not know its kind.',
    action: 'Use an ELF kernel, or a Linux bzImage with a gzip, xz, lz4 or zstd payload.',
  },
  'unknown-format': {
    why: 'It begins like no kernel that this build knows.',
    action: 'Use an ELF kernel, or a Linux bzImage.',
  },
  'too-large': {
    why: 'The kernel and what comes with it must lie in the memory of the domain.',
    action: 'Give the domain more memory, or use a smaller kernel or initial RAM disk.',
  },
};

/** A loader's error in the app's words. */
export function kernelError(error: KernelImageError): BulkheadError {
  return new BulkheadError({
    code:
      error.problem === 'damaged'
        ? 'kernel-corrupt'
        : error.problem === 'too-large'
          ? 'not-enough-memory'
          : 'kernel-unsupported',
    what: error.message,
    why: WHY[error.problem].why,
    action: WHY[error.problem].action,
    field: 'kernel',
  });
}

/**
 * Takes the ELF kernel out of a bzImage or a gzip file; anything else comes back as it is. Asynchronous because some
 * payloads unpack in the background. Call it before createDomain for pv, pvh and hvm domains.
 * @throws BulkheadError when the image is damaged or its compression is not read
 */
export async function prepareKernel(file: Uint8Array): Promise<Uint8Array> {
  try {
    const bytes = unpackKernelFile(file);
    return isBzImage(bytes) ? await extractVmlinux(parseBzImage(bytes)) : bytes;
  } catch (error) {
    throw error instanceof KernelImageError ? kernelError(error) : error;
  }
}

/** @throws BulkheadError unless the bytes are an x86 ELF kernel. */
export function readElfKernel(file: Uint8Array): ElfImage {
  try {
    const bytes = unpackKernelFile(file);
    if (isBzImage(bytes))
      throw new BulkheadError({
        code: 'kernel-unsupported',
        what: 'This is a compressed Linux image.',
        why: 'The domain builder reads the ELF kernel inside, and it has not been taken out.',
        action: 'Please report this: the engine prepares kernels before it builds a domain.',
        field: 'kernel',
      });
    if (!isElf(bytes))
      throw new BulkheadError({
        code: 'kernel-unsupported',
        what: 'This file is not a kernel that a domain can run.',
        why: 'It is neither an ELF file nor a Linux bzImage.',
        action: 'Use an ELF kernel with Xen notes, or a Linux bzImage built for Xen.',
        field: 'kernel',
      });
    const image = parseElf(bytes);
    if (image.machine !== ElfMachine.I386 && image.machine !== ElfMachine.X86_64)
      throw new BulkheadError({
        code: 'kernel-unsupported',
        what: `This ELF file is for another processor (machine ${image.machine}).`,
        why: 'The simulated hosts are x86.',
        action: 'Use a kernel for i386 or x86-64.',
        field: 'kernel',
      });
    return image;
  } catch (error) {
    throw error instanceof KernelImageError ? kernelError(error) : error;
  }
}
