// Reads the marks a kernel image prints ("B name", "E checksum", "DONE") and turns them into times.

export interface Sample {
  checksum: string;
  /** Milliseconds of each repetition. */
  ms: number[];
}
export type Column = Record<string, Sample>;

export class Marks {
  readonly column: Column = {};
  done = false;
  #line = '';
  #name = '';
  #begin = 0;
  readonly #now: () => number;
  constructor(now: () => number) {
    this.#now = now;
  }
  /** Takes one character of serial output. */
  put(c: string): void {
    if (c !== '\n') {
      this.#line += c;
      return;
    }
    const at = this.#now();
    const [kind, word] = this.#line.trim().split(' ');
    this.#line = '';
    if (kind === 'B') {
      this.#name = word!;
      this.#begin = this.#now();
    } else if (kind === 'E') {
      const s = (this.column[this.#name] ??= { checksum: word!, ms: [] });
      s.ms.push(at - this.#begin);
    } else if (kind === 'DONE') this.done = true;
  }
}

/** What the initial RAM file system of scripts/guests.ts prints when its shell is there. */
export const SHELL_READY = 'bulkhead: shell ready';

/** CPU time of this process in user mode, milliseconds. */
export const cpuMs = (): number => process.cpuUsage().user / 1000;
