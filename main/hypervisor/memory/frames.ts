// Where a machine frame's bytes are in host memory, and clearing one.

import type { HostMemory } from '../../machine/cpu/host-memory.ts';
import { PAGE, RAM_BASE } from '../../machine/cpu/layout.ts';

/** Byte address in host memory of frame `mfn`; frameAddress(0) is the base that machine addresses are added to. */
export function frameAddress(mfn: number): number {
  return RAM_BASE + mfn * PAGE;
}

/** Zeroes a frame; code decoded from it is forgotten. */
export function clearFrame(mem: HostMemory, mfn: number): void {
  mem.fill(mfn * PAGE, 0, PAGE);
}
