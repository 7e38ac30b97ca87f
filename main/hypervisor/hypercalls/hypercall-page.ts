// The page through which a guest calls: 32 bytes of code for each hypercall number.

import type { Domain } from '../domain.ts';
import { PAGE_SIZE } from '../abi/constants.ts';

const IRET = 23;
const STUBS = PAGE_SIZE / 32;

/** Fills frame `mfn` with the calling sequences of the domain's kind. */
export function writeHypercallPage(d: Domain, mfn: number): void {
  const page = new Uint8Array(PAGE_SIZE).fill(0xcc);
  for (let n = 0; n < STUBS; n++) page.set(stub(d, n), n * 32);
  d.mem.copyIn(mfn * PAGE_SIZE, page);
}

function stub(d: Domain, n: number): number[] {
  const mov = [0xb8, n, 0, 0, 0]; // mov $n, %eax
  if (d.kind === 'hvm') return n === IRET ? [0x0f, 0x0b] : [...mov, 0x0f, 0x01, 0xc1, 0xc3]; // vmcall; ret
  if (d.kind === 'pv32') return n === IRET ? [0x50, ...mov, 0xcd, 0x82] : [...mov, 0xcd, 0x82, 0xc3]; // int $0x82; ret
  // push %rcx; push %r11; [push %rax;] mov; syscall; pop %r11; pop %rcx; ret
  return n === IRET
    ? [0x51, 0x41, 0x53, 0x50, ...mov, 0x0f, 0x05]
    : [0x51, 0x41, 0x53, ...mov, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3];
}
