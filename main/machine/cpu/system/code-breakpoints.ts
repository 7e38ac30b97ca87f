// A debugger's own breakpoints on instructions: run() returns before the instruction, and nothing of them is in a register or in memory.
// Invariant: addresses are linear, held as two signed halves; outside 64-bit mode the high half is 0.

export class CodeBreakpoints {
  readonly #addresses = new Map<bigint, { lo: number; hi: number }>();

  get size(): number {
    return this.#addresses.size;
  }
  /** Addresses, ascending. */
  list(): bigint[] {
    return [...this.#addresses.keys()].sort((a, b) => (a < b ? -1 : 1));
  }
  add(address: bigint): void {
    this.#addresses.set(address, {
      lo: Number(BigInt.asIntN(32, address)),
      hi: Number(BigInt.asIntN(32, address >> 32n)),
    });
  }
  delete(address: bigint): boolean {
    return this.#addresses.delete(address);
  }

  /** Whether there is one at hi:lo. */
  has(lo: number, hi: number): boolean {
    for (const a of this.#addresses.values()) if (a.lo === (lo | 0) && a.hi === (hi | 0)) return true;
    return false;
  }
  /** Whether there is one in the page of hi:lo. */
  inPage(lo: number, hi: number): boolean {
    for (const a of this.#addresses.values()) if (((a.lo ^ lo) & 0xffff_f000) === 0 && a.hi === (hi | 0)) return true;
    return false;
  }
}
