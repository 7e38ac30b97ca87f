// One migration as the lab sees it: what its two hosts said, put together into the report that the window shows.

import type { MigrationPolicy, MigrationReport } from '../../shared/migration-service.ts';
import type { DomainSpec, LinkSpec } from '../../shared/model.ts';
import type { Chunk, SenderReport } from '../toolstack/simulated-host.ts';
import type { LabHost } from './hosts.ts';
import type { LabDomain } from './lab-domain.ts';
import type { RunningTask } from './tasks.ts';

/** Where a run is, for tests that make something fail there. `round` counts from 1. */
export type MigrationPoint =
  'started' | 'live' | 'suspending' | 'last-pages' | 'sent' | 'complete' | 'handover' | 'activated';

export interface MigrationRun {
  readonly id: number;
  readonly domain: LabDomain;
  readonly from: LabHost;
  readonly to: LabHost;
  readonly running: RunningTask;
  readonly report: MigrationReport;
  readonly latencyNs: number;
  /** What it is on the target: with the images that its disks have there. */
  readonly spec: DomainSpec;
  /** Positions of the disks that are copied along. */
  readonly copied: readonly number[];
  readonly wallStart: number;
  /** Ends the task: without an error, or with why it failed. */
  readonly end: (error: Error | null) => void;
  /** Lab time up to which it has been driven. */
  drivenTo: number;
  /** Left the source, not yet at the target; `at` is the time of arrival. */
  inFlight: Chunk[];
  /** The source has sent all of it. */
  allSent: boolean;
  /** Lab time at which the target had all of it, and when that is known at the source. */
  completeAt: number | null;
  /** Lab time at which something last moved. */
  movedAt: number;
  /** What the source is busy with, for the pace of the clock; null = nothing is known yet. */
  stage: SenderReport['stage'] | null;
  /** Told when it gets to a point. */
  readonly reach: (point: MigrationPoint | 'failed') => Promise<void>;
  /** Told when it is over, either way. */
  readonly over: () => void;
  /** Told when anything of its report changed. */
  readonly changed: () => void;
}

/** A report of a run that begins. */
export function newReport(
  id: number,
  domain: LabDomain,
  to: string,
  policy: MigrationPolicy,
  link: LinkSpec,
  now: number,
): MigrationReport {
  return {
    id,
    uuid: domain.uuid,
    name: domain.spec.name,
    mode: domain.spec.mode,
    from: domain.host,
    to,
    policy,
    link: { ...link },
    state: 'checking',
    failure: null,
    startedAt: now,
    endedAt: null,
    totalNs: 0,
    wallMs: 0,
    memoryPages: 0,
    pagesSent: 0,
    pagesNeverSent: 0,
    bytesSent: 0,
    rounds: [],
    stopReason: null,
    downtime: null,
    predictedDowntimeNs: null,
    predictedTotalNs: null,
    progress: 0,
    heat: [],
  };
}

/** Takes over what the source says of its end. */
export function takeSenderReport(report: MigrationReport, s: SenderReport, now: number): void {
  report.memoryPages = s.memoryPages;
  report.rounds = s.rounds;
  report.pagesSent = s.pagesSent;
  report.pagesNeverSent = Math.max(0, s.memoryPages - s.pagesTouched);
  report.bytesSent = s.bytesSent;
  report.stopReason = s.stopReason;
  report.predictedDowntimeNs = s.predictedDowntimeNs;
  report.predictedTotalNs = s.predictedTotalNs;
  report.heat = s.heat;
  report.stopAsked = s.stopAsked;
  report.totalNs = now - report.startedAt;
  if (report.state !== 'resuming')
    report.state = s.phase === 'live' || s.phase === 'failed' ? 'live' : 'stopped-and-copying';
  const expected = s.bytesExpected;
  if (expected > 0) report.progress = Math.max(report.progress, Math.min(0.99, s.bytesSent / expected));
}

/** What a run does now, in a few words. */
export function phaseOf(report: MigrationReport): string {
  const round = report.rounds.length + 1;
  if (report.state === 'live') return `round ${round}`;
  if (report.state === 'stopped-and-copying') return 'stop-and-copy';
  return report.state;
}

const milliseconds = (ns: number): string => `${(ns / 1e6).toFixed(ns < 10e6 ? 2 : 1)} ms`;

export function doneSentence(r: MigrationReport): string {
  const live = r.rounds.filter((x) => !x.final).length;
  return `${r.name} runs on ${r.to}: downtime ${milliseconds(r.downtime?.totalNs ?? 0)}, ${live} ${live === 1 ? 'round' : 'rounds'}, ${(r.bytesSent / 2 ** 20).toFixed(1)} MiB sent`;
}

/** One run as CSV: a line per round, then the totals as a line of their own with round 0. */
export function toCsv(r: MigrationReport): string {
  const columns = [
    'round',
    'final',
    'startedAt',
    'durationNs',
    'pagesSent',
    'pagesSkipped',
    'pagesDirtied',
    'bytesSent',
    'sendMbit',
    'dirtyMbit',
    'predictedDowntimeNs',
    'wallMs',
  ] as const;
  const total = {
    round: 0,
    final: true,
    startedAt: r.startedAt,
    durationNs: r.totalNs,
    pagesSent: r.pagesSent,
    pagesSkipped: r.rounds.reduce((n, x) => n + x.pagesSkipped, 0),
    pagesDirtied: r.rounds.reduce((n, x) => n + x.pagesDirtied, 0),
    bytesSent: r.bytesSent,
    sendMbit: r.totalNs > 0 ? (r.bytesSent * 8000) / r.totalNs : 0,
    dirtyMbit: 0,
    predictedDowntimeNs: r.downtime?.totalNs ?? null,
    wallMs: r.wallMs,
  };
  return (
    [columns.join(','), ...[...r.rounds, total].map((x) => columns.map((c) => x[c] ?? '').join(','))].join('\n') + '\n'
  );
}
