// What a host under the hypervisor reports about itself: the state and figures of a domain, the map of machine memory, and
// the digest by which two histories are compared.

import { createHash } from 'node:crypto';
import type { DomainSpec, DomainState, Figures } from '../../shared/model.ts';
import type { BlockBackend } from '../backends/block/block-backend.ts';
import type { ConsoleRing } from '../backends/console/console-ring.ts';
import type { NetBackend } from '../backends/network/net-backend.ts';
import type { StoreRing } from '../backends/xenstore/ring.ts';
import { DOMID_XEN, Runstate } from '../hypervisor/abi/constants.ts';
import type { Domain } from '../hypervisor/domain.ts';
import type { Host } from '../hypervisor/host.ts';
import { FrameType, OWNER_NONE } from '../hypervisor/memory/frame-table.ts';
import type { HostDomainStatus, SimulatedHost } from './simulated-host.ts';

const SHUTDOWN_NAMES = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft-reset'];
const SHUTDOWN_SENTENCES = [
  'The guest switched itself off.',
  'The guest asked to be restarted.',
  'The guest suspended itself.',
  'The guest crashed.',
  "The guest's watchdog ran out.",
  'The guest asked for a soft reset.',
];

/** A domain with what belongs to it outside the hypervisor. */
export interface Entry {
  readonly domain: Domain;
  readonly spec: DomainSpec;
  readonly bits: 32 | 64;
  readonly console: ConsoleRing;
  readonly storeRing: StoreRing;
  readonly disks: BlockBackend[];
  readonly nics: NetBackend[];
  /** MAC addresses in the order of spec.nics. */
  readonly macs: string[];
  consoleBytes: number;
  /** The guest was asked to suspend itself, or has done so for whoever saves or moves it. */
  suspension: Suspension | null;
}

export interface Suspension {
  readonly state: 'asked' | 'withdrawn';
  /** The vCPU that made the call, once it was made. */
  vcpu: number;
  /** Told when the domain has shut down, from within the guest's call. */
  readonly stopped: () => void;
}

/** Why a domain is paused that has reached a breakpoint. */
export function breakpointSentence(vcpu: number, address: bigint): string {
  return `vCPU ${vcpu} reached the breakpoint at 0x${address.toString(16)}.`;
}

export function statusOf(entry: Entry): HostDomainStatus {
  const d = entry.domain;
  let state: DomainState = 'blocked';
  if (d.crashReason !== null || d.shutdownReason === 3) state = 'crashed';
  else if (entry.suspension && d.shutdownReason === 2) state = 'paused';
  else if (d.shutdownReason !== null) state = 'shutdown';
  else if (d.pauseCount > 0) state = 'paused';
  else if (d.vcpus.some((v) => v.runnable)) state = 'running';
  // Suspended on request it has not ended: it goes on here or elsewhere.
  const ended = state === 'paused' ? null : d.shutdownReason;
  const hit = d.breakpointHit;
  return {
    domid: d.domid,
    state,
    reason:
      d.crashReason ?? (ended !== null ? SHUTDOWN_SENTENCES[ended] : hit && breakpointSentence(hit.vcpu, hit.address)),
    shutdown: ended === null ? null : SHUTDOWN_NAMES[ended],
    bits: entry.bits,
    cpuNs: d.vcpus.reduce((sum, v) => sum + v.runstateSnapshot()[Runstate.Running], 0),
    memoryMiB: Math.round((d.totalPages / 256) * 100) / 100,
    consoleBytes: entry.consoleBytes,
  };
}

export function figuresOf(host: Host, entry: Entry): Figures {
  const d = entry.domain;
  const { frames } = host;
  const pages: Record<string, number> = {};
  const names: Record<number, string> = {
    [FrameType.None]: 'untyped',
    [FrameType.L1]: 'L1',
    [FrameType.L2]: 'L2',
    [FrameType.L3]: 'L3',
    [FrameType.L4]: 'L4',
    [FrameType.SegDesc]: 'descriptors',
    [FrameType.L2Xen]: 'L2',
    [FrameType.Writable]: 'writable',
  };
  // A domain's frames lie in runs: what is between them is looked over by the array itself, many times a second while a window watches.
  const { owner, type, typeCount } = frames;
  const counts = new Uint32Array(256);
  for (let mfn = owner.indexOf(d.domid); mfn >= 0; mfn = owner.indexOf(d.domid, mfn)) {
    for (; owner[mfn] === d.domid; mfn++) counts[typeCount[mfn] ? type[mfn] : FrameType.None]++;
  }
  for (const [kind, name] of Object.entries(names))
    if (counts[Number(kind)] > 0) pages[name] = (pages[name] ?? 0) + counts[Number(kind)];
  const { counters } = d;
  return {
    instructions: d.vcpus.reduce((sum, v) => sum + v.instructions, 0),
    cpuNs: d.vcpus.reduce((sum, v) => sum + v.runstateSnapshot()[Runstate.Running], 0),
    hypercalls: Object.fromEntries(counters.hypercalls),
    exits: Object.fromEntries(counters.exits),
    faults: { page: counters.pageFaults, emulatedTableWrites: counters.emulatedWrites, delivered: counters.injected },
    pages,
    io: {
      eventsSent: d.events.sent,
      storeRequests: entry.storeRing.requests,
      ...sumFigures(entry.disks),
      ...sumFigures(entry.nics),
    },
  };
}

export function memorySpans(host: Host, lent: (domid: number) => boolean): ReturnType<SimulatedHost['memoryMap']> {
  const { owner, frames } = host.frames;
  const spans: ReturnType<SimulatedHost['memoryMap']> = [];
  for (let mfn = 0; mfn < frames;) {
    const first = mfn;
    const who = owner[mfn];
    while (mfn < frames && owner[mfn] === who) mfn++;
    spans.push({
      owner: who === OWNER_NONE || lent(who) ? null : who === DOMID_XEN ? 'hypervisor' : who,
      firstFrame: first,
      frames: mfn - first,
    });
  }
  return spans;
}

/** Over all vCPU states and all frames that domains own, in order. */
export function digestOf(host: Host): string {
  const hash = createHash('sha256');
  const { frames, mem } = host;
  for (const d of host.domains.values())
    for (const v of d.vcpus)
      hash.update(
        JSON.stringify(v.machine.saveState(), (_k, value: unknown) =>
          typeof value === 'bigint' ? value.toString(16) : value,
        ),
      );
  for (let mfn = 0; mfn < frames.frames; mfn++) if (frames.owner[mfn] < 0x7ff0) hash.update(mem.frame(mfn));
  return hash.digest('hex');
}

/** Figures of several devices of one kind, added up. */
function sumFigures(devices: readonly { readonly figures: object }[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { figures } of devices)
    for (const [key, n] of Object.entries(figures) as [string, number][]) sum[key] = (sum[key] ?? 0) + n;
  return sum;
}
