// The source's end of a live migration: rounds over the dirty log, suspension, the last pages, the state.
// Follows Clark et al. (NSDI 2005) and libxenguest's sr_save.c. It is called with stretches of virtual time and the link's rate in them;
// the bytes it returns carry the time at which the last of them leaves.
// Invariant: whatever a page held when the domain was suspended has been sent after it was last written.

import type { MigrationPolicy, MigrationRound, StopReason } from '../../../shared/migration-service.ts';
import { MAX_BATCH } from '../stream/records.ts';
import { BLOCK_BYTES, MAX_BLOCKS } from './disk-copy.ts';
import {
  mbitToBytesPerNs,
  nextRate,
  PAGE_BITS,
  PAGE_ON_THE_WIRE,
  predict,
  type RoundFigures,
  stopReason,
  SUSPEND_GUESS_NS,
} from './policy.ts';

/** What the sender needs of the domain it moves. */
export interface MovingDomain {
  /** Begins to log writes; every page counts as clean. @returns the highest page number plus one */
  startLog(): number;
  peek(pfn: number): boolean;
  /** Reads the log and begins it anew. */
  clean(found: (pfn: number) => void): void;
  stopLog(): void;
  forEachPage(visit: (pfn: number) => void): void;
  /** Headers and what precedes the first page. */
  head(): Uint8Array;
  /** One PAGE_DATA record of these pages as they are now. */
  pages(pfns: readonly number[]): Uint8Array;
  /** Disks copied along: begins to note writes, and names every block. */
  startDisks(): number[];
  /** Blocks written since the last call. */
  takeDiskWrites(): number[];
  /** One record of blocks as they are now, and how many of those named it holds (at most `most`). */
  blocks(keys: readonly number[], most: number): { bytes: Uint8Array; taken: number };
  /** Asks the guest to suspend. */
  askSuspend(): void;
  /** What became of it: it runs, it is suspended since this time (ns), or it ended or refused (a sentence). */
  condition(): { is: 'running' } | { is: 'suspended'; since: number } | { is: 'failed'; why: string };
  /** All that follows the last page, its END included. Only while it is suspended. */
  tail(): Uint8Array;
  /** It stays here after all: its suspension returns "cancelled", or the request for it is withdrawn. */
  resumeHere(): void;
}

export type SenderPhase = 'live' | 'suspending' | 'last-pages' | 'state' | 'sent' | 'failed';

/** Bytes for the other end. `at`: virtual time at which the last one leaves this host. */
export interface Chunk {
  at: number;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Everything about the run that is known at this end. */
export interface SenderReport {
  phase: SenderPhase;
  /** Why it failed: a sentence about the guest. */
  failure: string | null;
  memoryPages: number;
  /** Pages that have crossed at least once. */
  pagesTouched: number;
  bytesSent: number;
  /** In all rounds, the present one included. */
  pagesSent: number;
  rounds: MigrationRound[];
  /** Pages the current round still has to look at, and had at its start. */
  left: number;
  of: number;
  stopReason: StopReason | null;
  /** Virtual times (ns) of what happened after the rounds; null = not yet. */
  suspendAskedAt: number | null;
  suspendedAt: number | null;
  lastPageAt: number | null;
  stateSentAt: number | null;
  predictedDowntimeNs: number | null;
  predictedTotalNs: number | null;
  /** Bytes that the whole run is expected to send; 0 = not known yet. */
  bytesExpected: number;
  heat: { round: number; dirtied: number[] }[];
  /** The round that goes on, or stop-and-copy as a whole: when it began and how long it is expected to take, ns; 0 = not known. */
  stage: { startedAt: number; expectedNs: number };
  /** Somebody asked for stop-and-copy at the end of the round. */
  stopAsked: boolean;
}

const HEAT_STRETCHES = 1024;

export class MigrationSender {
  private readonly domain: MovingDomain;
  private readonly policy: MigrationPolicy;
  private readonly latencyNs: number;
  private readonly wall: () => number;
  private phase: SenderPhase = 'live';
  private failure: string | null = null;
  private readonly rounds: MigrationRound[] = [];
  private readonly figures: RoundFigures[] = [];
  private readonly heat: { round: number; dirtied: number[] }[] = [];
  /** Pages of the current round, ascending, and how far it is. */
  private list: number[] = [];
  private next = 0;
  private current!: { startedAt: number; wall: number; sent: number; skipped: number; bytes: number; limit: number };
  private readonly top: number;
  private memoryPages = 0;
  /** Disk blocks of the current round, and how far it is with them; they go before the pages. */
  private blocks: number[] = [];
  private nextBlock = 0;
  private readonly touched = new Set<number>();
  private bytesSent = 0;
  private pagesSent = 0;
  /** The link is ours up to here. */
  private cursor: number;
  private head: Uint8Array | null;
  private stop: StopReason | null = null;
  private stopAsked = false;
  private askedAt: number | null = null;
  private suspendedAt: number | null = null;
  private lastPageAt: number | null = null;
  private stateSentAt: number | null = null;
  private prediction: { totalNs: number; downtimeNs: number; bytes: number } | null = null;
  private linkBytesPerNs = 0;
  private bytesExpected = 0;

  /**
   * Begins at virtual time `now`.
   * @param latencyNs one way over the link, for predictions
   * @param wall this computer's clock in ms, for the report only
   */
  constructor(
    domain: MovingDomain,
    policy: MigrationPolicy,
    now: number,
    latencyNs: number,
    wall: () => number = () => performance.now(),
  ) {
    this.domain = domain;
    this.policy = policy;
    this.latencyNs = latencyNs;
    this.wall = wall;
    this.cursor = now;
    this.head = domain.head();
    this.top = domain.startLog();
    domain.forEachPage((pfn) => this.list.push(pfn));
    this.list.sort((a, b) => a - b);
    this.memoryPages = this.list.length;
    this.blocks = domain.startDisks();
    this.beginRound(now);
    const reason = stopReason(policy, this.figures, this.memoryPages);
    if (reason) this.endLive(reason, now);
  }

  /**
   * The link was this sender's from `from` to `to` at `bytesPerNs` of payload.
   * @returns what left in that time; a batch may end a little after `to`, which the next stretch makes up for
   */
  turn(from: number, to: number, bytesPerNs: number): Chunk[] {
    const chunks: Chunk[] = [];
    this.cursor = Math.max(this.cursor, from);
    const first = this.linkBytesPerNs === 0 && bytesPerNs > 0;
    this.linkBytesPerNs = bytesPerNs;
    if (first) this.repredict();
    if (this.isOver()) return chunks;
    this.watchGuest(to);
    while (this.cursor < to && bytesPerNs > 0) {
      if (this.phase === 'live' || this.phase === 'last-pages') {
        if (!this.sendPages(to, bytesPerNs, chunks)) this.endRound();
      } else if (this.phase === 'state') {
        this.emit(this.domain.tail(), bytesPerNs, chunks);
        this.stateSentAt = this.cursor;
        this.phase = 'sent';
      } else break;
    }
    return chunks;
  }

  private isOver(): boolean {
    return this.phase === 'sent' || this.phase === 'failed';
  }

  /** Looks what the guest did: ends by itself, is suspended, or does not suspend in time. */
  private watchGuest(now: number): void {
    const c = this.domain.condition();
    if (c.is === 'failed') return this.fail(c.why);
    if (this.phase !== 'suspending' || c.is !== 'suspended') return;
    this.suspendedAt = Math.min(c.since, now);
    this.phase = 'last-pages';
    const waiting = this.list;
    const waitingBlocks = this.blocks;
    this.takeDirty();
    this.blocks = [...new Set([...waitingBlocks, ...this.blocks])].sort((a, b) => a - b);
    this.list = [...new Set([...waiting, ...this.list])].sort((a, b) => a - b);
    // the time until then was not used
    this.cursor = Math.max(this.cursor, this.suspendedAt);
    this.beginRound(this.cursor);
  }

  private fail(why: string): void {
    this.failure = why;
    this.phase = 'failed';
    this.domain.stopLog();
  }

  private beginRound(at: number): void {
    this.next = 0;
    this.nextBlock = 0;
    this.current = {
      startedAt: at,
      wall: this.wall(),
      sent: 0,
      skipped: 0,
      bytes: 0,
      limit: this.phase === 'live' ? nextRate(this.policy, this.figures) : 0,
    };
    this.repredict();
  }

  private repredict(): void {
    if (this.linkBytesPerNs <= 0 || this.phase !== 'live') return;
    const last = this.rounds.at(-1);
    this.prediction = predict(this.policy, this.figures, {
      pages: this.list.length + (this.blocks.length * BLOCK_BYTES) / 4096,
      memoryPages: this.memoryPages,
      dirtyPerNs: last && last.durationNs > 0 ? last.pagesDirtied / last.durationNs : null,
      linkBytesPerNs: this.linkBytesPerNs,
      latencyNs: this.latencyNs,
      stateBytes: 16 * 1024,
    });
    this.bytesExpected = this.bytesSent + this.prediction.bytes;
  }

  /** Sends one batch; false when the round has no page left. */
  private sendPages(to: number, linkRate: number, chunks: Chunk[]): boolean {
    const { limit } = this.current;
    const rate = limit > 0 ? Math.min(mbitToBytesPerNs(limit), linkRate) : linkRate;
    const room = Math.max(1, Math.min(MAX_BATCH, Math.ceil(((to - this.cursor) * rate) / 4104)));
    if (this.nextBlock < this.blocks.length) {
      const most = Math.max(1, Math.ceil(((to - this.cursor) * rate) / BLOCK_BYTES));
      const { bytes, taken } = this.domain.blocks(this.blocks.slice(this.nextBlock, this.nextBlock + MAX_BLOCKS), most);
      this.nextBlock += taken;
      this.emit(bytes, rate, chunks);
      return true;
    }
    const skip = this.phase === 'live' && this.policy.skipRedirtied;
    const batch: number[] = [];
    while (batch.length < room && this.next < this.list.length) {
      const pfn = this.list[this.next++]!;
      if (skip && this.domain.peek(pfn)) this.current.skipped++;
      else batch.push(pfn);
    }
    if (!batch.length) return false;
    for (const pfn of batch) this.touched.add(pfn);
    this.current.sent += batch.length;
    this.pagesSent += batch.length;
    this.emit(this.domain.pages(batch), rate, chunks);
    return true;
  }

  private emit(bytes: Uint8Array, rate: number, chunks: Chunk[]): void {
    let all = bytes;
    if (this.head) {
      all = new Uint8Array(this.head.length + bytes.length);
      all.set(this.head);
      all.set(bytes, this.head.length);
      this.head = null;
    }
    this.cursor += all.length / rate;
    this.bytesSent += all.length;
    this.current.bytes += all.length;
    // a copy of its own: it is transferred to another thread
    chunks.push({ at: this.cursor, bytes: new Uint8Array(all) });
  }

  /** Moves what is dirty into the list of the next round. @returns how many pages */
  private takeDirty(): number {
    const dirty: number[] = [];
    this.domain.clean((pfn) => dirty.push(pfn));
    dirty.sort((a, b) => a - b);
    this.list = dirty;
    this.blocks = this.domain.takeDiskWrites();
    const stretches = Math.min(HEAT_STRETCHES, Math.max(1, this.top));
    const heat = new Array<number>(stretches).fill(0);
    for (const pfn of dirty) heat[Math.min(stretches - 1, Math.floor((pfn * stretches) / this.top))]!++;
    this.heat.push({ round: this.rounds.length + (this.phase === 'live' ? 0 : 1), dirtied: heat });
    return dirty.length;
  }

  /** Every page of the round was sent or skipped. */
  private endRound(): void {
    const { startedAt, wall, sent, skipped, bytes, limit } = this.current;
    const final = this.phase === 'last-pages';
    const durationNs = Math.max(0, this.cursor - startedAt);
    const round: MigrationRound = {
      round: this.rounds.length + 1,
      final,
      startedAt,
      durationNs,
      pagesSent: sent,
      pagesSkipped: skipped,
      pagesDirtied: 0,
      bytesSent: bytes,
      sendMbit: durationNs > 0 ? (bytes * 8000) / durationNs : 0,
      dirtyMbit: 0,
      predictedDowntimeNs: this.prediction?.downtimeNs ?? null,
      wallMs: this.wall() - wall,
    };
    this.rounds.push(round);
    if (final) {
      this.lastPageAt = this.cursor;
      this.phase = 'state';
      return;
    }
    round.pagesDirtied = this.takeDirty();
    round.dirtyMbit = durationNs > 0 ? (round.pagesDirtied * PAGE_BITS * 1000) / durationNs : 0;
    this.figures.push({
      pagesSent: sent,
      pagesSkipped: skipped,
      pagesLeft: round.pagesDirtied + (this.blocks.length * BLOCK_BYTES) / 4096,
      dirtyMbit: round.dirtyMbit,
      limitMbit: limit,
    });
    const reason = this.stopAsked ? 'user' : stopReason(this.policy, this.figures, this.memoryPages);
    if (reason) this.endLive(reason, this.cursor);
    else this.beginRound(this.cursor);
  }

  /** No more live rounds: what the list holds is sent with the last pages. */
  private endLive(reason: StopReason, at: number): void {
    this.stop = reason;
    this.askedAt = at;
    this.repredict();
    this.phase = 'suspending';
    this.domain.askSuspend();
  }

  /** No further live round: what is left when this one ends is sent with the guest stopped. @returns false when the live rounds have ended */
  stopLive(): boolean {
    if (this.phase !== 'live') return false;
    this.stopAsked = true;
    return true;
  }

  /** How long what goes on is expected to take in all, at the link's present rate; 0 = not known yet. */
  private stage(): SenderReport['stage'] {
    const link = this.linkBytesPerNs;
    const live = this.phase === 'live';
    const startedAt = live ? this.current.startedAt : (this.askedAt ?? this.current.startedAt);
    if (link <= 0) return { startedAt, expectedNs: 0 };
    const bytes = this.list.length * PAGE_ON_THE_WIRE + this.blocks.length * BLOCK_BYTES;
    if (!live) return { startedAt, expectedNs: SUSPEND_GUESS_NS + bytes / link + 2 * this.latencyNs };
    const { limit } = this.current;
    return { startedAt, expectedNs: bytes / (limit > 0 ? Math.min(mbitToBytesPerNs(limit), link) : link) };
  }

  /** The other end has the domain; this one is given up. */
  release(): void {
    this.domain.stopLog();
  }

  /** The domain stays: logging ends, and if it is suspended it runs on. */
  rollBack(): void {
    this.domain.stopLog();
    if (this.askedAt !== null && this.domain.condition().is !== 'failed') this.domain.resumeHere();
    if (!this.failure) this.failure = 'It was called off.';
    this.phase = 'failed';
  }

  report(): SenderReport {
    return {
      phase: this.phase,
      failure: this.failure,
      memoryPages: this.memoryPages,
      pagesTouched: this.touched.size,
      bytesSent: this.bytesSent,
      pagesSent: this.pagesSent,
      rounds: this.rounds,
      left: this.list.length - this.next,
      of: this.list.length,
      stopReason: this.stop,
      suspendAskedAt: this.askedAt,
      suspendedAt: this.suspendedAt,
      lastPageAt: this.lastPageAt,
      stateSentAt: this.stateSentAt,
      predictedDowntimeNs: this.prediction?.downtimeNs ?? null,
      predictedTotalNs: this.prediction?.totalNs ?? null,
      bytesExpected: this.bytesExpected,
      heat: this.heat,
      stage: this.stage(),
      stopAsked: this.stopAsked,
    };
  }
}
