// Random numbers that follow from a seed, for fuzzers and tests.

/** Numbers that follow from a seed (mulberry32). */
export class Random {
  #a: number;
  constructor(seed: number) {
    this.#a = seed >>> 0;
  }
  /** 32 random bits. */
  bits(): number {
    this.#a = (this.#a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#a ^ (this.#a >>> 15), this.#a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** 0 <= result < n. */
  below(n: number): number {
    return Math.floor((this.bits() / 2 ** 32) * n);
  }
  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
}
