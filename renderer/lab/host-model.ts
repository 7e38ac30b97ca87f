// What a host's panel shows: a projection of what the engine says, in words.
import type { DomainStatus, HostStatus, MemorySpan } from '../../shared/model.ts';
import { formatMiB } from '../format/memory.ts';
import { messages } from '../messages/index.ts';
import type { MemorySegment } from './MemoryMap.vue';

/** Machine frames are 4 KiB. */
const FRAMES_PER_MIB = 256;

export interface HostModel {
  readonly name: string;
  /** "Xen interface · 4 pCPU · 4 096 MiB" */
  readonly detail: string;
  readonly spoken: string;
  readonly pcpus: readonly { readonly index: number; readonly running: string | undefined }[];
  readonly segments: readonly MemorySegment[];
  readonly freeMiB: number;
  /** Why it takes no domains now; undefined when it does. */
  readonly closed: string | undefined;
  readonly lost: string | undefined;
}

export function hostModel(host: HostStatus, domains: ReadonlyMap<string, DomainStatus>): HostModel {
  const { name, pcpus, memoryMiB } = host.spec;
  const kind = host.native ? messages.lab.native : messages.lab.hypervisor;
  const detail = [kind, messages.lab.pcpuCount(pcpus), formatMiB(memoryMiB)].join(' · ');
  const lost = host.state === 'lost' ? (host.reason ?? messages.lab.lost) : undefined;
  return {
    name,
    detail,
    spoken: messages.lab.hostName(name, pcpus, formatMiB(memoryMiB), formatMiB(host.freeMiB)),
    pcpus: host.pcpus.map((pcpu, index) => ({
      index,
      running: pcpu.running === null ? undefined : domains.get(pcpu.running)?.name,
    })),
    segments: visibleSpans(host.memory).map((span) => segment(span, domains)),
    freeMiB: host.freeMiB,
    closed:
      lost ?? (host.state === 'starting' ? messages.lab.starting : host.native ? messages.lab.nativeTaken : undefined),
    lost,
  };
}

/** Stretches shorter than this share of the host are less than a pixel wide. */
const VISIBLE_SHARE = 1 / 500;

/**
 * Machine memory as it can be drawn: neighbours of one owner as one, and a stretch too short to see as part of the one before
 * it, unless it is all that its owner has.
 */
export function visibleSpans(spans: readonly MemorySpan[]): MemorySpan[] {
  const total = spans.reduce((sum, span) => sum + span.frames, 0);
  const largest = new Map<string | null, number>();
  for (const { owner, frames } of spans) largest.set(owner, Math.max(frames, largest.get(owner) ?? 0));
  const kept: MemorySpan[] = [];
  for (const span of spans) {
    const last = kept.at(-1);
    const tiny = span.frames < total * VISIBLE_SHARE && largest.get(span.owner)! > span.frames;
    if (last && (tiny || last.owner === span.owner)) last.frames += span.frames;
    else kept.push({ ...span });
  }
  return kept;
}

function segment(span: HostStatus['memory'][number], domains: ReadonlyMap<string, DomainStatus>): MemorySegment {
  const mib = span.frames / FRAMES_PER_MIB;
  const domain = span.owner === null ? undefined : domains.get(span.owner);
  const owner = domain ? domain.colour : span.owner === 'hypervisor' ? 'hypervisor' : undefined;
  const title = domain?.name ?? (owner === 'hypervisor' ? messages.lab.hypervisorMemory : messages.lab.freeMemory);
  return {
    key: `${span.firstFrame}`,
    mib,
    mark: domain ? String(domain.domid) : '',
    owner,
    title: messages.lab.memorySegment(title, mib),
  };
}

export const sameSegments = (a: readonly MemorySegment[], b: readonly MemorySegment[]): boolean =>
  a.length === b.length && a.every((segment, i) => sameSegment(segment, b[i]));

function sameSegment(a: MemorySegment, b: MemorySegment): boolean {
  return a.key === b.key && a.title === b.title && a.owner === b.owner && a.mark === b.mark;
}
