// Moving, keeping and copying domains: the part of the lab service that save, restore, clone and live migration need, and what they report.
// Invariant: a report is complete in virtual time alone; wall-clock figures stand beside it and never decide anything.

import { z } from 'zod';
import { event, method } from './rpc.ts';

const none = z.strictObject({});

/**
 * When pre-copy goes on and when it stops. Names and defaults as in the sources: `xen-2.0.6` (Clark et al., NSDI 2005, and xc_linux_save of
 * 2005), `xen-today` (libxenguest, sr_save.c), `stop-and-copy` (no live round at all).
 */
export const MigrationPolicy = z.strictObject({
  preset: z.enum(['xen-2.0.6', 'xen-today', 'stop-and-copy', 'custom']).default('xen-today'),
  /** Most live rounds; 0 = stop and copy at once. */
  maxRounds: z.int().min(0).max(1000),
  /** Stop when no more than so many pages remain. */
  targetPages: z.int().min(0),
  /** Stop when pages sent exceed this multiple of the domain's memory (Infinity is not sent over ports: 0 = never). */
  maxSentFactor: z.number().min(0),
  /** First round's rate limit and its growth with the dirty rate, Mbit/s; 0 = the link's bandwidth, no adaptation. */
  startMbit: z.number().min(0),
  stepMbit: z.number().min(0),
  ceilingMbit: z.number().min(0),
  /** Leave out of a round what is dirty again already. */
  skipRedirtied: z.boolean(),
});
export type MigrationPolicy = z.output<typeof MigrationPolicy>;

/** Why the live rounds ended. */
export const StopReason = z.enum([
  'few-pages-left',
  'round-limit',
  'sent-too-much',
  'not-converging',
  'stop-and-copy',
  'user',
]);
export type StopReason = z.output<typeof StopReason>;

export interface MigrationRound {
  /** 1.. ; the last one (stop-and-copy) has `final`. */
  round: number;
  final: boolean;
  /** Virtual ns. */
  startedAt: number;
  durationNs: number;
  pagesSent: number;
  /** Dirty again before they were sent, left for a later round. */
  pagesSkipped: number;
  /** Dirtied while the round ran. */
  pagesDirtied: number;
  bytesSent: number;
  /** Rates over the round, Mbit/s. */
  sendMbit: number;
  dirtyMbit: number;
  /** Downtime predicted before the round began, ns; null before the first figures exist. */
  predictedDowntimeNs: number | null;
  /** On this computer's clock. */
  wallMs: number;
}

export interface Downtime {
  suspendNs: number;
  lastPagesNs: number;
  stateNs: number;
  resumeNs: number;
  /** Until the target's switch has announced the domain's addresses. */
  networkNs: number;
  totalNs: number;
}

/** One run of a migration, live or ended. `id` is the id of its task. */
export interface MigrationReport {
  id: number;
  uuid: string;
  name: string;
  mode: string;
  from: string;
  to: string;
  policy: MigrationPolicy;
  link: { bandwidthMbit: number; latencyUs: number; loss: number };
  state: 'checking' | 'live' | 'stopped-and-copying' | 'resuming' | 'done' | 'failed' | 'aborted';
  /** One sentence when it failed or was aborted: what happened, why, and where the domain is now. */
  failure: string | null;
  startedAt: number;
  endedAt: number | null;
  totalNs: number;
  wallMs: number;
  memoryPages: number;
  pagesSent: number;
  /** Pages that never crossed (ballooned out, never written). */
  pagesNeverSent: number;
  bytesSent: number;
  rounds: MigrationRound[];
  stopReason: StopReason | null;
  downtime: Downtime | null;
  predictedDowntimeNs: number | null;
  predictedTotalNs: number | null;
  /** 0 to 1, of what is predicted to be sent. */
  progress: number;
  /** Stop-and-copy was asked for and begins when this round ends. */
  stopAsked?: boolean;
  /** Times each of up to 1024 equal stretches of the domain's memory was sent or dirtied, for the heat map; round by round, newest last. */
  heat: { round: number; dirtied: number[] }[];
}

export interface MigrationPrediction {
  /** Why it cannot be done now and what would make it possible; null = it can. */
  refusal: string | null;
  totalNs: number | null;
  downtimeNs: number | null;
  bytes: number | null;
}

/** One record of a migration stream, as the inspector lists it. */
export interface StreamRecord {
  index: number;
  /** Byte offset of its header in the file. */
  offset: number;
  /** Name of the libxc (or libxl) record, e.g. PAGE_DATA. */
  type: string;
  /** Of the body, without padding. */
  bytes: number;
  /** What it holds, in a sentence. */
  summary: string;
  /** What is wrong with it, or null. */
  problem: string | null;
}
export interface StreamReport {
  path: string;
  /** One sentence: what it is. */
  summary: string;
  /** Outer (libxl) and inner (libxc) headers, name and value. */
  facts: { label: string; value: string }[];
  /** Runs of like records are one row with a count in its summary; at most 2,000 rows. */
  records: StreamRecord[];
  /** Why it cannot be restored here, or null. */
  refusal: string | null;
}

export const migrationMethods = {
  /** The numbers behind a preset. */
  migrationPresets: method<Record<string, MigrationPolicy>>()(none),
  /** Checks and predicts without doing anything. */
  predictMigration: method<MigrationPrediction>()(z.strictObject({ uuid: z.string(), to: z.string() })),
  /** Starts it; ends it as a task that can be cancelled (aborting) until handover. Resolves when the domain runs on the other host. */
  migrateDomain: method<{ id: number }>()(
    z.strictObject({
      uuid: z.string(),
      to: z.string(),
      policy: MigrationPolicy.optional(),
      /** Per disk, by vdev: shared between the hosts (default) or copied along. */
      disks: z.record(z.string(), z.enum(['shared', 'copy'])).default({}),
      /** Resolve as soon as it has started. */
      detach: z.boolean().default(true),
    }),
  ),
  /** Ends the live rounds of a run: what is left when the present round ends is sent with the guest stopped. Its stop reason is then `user`. */
  stopAndCopyNow: method<void>()(z.strictObject({ id: z.int() })),
  /** Whether migrations slow the clock so that each of their rounds can be seen; kept in the lab file. */
  setMigrationPace: method<void>()(z.strictObject({ slow: z.boolean() })),
  /** The clock goes on at the chosen speed until another migration begins. */
  restoreSpeed: method<void>()(none),
  /** Every run of this lab, oldest first. */
  migrations: method<MigrationReport[]>()(none),
  /** Writes the report of one run. */
  exportMigration: method<void>()(z.strictObject({ id: z.int(), path: z.string(), format: z.enum(['json', 'csv']) })),
  /** Saves a domain to a file; it is gone from its host afterwards unless `keepRunning`. */
  saveDomain: method<{ path: string; bytes: number }>()(
    z.strictObject({ uuid: z.string(), path: z.string(), keepRunning: z.boolean().default(false) }),
  ),
  /** Restores a saved domain as a new domain with a new identity. Also takes files that real Xen made, as far as they can run here. */
  restoreDomain: method<{ uuid: string }>()(
    z.strictObject({
      host: z.string(),
      path: z.string(),
      name: z.string().optional(),
      paused: z.boolean().default(false),
    }),
  ),
  /** A copy of a running domain on the same host, with its own name, uuid and addresses. */
  cloneDomain: method<{ uuid: string }>()(z.strictObject({ uuid: z.string(), name: z.string().optional() })),
  inspectStream: method<StreamReport>()(z.strictObject({ path: z.string() })),
} as const;

export const migrationEvents = {
  /** The report of every run that changed, at most ten times a second. */
  migrations: event<MigrationReport[]>()(none),
} as const;
