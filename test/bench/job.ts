/** What a column is asked to run and what it answers, as JSON between the benchmark and the column's own process. */
import type { Bits } from './build-kernels.ts';
import type { Column } from './marks.ts';

export interface Job {
  readonly bits: Bits;
  /** A bare machine, or a domain on the simulated host. */
  readonly mode: 'native' | 'pv' | 'pvh';
  /** A multiboot image with marks, a program or a module of the kernels; with `ramdisk`, Linux. */
  readonly image: string;
  readonly ramdisk: string | null;
  readonly commandLine: string;
  /** Typed into Linux' shell. */
  readonly command: string | null;
}
export interface Answer {
  readonly column: Column;
  /** What the translating tier says of itself at the end, if there is one. */
  readonly translation?: Readonly<Record<string, number>>;
}

export const MEMORY_MIB = 128;

/** The job this process was started with. */
export const readJob = (): Job => JSON.parse(process.argv[2]!) as Job;
/** Prints the answer and ends the process: emulators keep timers. */
export function answer(a: Answer): never {
  // the exit must not cut a pipe short
  process.stdout.write(`${JSON.stringify(a)}\n`, () => process.exit(0));
  return undefined as never;
}
