// The saved form of a whole bare PC.
import type { HostMemory } from '../cpu/host-memory.ts';
import { PAGE } from '../cpu/layout.ts';
import type { VcpuState } from '../cpu/vcpu.ts';
import type { BoardState } from './board.ts';

/** The frames of machine memory that are not all zero. */
export interface SparseMemory {
  readonly bytes: number;
  /** Frame numbers, ascending. */
  readonly frames: Uint32Array;
  /** Their contents, 4,096 bytes each, in the same order. */
  readonly contents: Uint8Array;
}

export interface PcState {
  readonly version: 1;
  readonly clockMHz: number;
  readonly cycle: number;
  /** Cycle up to which each processor has run. */
  readonly positions: readonly number[];
  /** Processors that wait for a start-up message. */
  readonly waiting: readonly boolean[];
  readonly messages: readonly (readonly { readonly kind: 'nmi' | 'init' | 'startup'; readonly vector: number }[])[];
  readonly highestTsc: number;
  readonly vcpus: readonly VcpuState[];
  readonly board: BoardState;
  readonly memory: SparseMemory;
}

export function saveMemory(memory: HostMemory): SparseMemory {
  const frames: number[] = [];
  const count = memory.ramBytes / PAGE;
  for (let frame = 0; frame < count; frame++) {
    const words = new BigUint64Array(memory.frame(frame).buffer, memory.frame(frame).byteOffset, PAGE / 8);
    if (words.some((word) => word !== 0n)) frames.push(frame);
  }
  const contents = new Uint8Array(frames.length * PAGE);
  frames.forEach((frame, index) => contents.set(memory.frame(frame), index * PAGE));
  return { bytes: memory.ramBytes, frames: Uint32Array.from(frames), contents };
}

/** Makes memory exactly what was saved. */
export function restoreMemory(memory: HostMemory, saved: SparseMemory): void {
  memory.fill(0, 0, memory.ramBytes);
  saved.frames.forEach((frame, index) =>
    memory.copyIn(frame * PAGE, saved.contents.subarray(index * PAGE, (index + 1) * PAGE)),
  );
}
