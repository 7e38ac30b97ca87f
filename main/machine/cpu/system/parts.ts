// The parts of the system side, handed to every family of routines.

import type { GuestAccess } from './access.ts';
import type { SystemContext } from './context.ts';
import type { PageWalker } from './paging.ts';
import type { CpuState } from './state.ts';

export interface SystemParts {
  readonly ctx: SystemContext;
  readonly state: CpuState;
  readonly walker: PageWalker;
  readonly access: GuestAccess;
}

/** A system routine: gets the address of the operation record, returns a value of Next. */
export type Routine = (op: number) => number;

/** Brings F.mode, F.tlb and F.flatLimit up to date; flushes the TLBs if they hold pages beyond a lower flat limit. True if the mode changed. */
export function modeChanged(parts: SystemParts): boolean {
  const change = parts.state.recomputeMode();
  if (change === 2) parts.ctx.flushTlb(true);
  return change !== 0;
}
