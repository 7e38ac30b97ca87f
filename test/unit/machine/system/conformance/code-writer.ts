// A few x86 instructions as bytes: enough to write the conformance program without an assembler.
// Invariant: addresses are absolute and known when they are used; forward references go through memory cells.

export class CodeWriter {
  readonly origin: number;
  #bytes: number[] = [];

  constructor(origin: number) {
    this.origin = origin;
  }

  get here(): number {
    return this.origin + this.#bytes.length;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  emit(...bytes: number[]): this {
    for (const b of bytes) this.#bytes.push(b & 0xff);
    return this;
  }

  dword(value: number): this {
    return this.emit(value, value >>> 8, value >>> 16, value >>> 24);
  }

  /** Overwrites a dword that was emitted earlier. */
  patch(address: number, value: number): void {
    for (let i = 0; i < 4; i++) this.#bytes[address - this.origin + i] = (value >>> (8 * i)) & 0xff;
  }

  /** MOV r32, imm32 */
  load(register: number, value: number): this {
    return this.emit(0xb8 + register).dword(value);
  }

  /** MOV dword [address], imm32 */
  store(address: number, value: number): this {
    return this.emit(0xc7, 0x05).dword(address).dword(value);
  }

  push(value: number): this {
    return this.emit(0x68).dword(value);
  }

  /** JMP rel32 */
  jump(target: number): this {
    this.emit(0xe9);
    return this.dword(target - (this.here + 4));
  }
}

/** A generator of repeatable numbers (a 32-bit xorshift). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  below(n: number): number {
    return this.next() % n;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** True once in n. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}
