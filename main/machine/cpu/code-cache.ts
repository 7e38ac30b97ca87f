// Decoded pages: the map from an offset in a machine frame to its operation record, their allocation, and what happens when code is overwritten.
// Invariant: a frame with a map has PageFlag.Code set, so no TLB entry lets generated code write it without `invalidate` being told.

import {
  ARENA,
  CODE_LISTENER,
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
  bytes: 4096 * 4 + 64,
  /** WebAssembly address of the u32 that points at the next free arena byte. */
  next: 0x2800,
} as const;
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
  /** The record at an offset of a frame is dead. */
  recordGone(frame: number, offset: number): void;
  /** All records of a frame are. */
  pageGone(frame: number): void;
  /** All records of all frames are, and their memory is used again. */
  everythingGone(): void;
}

export class CodeCache {
  #listener: CodeListener | null = null;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  #frames: number[] = [];
  /** Arena bytes from here on have never been used, so they are 0. */
  #fresh = ARENA;
  /** Times the arena was emptied because it was full. */
  flushes = 0;

  get listener(): CodeListener | null {
    return this.#listener;
  }
  set listener(listener: CodeListener | null) {
    this.#listener = listener;
    this.#u32[CODE_LISTENER >> 2] = listener === null ? 0 : 1;
  }

  constructor(mem: { u8: Uint8Array; u16: Uint16Array; u32: Uint32Array; i32: Int32Array }) {
    this.#u8 = mem.u8;
    this.#u16 = mem.u16;
    this.#u32 = mem.u32;
    this.#i32 = mem.i32;
    this.#u32[CodePage.next >> 2] = ARENA;
  }

  /** Gives a frame an empty map for the current mode key and returns its address. Needs CodePage.bytes free in the arena. */
  newPage(frame: number): number {
    let map = this.#u32[(PAGE_CODE >> 2) + frame]!;
    if (map === 0) {
      map = this.#u32[CodePage.next >> 2]!;
      if (map + 2 * CodePage.bytes > RAM_BASE) {
        this.flush();
        map = this.#u32[CodePage.next >> 2]!;
      }
      this.#u32[CodePage.next >> 2] = map + CodePage.bytes;
      this.#u32[(PAGE_CODE >> 2) + frame] = map;
      this.#frames.push(frame);
    } else this.listener?.pageGone(frame);
    if (map < this.#fresh) this.#u32.fill(0, map >> 2, (map + CodePage.key) >> 2);
    else this.#fresh = map + CodePage.bytes;
    this.#u32[(map + CodePage.key) >> 2] = this.#u32[(STATE + F.mode) >> 2]!;
    if ((this.#u8[PAGE_FLAGS + frame]! & PageFlag.Code) === 0) {
      this.#u8[PAGE_FLAGS + frame]! |= PageFlag.Code;
      this.dropWritable(frame);
    }
    return map;
  }

  /** The arena is full: forgets everything and starts again with `frame`. */
  full(frame: number): number {
    this.flush();
    return this.newPage(frame);
  }

  /** Forgets all decoded code. Only between two instructions. */
  flush(): void {
    this.flushes++;
    this.listener?.everythingGone();
    for (const f of this.#frames) {
      this.#u32[(PAGE_CODE >> 2) + f] = 0;
      this.#u8[PAGE_FLAGS + f]! &= ~PageFlag.Code;
    }
    this.#frames = [];
    this.#fresh = Math.max(this.#fresh, this.#u32[CodePage.next >> 2]!);
    this.#u32[CodePage.next >> 2] = ARENA;
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
    const end = Math.min(offset + length, 4096);
    for (let o = Math.max(0, offset - LONGEST + 1); o < end; o++) {
      const rec = u32[(map >> 2) + o]!;
      if (rec === 0 || o + this.#u8[rec + OP.length]! <= offset) continue;
      this.#u16[(rec + OP.handler) >> 1] = 0;
      u32[(rec + OP.link) >> 2] = 0;
      // without a listener it may be decoded anew in its place
      if (this.listener === null) continue;
      u32[(map >> 2) + o] = 0;
      this.listener.recordGone(frame, o);
    }
  }
}
