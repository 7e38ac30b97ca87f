// Streams that Xen itself made carry no configuration of ours: what is needed of it, worked out from what they do carry.

import type { DomainSpec } from '../../../shared/model.ts';
import { SAVED_VERSION, type SavedDomain, type StreamConfig } from './config.ts';
import { DomainType, type ImageHeader } from './headers.ts';
import type { LibxcRecord } from './records.ts';

/** Stands for the kernel of a domain that was not started here: it cannot be booted again from it. */
export const UNKNOWN_KERNEL = 'restored-from-a-file';

/** The facts that the records of a foreign stream give; feed it every record. */
export class ForeignFacts {
  bits: 32 | 64 = 64;
  pages = 0;
  vcpus = 1;
  private readonly seen = new Set<number>();

  note(r: LibxcRecord): void {
    if (r.type === 'X86_PV_INFO') this.bits = r.guestWidth === 4 ? 32 : 64;
    else if (r.type === 'X86_PV_VCPU_BASIC') this.vcpus = Math.max(this.vcpus, r.vcpu + 1);
    else if (r.type === 'HVM_CONTEXT') this.vcpus = Math.max(this.vcpus, vcpusOf(r.context));
    else if (r.type === 'PAGE_DATA')
      for (const pfn of r.pfns) {
        if (this.seen.has(pfn)) continue;
        this.seen.add(pfn);
        this.pages++;
      }
  }
}

/** How many vCPUs an HVM context has: the highest instance of its CPU entries (public/hvm/save.h). */
function vcpusOf(context: Uint8Array): number {
  const view = new DataView(context.buffer, context.byteOffset, context.length);
  let count = 0;
  for (let at = 0; at + 8 <= context.length; at += 8 + view.getUint32(at + 4, true))
    if (view.getUint16(at, true) === 2) count = Math.max(count, view.getUint16(at + 2, true) + 1);
  return count;
}

/** A spec for a foreign stream. */
export function foreignSpec(
  config: StreamConfig | null,
  type: ImageHeader['type'],
  facts: ForeignFacts,
  name: string,
): DomainSpec {
  return {
    name,
    mode: type === DomainType.PV ? 'pv' : 'pvh',
    kernel: UNKNOWN_KERNEL,
    cmdline: config?.cmdline ?? '',
    memoryMiB: Math.max(4, Math.ceil(Math.max(facts.pages / 256, (config?.memoryKiB ?? 0) / 1024))),
    vcpus: Math.max(facts.vcpus, config?.vcpus ?? 1),
    disks: [],
    nics: [],
    weight: 256,
    cap: 0,
  };
}

/** What our own configuration would say. */
export function foreignDomain(spec: DomainSpec, type: ImageHeader['type'], bits: 32 | 64 = 64): SavedDomain {
  const bytes = spec.memoryMiB * 2 ** 20;
  return {
    version: SAVED_VERSION,
    spec,
    uuid: '',
    bits,
    host: '',
    savedAt: 0,
    clockMHz: 0,
    // Besides its memory an HVM domain has a few pages of rings and tables.
    maxPages: spec.memoryMiB * 256 + (type === DomainType.HVM ? 64 : 0),
    memoryMap: [{ address: 0, size: bytes, type: 1 }],
    consoleBytes: 0,
    macs: [],
  };
}
