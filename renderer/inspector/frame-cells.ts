// A domain's pages as cells of a map: how many frames a cell holds, and which kind of page decides what it looks like.
import type { FrameReport } from '../../shared/inspection-service.ts';

export type PageKind = 'data' | 'table' | 'untyped' | 'other' | 'absent';

const CELLS = 1024;
export const PAGE_BYTES = 4096;

/** Custom property of a kind's colour; null is drawn as an outline. */
export const KIND_COLOURS: Readonly<Record<PageKind, string | null>> = {
  data: '--wall',
  table: '--ink',
  untyped: '--raise',
  other: '--ink3',
  absent: null,
};

export function pageKind(type: string): PageKind {
  if (type === 'absent') return 'absent';
  if (type === 'none') return 'untyped';
  if (type.startsWith('writable') || type.startsWith('ram')) return 'data';
  return /^l[1-4]\b/i.test(type) ? 'table' : 'other';
}

/** Frames of one cell: the smallest power of two with which all pages fit the map. */
export function framesPerCell(pages: number): number {
  let frames = 1;
  while (pages / frames > CELLS) frames *= 2;
  return frames;
}

/** What one of rarer kinds in a cell is worth seeing before many of a common one. */
const RANK: readonly PageKind[] = ['table', 'other', 'data', 'untyped', 'absent'];

/** The kind a cell wears: the first of the rank that occurs in it; undefined when none of its frames was read. */
export function cellKind(frames: readonly FrameReport[]): PageKind | undefined {
  const kinds = new Set(frames.map((frame) => pageKind(frame.type)));
  return RANK.find((kind) => kinds.has(kind));
}

/** How many frames have each type, most first. */
export function typeCounts(frames: readonly FrameReport[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { type } of frames) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}
