// What the engine needs of one simulated host. Implemented by createSimulatedHost in main/toolstack/index.ts; runs inside the host's worker thread.
// Invariant: between two calls of advance() nothing happens, so a host's history is a function of its spec, its seed and the calls made at each virtual time.

import type { CaptureStatus, DomainSpec, DomainState, Figures, HostSpec, MemorySpan } from '../../shared/model.ts';
import type { VirtualNs } from '../../shared/units.ts';
import type { LinkFrame } from '../backends/network/uplink.ts';
import type { InspectionHandlers } from './inspection/calls.ts';
import type { MigrationEnds } from './migration/host-end.ts';
import type { SavingEnds } from './saving/host-end.ts';

/** The bytes of the files a spec names, read by the engine. */
export interface DomainFiles {
  kernel: Uint8Array;
  ramdisk?: Uint8Array;
  /** In the order of spec.disks. */
  disks: DiskBacking[];
}
/** A disk image as the block backend reads and writes it. */
export interface DiskBacking {
  readonly bytes: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, data: Uint8Array): void;
  flush(): void;
  /** Its domain is gone. */
  close?(): void;
}

export interface HostDomainStatus {
  domid: number;
  state: DomainState;
  /** One sentence when it crashed or shut down. */
  reason: string | null;
  /** Why it shut down: 'poweroff', 'reboot', 'suspend', 'crash', 'watchdog'; null while it runs. */
  shutdown: string | null;
  bits: 32 | 64;
  cpuNs: number;
  memoryMiB: number;
  consoleBytes: number;
  /** Captures of its network interfaces. */
  captures?: CaptureStatus[];
}

export interface HostCallbacks {
  /** Console output of a domain, in order. */
  console(domid: number, bytes: Uint8Array): void;
  /** A domain's state changed (blocked and running alternate too often to be told). */
  stateChanged(domid: number): void;
}

export interface SimulatedHost {
  readonly spec: HostSpec;
  /** Runs the host's pCPUs up to lab time `until`. Returns early only when `stop()` was called from a callback. */
  advance(until: VirtualNs): AdvanceResult;
  /** Builds a domain and leaves it runnable (unpacking a kernel may take time; advance() is not called meanwhile). Throws BulkheadError and leaves nothing behind when it cannot. */
  createDomain(spec: DomainSpec, files: DomainFiles): number | Promise<number>;
  pauseDomain(domid: number): void;
  unpauseDomain(domid: number): void;
  /** Asks the guest (xenstore control/shutdown, or the ACPI power button of a native machine). */
  shutdownDomain(domid: number, reason: 'poweroff' | 'reboot'): void;
  /** Asks the guest's balloon driver for this size (xenstore memory/target). Above the domain's own memory, or on a native machine: BulkheadError. */
  setMemoryTarget(domid: number, memoryMiB: number): void;
  /** Domains whose guests watch their memory target: those that have a balloon driver. */
  balloonable(): number[];
  /** Asks the guest to use its first `vcpus` vCPUs (xenstore cpu/<n>/availability). More than it was built with, none, or a native machine: BulkheadError. */
  setVcpus(domid: number, vcpus: number): void;
  /** Writes every frame of a domain's network interface (counted from 0) to a pcap file, from now until stopCapture. */
  startCapture(domid: number, nic: number, path: string): void;
  stopCapture(domid: number, nic: number): void;
  /**
   * Ends a domain. With `keep` it is only put away under that key, unseen and stopped, until reviveDomain(key), dropDomain(key) or until its
   * memory, vCPUs or disks are needed. @returns whether it was kept
   */
  destroyDomain(domid: number, keep?: string): boolean;
  /** Brings a kept domain back as it was. @returns its number, or -1 when it is no longer there */
  reviveDomain(key: string): number;
  /** Ends a kept domain for good; nothing when it is no longer there. */
  dropDomain(key: string): void;
  consoleInput(domid: number, bytes: Uint8Array): void;
  domainStatus(domid: number): HostDomainStatus;
  domains(): number[];
  figures(domid: number): Figures;
  freeMiB(): number;
  /**
   * Bytes of this computer's memory that translated guest code takes, and may take at most; places of guest code that the translator failed at. Null if
   * nothing is translated.
   */
  translation(): { bytes: number; limit: number; failed: number } | null;
  memoryMap(): { owner: number | 'hypervisor' | null; firstFrame: number; frames: number }[];
  /** Busy time of each pCPU by domid since the last call, virtual ns. */
  pcpuUse(): { running: number | null; busy: { domid: number; ns: number }[] }[];
  /** Stable hash (hex) of all architectural state: equal for equal histories. */
  digest(): string;
  /** Looking inside. */
  readonly inspection: InspectionHandlers;
  /** Its ends of live migrations. */
  readonly migration: MigrationEnds;
  /** Its ends of saving and restoring. */
  readonly saving: SavingEnds;
  /** Frames that left for other hosts since the last call. */
  takeFrames(): LinkFrame[];
  /** Frames from other hosts, each with its time of arrival. */
  receiveFrames(frames: readonly LinkFrame[]): void;
  dispose(): void;
}
export interface AdvanceResult {
  now: VirtualNs;
  /** Nothing can happen before this time without input from outside (Infinity when nothing is scheduled); equal to `now` while something runs. */
  idleUntil: VirtualNs;
}
export type { MemorySpan };
export type { LinkFrame } from '../backends/network/uplink.ts';
export type { Chunk, SenderReport } from './migration/sender.ts';
