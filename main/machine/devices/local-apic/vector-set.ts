// A set of the 256 interrupt vectors, as the APIC's ISR, TMR and IRR registers show it.

export class VectorSet {
  readonly #words = new Uint32Array(8);

  add(vector: number): void {
    this.#words[vector >> 5] |= 1 << (vector & 31);
  }

  delete(vector: number): void {
    this.#words[vector >> 5] &= ~(1 << (vector & 31));
  }

  has(vector: number): boolean {
    return (this.#words[vector >> 5] & (1 << (vector & 31))) !== 0;
  }

  /** The highest vector in the set, or -1. */
  highest(): number {
    for (let index = 7; index >= 0; index--) {
      const word = this.#words[index];
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  /** Vectors 32*index to 32*index+31. */
  word(index: number): number {
    return this.#words[index];
  }

  clear(): void {
    this.#words.fill(0);
  }

  toWords(): number[] {
    return [...this.#words];
  }

  load(words: readonly number[]): void {
    this.#words.set(words);
  }
}
