// When pre-copy goes on, when it stops, how fast the next round is sent and what downtime to expect. Pure functions over rounds.
// Sources: Clark et al., "Live Migration of Virtual Machines", NSDI 2005, section 5.3 (adaptive rate); xc_linux_save.c of Xen 2.0.6
// (29 iterations after the first, 50 pages, three times the memory, 100 to 500 Mbit/s in steps of 50); libxenguest sr_save.c (5
// iterations, 50 pages).

import type { MigrationPolicy, StopReason } from '../../../shared/migration-service.ts';

export const PAGE_BITS = 4096 * 8;

export const PRESETS: Readonly<Record<MigrationPolicy['preset'], MigrationPolicy>> = {
  'xen-today': {
    preset: 'xen-today',
    maxRounds: 5,
    targetPages: 50,
    maxSentFactor: 0,
    startMbit: 0,
    stepMbit: 0,
    ceilingMbit: 0,
    skipRedirtied: false,
  },
  'xen-2.0.6': {
    preset: 'xen-2.0.6',
    maxRounds: 30,
    targetPages: 50,
    maxSentFactor: 3,
    startMbit: 100,
    stepMbit: 50,
    ceilingMbit: 500,
    skipRedirtied: true,
  },
  'stop-and-copy': {
    preset: 'stop-and-copy',
    maxRounds: 0,
    targetPages: 0,
    maxSentFactor: 0,
    startMbit: 0,
    stepMbit: 0,
    ceilingMbit: 0,
    skipRedirtied: false,
  },
  custom: {
    preset: 'custom',
    maxRounds: 5,
    targetPages: 50,
    maxSentFactor: 3,
    startMbit: 0,
    stepMbit: 0,
    ceilingMbit: 0,
    skipRedirtied: true,
  },
};

/** What a live round showed, as far as decisions need it. */
export interface RoundFigures {
  pagesSent: number;
  pagesSkipped: number;
  /** Pages the next round would have to send: dirtied meanwhile, skipped ones included. */
  pagesLeft: number;
  dirtyMbit: number;
  /** Rate limit it ran under, Mbit/s; 0 = the link's. */
  limitMbit: number;
}

/**
 * Rate limit of the next live round in Mbit/s, 0 = the link's own rate.
 * The first starts at the minimum; each later one is the dirty rate of the last plus the step, at most the ceiling.
 */
export function nextRate(policy: MigrationPolicy, rounds: readonly RoundFigures[]): number {
  if (policy.startMbit === 0) return 0;
  const last = rounds.at(-1);
  if (!last) return policy.startMbit;
  const rate = Math.max(policy.startMbit, last.dirtyMbit + policy.stepMbit);
  return policy.ceilingMbit > 0 ? Math.min(rate, policy.ceilingMbit) : rate;
}

/**
 * Why the live rounds end after those given, or null to go on.
 * @param memoryPages pages of the domain
 */
export function stopReason(
  policy: MigrationPolicy,
  rounds: readonly RoundFigures[],
  memoryPages: number,
): StopReason | null {
  if (policy.maxRounds === 0) return 'stop-and-copy';
  const last = rounds.at(-1);
  if (!last) return null;
  if (last.pagesLeft <= policy.targetPages) return 'few-pages-left';
  const sent = rounds.reduce((sum, r) => sum + r.pagesSent, 0);
  if (policy.maxSentFactor > 0 && sent > policy.maxSentFactor * memoryPages) return 'sent-too-much';
  if (rounds.length >= policy.maxRounds) return 'round-limit';
  // more sent than the time before although it went as fast as it may: more rounds will not help
  const before = rounds.at(-2);
  if (
    before &&
    policy.ceilingMbit > 0 &&
    last.limitMbit >= policy.ceilingMbit &&
    last.pagesSent + last.pagesSkipped > before.pagesSent + before.pagesSkipped
  )
    return 'not-converging';
  return null;
}

/** What a prediction starts from. */
export interface Outlook {
  /** Pages that the next round sends. */
  pages: number;
  memoryPages: number;
  /** Distinct pages dirtied per ns of the last round; null = not known yet. */
  dirtyPerNs: number | null;
  /** Payload the link carries, bytes per ns. */
  linkBytesPerNs: number;
  latencyNs: number;
  /** Bytes of the state records. */
  stateBytes: number;
}

/** Bytes of one page in a PAGE_DATA record. */
export const PAGE_ON_THE_WIRE = 4096 + 8;
/** A guest's own way from the request to its suspension, as Dinghy and Linux take it, and two looks of the toolstack. */
export const SUSPEND_GUESS_NS = 2_000_000;

export function mbitToBytesPerNs(mbit: number): number {
  return mbit / 8000;
}

/**
 * Plays the policy forward: every round dirties what the last rate says, at most as many pages as it began with being dirtied
 * again (a working set does not grow while it is copied faster).
 * @returns total time and downtime in ns, and bytes on the link from now on
 */
export function predict(
  policy: MigrationPolicy,
  done: readonly RoundFigures[],
  o: Outlook,
): { totalNs: number; downtimeNs: number; bytes: number } {
  const rounds = [...done];
  let { pages } = o;
  let total = 0;
  let bytes = 0;
  const dirty = o.dirtyPerNs;
  while (stopReason(policy, rounds, o.memoryPages) === null && rounds.length < 1000) {
    const limit = nextRate(policy, rounds);
    const rate = limit > 0 ? Math.min(mbitToBytesPerNs(limit), o.linkBytesPerNs) : o.linkBytesPerNs;
    const ns = (pages * PAGE_ON_THE_WIRE) / rate;
    // without figures: that the rounds reach their goal
    const left = dirty === null ? Math.min(pages, policy.targetPages) : Math.min(dirty * ns, o.memoryPages);
    total += ns;
    bytes += pages * PAGE_ON_THE_WIRE;
    rounds.push({
      pagesSent: pages,
      pagesSkipped: 0,
      pagesLeft: left,
      dirtyMbit: ns > 0 ? (left * PAGE_BITS * 1000) / ns : 0,
      limitMbit: limit,
    });
    pages = left;
  }
  const downtimeNs = SUSPEND_GUESS_NS + (pages * PAGE_ON_THE_WIRE + o.stateBytes) / o.linkBytesPerNs + 2 * o.latencyNs;
  bytes += pages * PAGE_ON_THE_WIRE + o.stateBytes;
  return { totalNs: total + downtimeNs, downtimeNs, bytes };
}
