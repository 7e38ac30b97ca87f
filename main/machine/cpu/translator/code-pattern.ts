// What a region was made from, apart from where it lies: the mode, the page offsets of its instructions and their bytes. Two pages with the same
// pattern enter the same code. A pattern may go on in the page behind, with offsets from 4096 on.
// Invariant: a pattern matches a place only if every byte the region was translated from is there.

import { CodePage } from '../code-cache.ts';
import { crossHandler } from '../interpreter.ts';
import { OP, PAGE, PAGE_CODE, RAM_BASE } from '../layout.ts';
import { CROSS_DECODED } from '../traces.ts';
import type { RegionRequest } from './interface.ts';

export interface CodePattern {
  /** ModeKey. */
  readonly key: number;
  /** Page offset at which the region is entered. */
  readonly entry: number;
  /** Page offsets of all its instructions. */
  readonly offsets: Uint16Array;
  /** Begin and end of each run of bytes, in turn; ascending, and they do not touch. */
  readonly runs: Uint16Array;
  /** The bytes of all runs, one behind the other. */
  readonly bytes: Uint8Array;
}
/** What is read of a host's memory. */
interface Memory {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
}
/** Where a pattern may lie: RegionRequest. */
type Place = Pick<RegionRequest, 'frame' | 'second' | 'key'>;

/** The decoded page of a frame, 0 if there is none for that mode. */
export function mapOf(mem: Pick<Memory, 'u32'>, frame: number, key: number): number {
  if (frame < 0) return 0;
  const map = mem.u32[(PAGE_CODE >> 2) + frame]!;
  return map !== 0 && mem.u32[(map + CodePage.key) >> 2] === key ? map : 0;
}
/** The frame an offset of a place is in. */
export const frameAt = ({ frame, second }: Place, offset: number): number => (offset < PAGE ? frame : second);

/** The record that is decoded at an offset of a place, 0 if there is none. */
export function recordAt(mem: Memory, place: Place, offset: number): number {
  const map = mapOf(mem, frameAt(place, offset), place.key);
  return map === 0 ? 0 : mem.u32[(map >> 2) + (offset % PAGE)]!;
}
function lengthAt(mem: Memory, place: Place, offset: number): number {
  const record = recordAt(mem, place, offset);
  const spans = mem.u16[(record + OP.handler) >> 1] === crossHandler();
  return mem.u8[record + (spans ? CROSS_DECODED : 0) + OP.length]!;
}
/** WebAssembly address of the byte at an offset. */
const addressOf = (place: Place, offset: number): number => RAM_BASE + frameAt(place, offset) * PAGE + (offset % PAGE);

/** The pattern of instructions that are all decoded. @param offsets their page offsets */
export function patternOf(mem: Memory, request: RegionRequest, offsets: readonly number[]): CodePattern {
  const sorted = Uint16Array.from(offsets).sort();
  const runs: number[] = [];
  for (const at of sorted) {
    const end = at + lengthAt(mem, request, at);
    if (runs.length > 0 && at <= runs.at(-1)!) runs[runs.length - 1] = Math.max(end, runs.at(-1)!);
    else runs.push(at, end);
  }
  const bytes: number[] = [];
  for (let n = 0; n < runs.length; n += 2)
    for (let at = runs[n]!; at < runs[n + 1]!; at++) bytes.push(mem.u8[addressOf(request, at)]!);
  const entry = mem.u16[(request.record + OP.pageOffset) >> 1]!;
  return { key: request.key, entry, offsets: sorted, runs: Uint16Array.from(runs), bytes: Uint8Array.from(bytes) };
}

/** Whether it goes on in the page behind. */
export const spansPages = ({ runs }: CodePattern): boolean => runs.at(-1)! > PAGE;

/** Whether the bytes at a place are those of the pattern. */
export function matches(mem: Memory, place: Place, pattern: CodePattern): boolean {
  if (spansPages(pattern) && place.second < 0) return false;
  const { runs, bytes } = pattern;
  const { u8 } = mem;
  const [page, behind] = [addressOf(place, 0), addressOf(place, PAGE) - PAGE];
  let n = 0;
  for (let k = 0; k < runs.length; k += 2)
    for (let at = runs[k]!, end = runs[k + 1]!; at < end; at++)
      if (u8[(at < PAGE ? page : behind) + at] !== bytes[n++]) return false;
  return true;
}

/** Patterns with equal numbers may match the same place; others cannot. */
export function placeOf(key: number, entry: number, firstByte: number): number {
  return (key * PAGE + entry) * 256 + firstByte;
}
/** The byte at which a pattern is entered. */
export function firstByte({ entry, runs, bytes }: CodePattern): number {
  let n = 0;
  for (let k = 0; k < runs.length; k += 2) {
    if (entry < runs[k + 1]!) return bytes[n + entry - runs[k]!]!;
    n += runs[k + 1]! - runs[k]!;
  }
  throw new RangeError('A pattern contains its entry.');
}
