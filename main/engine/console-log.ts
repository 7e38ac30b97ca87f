// A domain's console output: everything it printed, the oldest bytes dropped beyond a limit, and who listens to it.
// Invariant: it keeps less than SCROLLBACK_BYTES + 2 * BLOCK, however small the pieces are in which a guest prints.

export const SCROLLBACK_BYTES = 1 << 20;
const BLOCK = 4096;

export class ConsoleLog {
  /** All full but the last. */
  #blocks: Uint8Array[] = [];
  /** Bytes in the last block. */
  #filled = BLOCK;
  /** Bytes ever printed. */
  end = 0;
  readonly #listeners = new Set<(bytes: Uint8Array, end: number) => void>();

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#keep(bytes);
    this.end += bytes.length;
    for (const l of this.#listeners) l(bytes, this.end);
  }
  #keep(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      if (this.#filled === BLOCK) {
        this.#blocks.push(new Uint8Array(BLOCK));
        this.#filled = 0;
        if ((this.#blocks.length - 2) * BLOCK >= SCROLLBACK_BYTES) this.#blocks.shift();
      }
      const piece = bytes.subarray(done, done + BLOCK - this.#filled);
      this.#blocks.at(-1)!.set(piece, this.#filled);
      this.#filled += piece.length;
      done += piece.length;
    }
  }
  /** Output of an earlier session. */
  restore(bytes: Uint8Array, end: number): void {
    this.#blocks = [];
    this.#filled = BLOCK;
    this.#keep(bytes);
    this.end = end;
  }
  /** The last `limit` bytes. */
  tail(limit: number): Uint8Array {
    const all = Buffer.concat(this.#blocks);
    const length = Math.max(0, all.length - (BLOCK - this.#filled));
    return Uint8Array.from(all.subarray(Math.max(0, length - limit), length));
  }
  /** Bytes from position `from` (of everything ever printed) on, as far as they are kept. */
  since(from: number): Uint8Array {
    return this.tail(Math.max(0, this.end - from));
  }
  listen(l: (bytes: Uint8Array, end: number) => void): () => void {
    this.#listeners.add(l);
    return () => this.#listeners.delete(l);
  }
}
