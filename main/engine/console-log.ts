// A domain's console output: everything it printed, the oldest bytes dropped beyond a limit, and who listens to it.

export const SCROLLBACK_BYTES = 1 << 20;

export class ConsoleLog {
  #chunks: Uint8Array[] = [];
  #kept = 0;
  /** Bytes ever printed. */
  end = 0;
  readonly #listeners = new Set<(bytes: Uint8Array, end: number) => void>();

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#kept += bytes.length;
    this.end += bytes.length;
    while (this.#kept - this.#chunks[0]!.length >= SCROLLBACK_BYTES) this.#kept -= this.#chunks.shift()!.length;
    for (const l of this.#listeners) l(bytes, this.end);
  }
  /** Output of an earlier session. */
  restore(bytes: Uint8Array, end: number): void {
    this.#chunks = [bytes];
    this.#kept = bytes.length;
    this.end = end;
  }
  /** The last `limit` bytes. */
  tail(limit: number): Uint8Array {
    const all = Buffer.concat(this.#chunks);
    return Uint8Array.from(all.subarray(Math.max(0, all.length - limit)));
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
