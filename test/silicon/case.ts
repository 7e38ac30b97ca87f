// One case in binary form, as test/silicon/runner.c has it: `struct item`. Named offsets, and typed access to a batch.
// Invariant: runner.c and this file agree; the runner's base addresses are repeated here.

export const CODE_BASE = 0x2000_0000;
export const CODE_AT = 0x2000_1000;
export const DATA_BASE = 0x1000_0000;
export const WINDOW_AT = 0x1000_0f80;
export const WINDOW = 256;

export const At = {
  id: 0,
  length: 4,
  mode: 5,
  vector: 6,
  error: 8,
  code: 16,
  rip: 32,
  rflags: 40,
  cr2: 48,
  gpr: 56,
  fx: 184,
  window: 696,
} as const;
export const CASE_BYTES = 952;

/** Offsets in the FXSAVE area. */
export const Fx = { control: 0, status: 2, tags: 4, mxcsr: 24, st: 32, xmm: 160 } as const;

export class Case {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  constructor(bytes: Uint8Array = new Uint8Array(CASE_BYTES)) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get id(): number {
    return this.view.getUint32(At.id, true);
  }
  get mode(): 32 | 64 {
    return this.bytes[At.mode] as 32 | 64;
  }
  get length(): number {
    return this.bytes[At.length]!;
  }
  get vector(): number {
    return this.bytes[At.vector]!;
  }
  get code(): Uint8Array {
    return this.bytes.subarray(At.code, At.code + this.length);
  }
  setCode(code: readonly number[]): void {
    this.bytes[At.length] = code.length;
    this.bytes.fill(0xcc, At.code, At.code + 16);
    this.bytes.set(code, At.code);
  }
  gpr(n: number): bigint {
    return this.view.getBigUint64(At.gpr + n * 8, true);
  }
  setGpr(n: number, v: bigint): void {
    this.view.setBigUint64(At.gpr + n * 8, BigInt.asUintN(64, v), true);
  }
  get(offset: number): number {
    return this.view.getUint32(offset, true);
  }
  set(offset: number, v: number): void {
    this.view.setUint32(offset, v, true);
  }
  clone(): Case {
    return new Case(this.bytes.slice());
  }
}
