// Decoded pages: the map from an offset in a machine frame to its operation record, their allocation, and what happens when code is overwritten.
// The arena is used in segments, one after the other; when there is none left, the one that was begun longest ago is begun again, and the pages
// whose maps are in it are decoded anew when they are next executed. Few segments are in use at first, since memory that was never touched costs
// more than decoding into it; their number doubles when pages that were thrown away come back, or when they are worth keeping.
// Invariants: a frame with a map has PageFlag.Code set, so no TLB entry lets generated code write it without `invalidate` being told. A page's
// records are never older than its map, so whatever is reached through a map lies in segments that are in use. Segments change only in `newPage`
// and `segmentFull`, which only look-ups call.

import {
  ARENA,
  ARENA_END,
  ARENA_SEGMENT,
  CODE_GENERATION,
  F,
  OP,
  PAGE_CODE,
  PAGE_FLAGS,
  PageFlag,
  STATE,
  RAM_BASE,
  PAGE_WRITER,
  SEVERAL_WRITERS,
  TLB_ADDEND,
  TLB_ENTRY_BYTES,
  TLB_INVALID,
  TLB_SUPERVISOR,
  TLB_TAG_WRITE,
  TlbList,
} from './layout.ts';

/** Fields of a decoded page behind its 4,096 u32 map entries, and the arena's bump pointer. */
export const CodePage = {
  /** u32: ModeKey its records were decoded for. */
  key: 4096 * 4,
  /** u32: writes to the frame since it has the map, as far as generated code made them. */
  writes: 4096 * 4 + 4,
  /** u32: not 0 if the listener is told of every record that a write throws away: see `watch`. */
  watched: 4096 * 4 + 8,
  bytes: 4096 * 4 + 64,
  /** WebAssembly addresses of the u32s that point at the next free arena byte and at the end of its segment. */
  next: 0x2800,
  end: 0x2804,
} as const;
/** Segments that are in use before the first one is used again. */
const FIRST_SEGMENTS = 4;
const MOST_SEGMENTS = (ARENA_END - ARENA) / ARENA_SEGMENT;
/** Pages that must have come back, and their part of those thrown away, before more segments are used. */
const RETURNS = { pages: 16, part: 1 / 4 } as const;
/** Bytes of an instruction that spans two pages, copied together. */
export const CROSS_CODE = 0x3000;
const LONGEST = 15;
/** Every TLB entry that is in use stands in one of these. */
const LISTS = [
  [TlbList.locals, TlbList.localCount],
  [TlbList.globals, TlbList.globalCount],
] as const;

/** Who must know that decoded code is gone (translated regions were made from it). */
export interface CodeListener {
  /** The record at an offset of a watched frame is dead. */
  recordGone(frame: number, offset: number): void;
  /** All records of a frame are. */
  pageGone(frame: number): void;
  /** A frame's records have been worth more than decoding them. */
  isValued(frame: number): boolean;
  /** Dead records in [from, to) will be others; `pageGone` has been called for what was alive there. */
  memoryReused(from: number, to: number): void;
  /** All records of all frames are dead, and their memory is used again. */
  everythingGone(): void;
}

/** A segment of the arena, and the frames whose maps are in it. */
interface Segment {
  readonly start: number;
  readonly frames: number[];
}

export class CodeCache {
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  /** Segments in use, in the order in which they were begun. */
  #segments: Segment[] = [];
  /** How many may be. */
  #limit = FIRST_SEGMENTS;
  /** Frames whose pages were thrown away for want of room and have not come back, how many have, and segments begun: see `#adjust`. */
  readonly #thrown = new Set<number>();
  #returned = 0;
  #begun = 0;
  /** Segments of the arena that were used again. */
  reused = 0;

  listener: CodeListener | null = null;

  constructor(mem: { u8: Uint8Array; u16: Uint16Array; u32: Uint32Array; i32: Int32Array }) {
    this.#u8 = mem.u8;
    this.#u16 = mem.u16;
    this.#u32 = mem.u32;
    this.#i32 = mem.i32;
    this.#begin({ start: ARENA, frames: [] });
  }

  /** Bytes of the arena that are in use. */
  get bytes(): number {
    return this.#segments.length * ARENA_SEGMENT;
  }

  #begin(segment: Segment): void {
    this.#segments.push(segment);
    this.#u32[CodePage.next >> 2] = segment.start;
    this.#u32[CodePage.end >> 2] = segment.start + ARENA_SEGMENT;
  }

  /** Goes on in another segment. */
  #nextSegment(): void {
    if (this.#segments.length === this.#limit) this.#adjust();
    const unused = this.#segments.length;
    if (unused < this.#limit) return this.#begin({ start: ARENA + unused * ARENA_SEGMENT, frames: [] });
    const { start, frames } = this.#segments.shift()!;
    for (const frame of frames) {
      this.#forget(frame);
      this.#thrown.add(frame);
      this.listener?.pageGone(frame);
    }
    this.listener?.memoryReused(start, start + ARENA_SEGMENT);
    this.#recordsGone();
    this.reused++;
    this.#begin({ start, frames: [] });
  }
  /**
   * Uses more segments if many pages have come back, or are of value in the one that would be used again; otherwise judges anew after as many
   * segments as there could be: pages may come back late.
   */
  #adjust(): void {
    const thrown = this.#thrown.size + this.#returned;
    const { frames } = this.#segments[0]!;
    const valued = frames.filter((frame) => this.listener?.isValued(frame)).length;
    const grow =
      (this.#returned >= RETURNS.pages && this.#returned >= thrown * RETURNS.part) ||
      (valued > 0 && valued >= frames.length * RETURNS.part);
    if (grow) this.#limit = Math.min(2 * this.#limit, MOST_SEGMENTS);
    if (!grow && ++this.#begun < MOST_SEGMENTS) return;
    this.#thrown.clear();
    this.#begun = this.#returned = 0;
  }
  /** Records are gone that have a handler: whoever has found one looks again. */
  #recordsGone(): void {
    this.#u32[CODE_GENERATION >> 2]!++;
  }
  #forget(frame: number): void {
    this.#recordsGone();
    this.#u32[(PAGE_CODE >> 2) + frame] = 0;
    this.#u8[PAGE_FLAGS + frame]! &= ~PageFlag.Code;
  }

  /** Gives a frame an empty map for the current mode key and returns its address. */
  newPage(frame: number): number {
    let map = this.#u32[(PAGE_CODE >> 2) + frame]!;
    if (map === 0) {
      if (this.#u32[CodePage.next >> 2]! + 2 * CodePage.bytes > this.#u32[CodePage.end >> 2]!) this.#nextSegment();
      map = this.#u32[CodePage.next >> 2]!;
      this.#u32[CodePage.next >> 2] = map + CodePage.bytes;
      this.#u32[(PAGE_CODE >> 2) + frame] = map;
      this.#segments.at(-1)!.frames.push(frame);
      if (this.#thrown.delete(frame)) this.#returned++;
    } else {
      this.#recordsGone();
      this.listener?.pageGone(frame);
    }
    this.#u32.fill(0, map >> 2, (map + CodePage.key) >> 2);
    this.#u32[(map + CodePage.key) >> 2] = this.#u32[(STATE + F.mode) >> 2]!;
    this.#u32[(map + CodePage.writes) >> 2] = 0;
    this.#u32[(map + CodePage.watched) >> 2] = 0;
    if ((this.#u8[PAGE_FLAGS + frame]! & PageFlag.Code) === 0) {
      this.#u8[PAGE_FLAGS + frame]! |= PageFlag.Code;
      this.dropWritable(frame);
    }
    return map;
  }

  /**
   * From now on the listener knows records of a frame by their address, as long as the frame has its map: it is told when one is overwritten, and none is
   * decoded anew in its place.
   */
  watch(frame: number): void {
    const u32 = this.#u32;
    const map = u32[(PAGE_CODE >> 2) + frame]!;
    if (map === 0 || u32[(map + CodePage.watched) >> 2] !== 0) return;
    u32[(map + CodePage.watched) >> 2] = 1;
    for (let at = map >> 2, end = (map + CodePage.key) >> 2; at < end; at++) {
      const record = u32[at]!;
      if (record !== 0 && this.#u16[(record + OP.handler) >> 1] === 0) u32[at] = 0;
    }
  }

  /** The segment is full while `frame` is decoded: goes on in another and returns the frame's map, which may be a new one. */
  segmentFull(frame: number): number {
    this.#nextSegment();
    const map = this.#u32[(PAGE_CODE >> 2) + frame]!;
    return map !== 0 ? map : this.newPage(frame);
  }

  /** A frame with a map has been written many times: it becomes an ordinary one if all its records are dead and nothing is executed there. */
  written(frame: number): void {
    if (this.#i32[(STATE + F.codeFrame) >> 2] === frame) return;
    const map = this.#u32[(PAGE_CODE >> 2) + frame]!;
    for (let at = map >> 2, end = (map + CodePage.key) >> 2; at < end; at++) {
      const record = this.#u32[at]!;
      if (record !== 0 && this.#u16[(record + OP.handler) >> 1] !== 0) return;
    }
    this.#forget(frame);
    this.listener?.pageGone(frame);
    const { frames } = this.#segments.find(({ start }) => map >= start && map < start + ARENA_SEGMENT)!;
    frames.splice(frames.indexOf(frame), 1);
  }

  /** Forgets all decoded code. Only between two instructions. */
  flush(): void {
    this.listener?.everythingGone();
    for (const { frames } of this.#segments) for (const frame of frames) this.#forget(frame);
    this.#segments = [];
    this.#begin({ start: ARENA, frames: [] });
  }

  /** Removes write permission for a frame from every TLB entry. */
  dropWritable(frame: number): void {
    const u32 = this.#u32;
    const writer = this.#u16[(PAGE_WRITER >> 1) + frame]!;
    this.#u16[(PAGE_WRITER >> 1) + frame] = 0;
    if (writer === SEVERAL_WRITERS) {
      for (const [list, count] of LISTS)
        for (let at = list >> 2, end = at + u32[count >> 2]!; at < end; at++) this.#dropIn(u32[at]!, frame);
    } else if (writer !== 0) this.#dropIn(TLB_SUPERVISOR + (writer - 1) * TLB_ENTRY_BYTES, frame);
  }
  #dropIn(entry: number, frame: number): void {
    const i32 = this.#i32;
    const page = i32[(entry + TLB_TAG_WRITE) >> 2]!;
    if ((page & TLB_INVALID) === 0 && (page + i32[(entry + TLB_ADDEND) >> 2]!) >>> 0 === RAM_BASE + frame * 4096)
      i32[(entry + TLB_TAG_WRITE) >> 2] = TLB_INVALID;
  }

  /** Bytes [offset, offset + length) of a frame with a map are about to change: records that overlap them look themselves up again. */
  invalidate(frame: number, offset: number, length: number): void {
    const map = this.#u32[(PAGE_CODE >> 2) + frame]!;
    if (map === 0) return;
    const u32 = this.#u32;
    const watched = u32[(map + CodePage.watched) >> 2] !== 0;
    const end = Math.min(offset + length, 4096);
    for (let o = Math.max(0, offset - LONGEST + 1); o < end; o++) {
      const rec = u32[(map >> 2) + o]!;
      if (rec === 0 || o + this.#u8[rec + OP.length]! <= offset) continue;
      this.#u16[(rec + OP.handler) >> 1] = 0;
      u32[(rec + OP.link) >> 2] = 0;
      // where nobody knows it by its address it may be decoded anew in its place
      if (!watched) continue;
      u32[(map >> 2) + o] = 0;
      this.listener?.recordGone(frame, o);
    }
  }
}
