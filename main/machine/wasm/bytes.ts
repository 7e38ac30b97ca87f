// A growing byte buffer with the WebAssembly binary format's integer encodings (Core Specification 2.0, section 5.2).

export class Bytes {
  buf: Uint8Array<ArrayBuffer>;
  n = 0;

  constructor(capacity = 256) {
    this.buf = new Uint8Array(capacity);
  }

  private room(k: number): void {
    if (this.n + k <= this.buf.length) return;
    const bigger = new Uint8Array(Math.max(this.buf.length * 2, this.n + k));
    bigger.set(this.buf);
    this.buf = bigger;
  }

  u8(v: number): void {
    if (this.n === this.buf.length) this.room(1);
    this.buf[this.n++] = v;
  }

  /** Unsigned LEB128 of a u32. */
  u32(v: number): void {
    this.room(5);
    v >>>= 0;
    while (v > 127) {
      this.buf[this.n++] = (v & 127) | 128;
      v >>>= 7;
    }
    this.buf[this.n++] = v;
  }

  /** Signed LEB128 of an i32. */
  s32(v: number): void {
    this.room(5);
    v |= 0;
    for (;;) {
      const low = v & 127;
      v >>= 7;
      if ((v === 0 && !(low & 64)) || (v === -1 && low & 64)) {
        this.buf[this.n++] = low;
        return;
      }
      this.buf[this.n++] = low | 128;
    }
  }

  /** Signed LEB128 of an i64. */
  s64(v: bigint): void {
    this.room(10);
    v = BigInt.asIntN(64, v);
    for (;;) {
      const low = Number(v & 127n);
      v >>= 7n;
      if ((v === 0n && !(low & 64)) || (v === -1n && low & 64)) {
        this.buf[this.n++] = low;
        return;
      }
      this.buf[this.n++] = low | 128;
    }
  }

  f64(v: number): void {
    this.room(8);
    new DataView(this.buf.buffer).setFloat64(this.n, v, true);
    this.n += 8;
  }

  bytes(b: Bytes | Uint8Array): void {
    const source = b instanceof Bytes ? b.buf.subarray(0, b.n) : b;
    this.room(source.length);
    this.buf.set(source, this.n);
    this.n += source.length;
  }

  name(s: string): void {
    const b = new TextEncoder().encode(s);
    this.u32(b.length);
    this.bytes(b);
  }

  done(): Uint8Array<ArrayBuffer> {
    return this.buf.slice(0, this.n);
  }
}
