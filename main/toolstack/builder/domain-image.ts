// What the builder is given, and what it leaves: the same for PV and PVH.

import type { Domain } from '../../hypervisor/domain.ts';
import { BulkheadError, type ErrorCode } from '../../../shared/errors.ts';

export interface DomainImage {
  kernel: Uint8Array;
  ramdisk: Uint8Array | null;
  cmdline: string;
  memoryBytes: number;
  vcpus: number;
}

/** Pages that connect a domain with its backends. */
export interface Rings {
  consoleMfn: number;
  storeMfn: number;
  consolePort: number;
  storePort: number;
}

export interface BuiltDomain {
  domain: Domain;
  rings: Rings;
  bits: 32 | 64;
}

/** A builder's error: what was found, and what would work. */
export function buildError(code: ErrorCode, what: string, why: string, action: string, field?: string): BulkheadError {
  return new BulkheadError({ code, what, why, action, field });
}
