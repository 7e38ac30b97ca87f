// What save, clone and migration need of the two ends: a domain that is read, and a domain that is rebuilt from what was read.
// Both live in a host's worker; nothing here advances the clock, and nothing runs guest code.

import type { BulkheadError } from '../../../shared/errors.ts';
import type { DomainSpec } from '../../../shared/model.ts';
import type { SavedDomain } from '../stream/config.ts';
import type { LibxcRecord, PageData } from '../stream/records.ts';
import type { DiskBacking } from '../simulated-host.ts';

/** A domain as records. Made by XenHost.domainSource(domid); throws BulkheadError when this kind of domain cannot be read. */
export interface DomainSource {
  readonly domid: number;
  /** What goes in front of the stream (StreamWriter.headers). */
  saved(): SavedDomain;
  /** STATIC data and PV's own facts, in the stream's order: everything before the first page. May be called while the guest runs. */
  headerRecords(): LibxcRecord[];
  /**
   * Every frame number that exists now, ascending; ballooned and shared pages are left out. PV: guest (pseudo-physical) frames by the
   * M2P; PVH: guest-physical frames. Fresh at each call.
   */
  pfns(): number[];
  /** One past the highest frame number ever used: the size of a bitmap over pfns. */
  readonly pfnLimit: number;
  /** Machine frame behind a frame number (-1: none). For log-dirty. Valid until the guest runs again. */
  mfnOf(pfn: number): number;
  /**
   * The contents of up to 1024 frames as they are now. Page tables carry guest frame numbers; entries that point at nothing of the
   * domain's own (a mapped shared_info) travel as absent. Frames that do not exist (any more) travel with type Absent.
   */
  pageRecord(pfns: readonly number[]): PageData;
  /**
   * Asks the guest to suspend itself (control/shutdown), and calls back once: null when it has, or why it has not. The callback comes
   * from the host's timers, between instructions: the domain's state may be read in it, and pages may be sent.
   * @param timeoutNs virtual; afterwards the request is withdrawn and the refusal is guest-refused
   */
  suspend(done: (refusal: BulkheadError | null) => void, timeoutNs?: number): void;
  /** True between a successful suspend() and resumeHere() or the domain's end. */
  readonly suspended: boolean;
  /** While suspended: everything after the last page, without END. */
  stateRecords(): LibxcRecord[];
  /** While suspended: the guest goes on here; its SCHEDOP_shutdown returns 1 (cancelled). Also withdraws a request not yet answered. */
  resumeHere(): void;
}

/** Who the rebuilt domain is: the same (migration) or another (restore, clone). */
export interface Identity {
  name: string;
  uuid: string;
  /** Per nic of the spec, or null for the address that follows from the uuid. */
  macs: (string | null)[];
}

export interface RebuildOptions {
  saved: SavedDomain;
  identity: Identity;
  /** In the order of saved.spec.disks; opened, or openable by the time finish() is called. */
  disks: () => DiskBacking[];
  /** The spec of the new domain, when it differs from the saved one (name, disks' paths, MACs). */
  spec?: DomainSpec;
  /** Leave it paused. */
  paused?: boolean;
}

/** A domain that comes into being from records. Made by XenHost.rebuild(options), which already holds its memory's account. */
export interface DomainRebuild {
  /** Its number on this host, from the start; it is not among domains() until finish(). */
  readonly domid: number;
  /** Takes one record of the libxc layer. @throws BulkheadError; the caller then calls abandon() */
  record(r: LibxcRecord): void;
  /** Frames that hold contents now. */
  readonly pages: number;
  /**
   * After the last record: translates, pins and validates, loads the vCPUs, connects console, xenstore and devices.
   * @returns the domid; the guest runs on as if its suspend call had returned 0. @throws BulkheadError; the caller then calls abandon()
   */
  finish(): number;
  /** Nothing of it is left on this host. Harmless after finish() has failed; an error after it has succeeded. */
  abandon(): void;
}
