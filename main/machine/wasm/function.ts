// Writes one WebAssembly function: locals, structured control flow, stores, calls.
// Invariant: labels carry the nesting depth at which they were opened, so a branch is right wherever it is written.

import { Bytes } from './bytes.ts';
import { E, TYPE_CODE, i32, placeOf, type Arg, type WasmType } from './expr.ts';
import type { ModuleBuilder } from './module.ts';

/** A mutable local variable; it is itself the expression that reads it. */
export class Local extends E {
  readonly index: number;
  constructor(t: WasmType, index: number) {
    super(t, (w) => {
      w.u8(0x20);
      w.u32(index);
    });
    this.index = index;
  }
}

/** A branch target: the end of a block or the head of a loop. */
export interface Label {
  readonly depth: number;
}

export class FunctionBuilder {
  readonly w = new Bytes(512);
  readonly module: ModuleBuilder;
  readonly params: Local[] = [];
  private readonly types: WasmType[] = [];
  private readonly paramCount: number;
  private depth = 0;
  private readonly free: Record<WasmType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  private scopeLocals: [WasmType, number][] | null = null;
  /** Branches with a known direction: offset in `w` of the instruction, and whether its condition usually holds. */
  private readonly hints: [number, boolean][] = [];

  constructor(module: ModuleBuilder, params: readonly WasmType[]) {
    this.module = module;
    this.paramCount = params.length;
    params.forEach((t, i) => {
      this.types.push(t);
      this.params.push(new Local(t, i));
    });
  }

  /** A fresh local of type `t`; inside `scope` it is reused afterwards and so starts with an unknown value. */
  local(t: WasmType): Local {
    const reuse = this.free[t].pop();
    const index = reuse ?? this.types.push(t) - 1;
    this.scopeLocals?.push([t, index]);
    return new Local(t, index);
  }

  /** A fresh local that outlives the scope it is made in. */
  lasting(t: WasmType): Local {
    return new Local(t, this.types.push(t) - 1);
  }

  /** Runs `body`; the locals it makes are given back at the end. */
  scope(body: () => void): void {
    const outer = this.scopeLocals;
    const mine: [WasmType, number][] = [];
    this.scopeLocals = mine;
    body();
    this.scopeLocals = outer;
    for (const [t, index] of mine) this.free[t].push(index);
  }

  /** Evaluates `e` now, once, into a local. */
  let(e: E): Local {
    const l = this.local(e.t);
    this.set(l, e);
    return l;
  }

  set(l: Local, e: Arg): void {
    l.like(e).emit(this.w);
    this.w.u8(0x21);
    this.w.u32(l.index);
  }

  /** Evaluates `e` and leaves its value to nobody. */
  drop(e: E): void {
    e.emit(this.w);
    this.w.u8(0x1a);
  }

  /** @param likely says which way it usually goes (branch hinting proposal); a hint changes only the layout of machine code. */
  if(cond: E, then: () => void, otherwise?: () => void, likely?: boolean): void {
    cond.emit(this.w);
    if (likely !== undefined) this.hints.push([this.w.n, likely]);
    this.w.u8(0x04);
    this.w.u8(0x40);
    this.depth++;
    then();
    if (otherwise) {
      this.w.u8(0x05);
      otherwise();
    }
    this.depth--;
    this.w.u8(0x0b);
  }

  /** A block; branching to its label leaves it. */
  block(body: (end: Label) => void): void {
    this.w.u8(0x02);
    this.w.u8(0x40);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.w.u8(0x0b);
  }

  /** A loop; branching to its label starts it again, falling off its end leaves it. */
  loop(body: (head: Label) => void): void {
    this.w.u8(0x03);
    this.w.u8(0x40);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.w.u8(0x0b);
  }

  br(l: Label): void {
    this.w.u8(0x0c);
    this.w.u32(this.depth - l.depth);
  }

  brIf(l: Label, cond: E, likely?: boolean): void {
    cond.emit(this.w);
    if (likely !== undefined) this.hints.push([this.w.n, likely]);
    this.w.u8(0x0d);
    this.w.u32(this.depth - l.depth);
  }

  /** Jumps to `cases[index]`, or to `fallback` when the index is out of range. */
  brTable(index: E, cases: readonly Label[], fallback: Label): void {
    index.emit(this.w);
    this.w.u8(0x0e);
    this.w.u32(cases.length);
    for (const l of cases) this.w.u32(this.depth - l.depth);
    this.w.u32(this.depth - fallback.depth);
  }

  /**
   * A multi-way branch with the bodies inline: `bodies[k]` runs when `index === k`, `fallback` otherwise. Bodies fall out at the end.
   * `map` gives for each index the number of its body (or -1 for the fallback).
   */
  switch(index: E, map: readonly number[], bodies: readonly (() => void)[], fallback: () => void): void {
    // block $end ( block $default ( block b[n-1] ( ... ( block b[0] ( br_table ) ) body 0; br $end ) ... ) fallback )
    const n = bodies.length;
    this.block((end) => {
      this.block((fall) => {
        const labels: Label[] = [];
        const open = (k: number): void => {
          if (k < 0) {
            this.brTable(
              index,
              map.map((b) => (b < 0 ? fall : labels[b]!)),
              fall,
            );
            return;
          }
          this.block((l) => {
            labels[k] = l;
            open(k - 1);
          });
          // code here runs for body k (block k has just ended)
          this.scope(bodies[k]!);
          this.br(end);
        };
        open(n - 1);
      });
      fallback();
    });
  }

  return(e?: E): void {
    e?.emit(this.w);
    this.w.u8(0x0f);
  }

  unreachable(): void {
    this.w.u8(0x00);
  }

  private store(code: number, addr: E, offset: number, v: E): void {
    const { base, distance } = placeOf(addr);
    base.emit(this.w);
    v.emit(this.w);
    this.w.u8(code);
    this.w.u8(0);
    this.w.u32(offset + distance);
  }
  st32(addr: E, offset: number, v: Arg): void {
    const e = v instanceof E ? v : i32(v);
    this.store(e.t === 'i64' ? 0x3e : 0x36, addr, offset, e);
  }
  st64(addr: E, offset: number, v: E): void {
    this.store(0x37, addr, offset, v);
  }
  st8(addr: E, offset: number, v: Arg): void {
    const e = v instanceof E ? v : i32(v);
    this.store(e.t === 'i64' ? 0x3c : 0x3a, addr, offset, e);
  }
  st16(addr: E, offset: number, v: Arg): void {
    const e = v instanceof E ? v : i32(v);
    this.store(e.t === 'i64' ? 0x3d : 0x3b, addr, offset, e);
  }
  stF32(addr: E, offset: number, v: E): void {
    this.store(0x38, addr, offset, v);
  }
  stF64(addr: E, offset: number, v: E): void {
    this.store(0x39, addr, offset, v);
  }
  stV128(addr: E, offset: number, v: E): void {
    const { base, distance } = placeOf(addr);
    base.emit(this.w);
    v.emit(this.w);
    this.w.u8(0xfd);
    this.w.u32(11);
    this.w.u8(0);
    this.w.u32(offset + distance);
  }

  /** memory.copy: `n` bytes, overlapping like memmove. */
  copy(dst: E, src: E, n: E): void {
    dst.emit(this.w);
    src.emit(this.w);
    n.emit(this.w);
    for (const b of [0xfc, 10, 0, 0]) this.w.u8(b);
  }
  /** memory.fill with a byte. */
  fill(dst: E, byte: Arg, n: Arg): void {
    dst.emit(this.w);
    i32(0).like(byte).emit(this.w);
    i32(0).like(n).emit(this.w);
    for (const b of [0xfc, 11, 0]) this.w.u8(b);
  }

  /** Calls a function of this module by name; the value must be used exactly once and at once (put it into `let` or `drop`). */
  call(name: string, ...args: E[]): E {
    const signature = this.module.signature(name);
    this.module.onCall?.(name);
    if (args.length !== signature.params.length)
      throw new TypeError(`wasm: ${name} takes ${signature.params.length} arguments`);
    args.forEach((a, i) => {
      if (a.t !== signature.params[i])
        throw new TypeError(`wasm: ${name}, argument ${i}: ${a.t}, not ${signature.params[i]}`);
    });
    const index = this.module.indexOf(name);
    return new E(signature.results[0] ?? 'i32', (w) => {
      for (const a of args) a.emit(w);
      w.u8(0x10);
      w.u32(index);
    });
  }
  /** Calls a function that returns nothing. */
  callVoid(name: string, ...args: E[]): void {
    this.call(name, ...args).emit(this.w);
  }
  /** Calls through table 0 a function of the given signature. */
  callIndirect(params: readonly WasmType[], results: readonly WasmType[], index: E, ...args: E[]): E {
    const type = this.module.typeIndex(params, results);
    return new E(results[0] ?? 'i32', (w) => {
      for (const a of args) a.emit(w);
      index.emit(w);
      w.u8(0x11);
      w.u32(type);
      w.u8(0);
    });
  }

  /** Leaves the function by a call through table 0: the callee returns to this function's caller. Types are those of the function itself. */
  returnCallIndirect(params: readonly WasmType[], results: readonly WasmType[], index: E, ...args: E[]): void {
    const type = this.module.typeIndex(params, results);
    for (const a of args) a.emit(this.w);
    index.emit(this.w);
    this.w.u8(0x13);
    this.w.u32(type);
    this.w.u8(0);
  }

  /** Leaves the function by a tail call of a function of this module. */
  returnCall(name: string, ...args: E[]): void {
    const index = this.module.indexOf(name);
    for (const a of args) a.emit(this.w);
    this.w.u8(0x12);
    this.w.u32(index);
  }

  /** The function's body with its local declarations, and its branch hints as [offset in the body, likely]. */
  finish(): { body: Bytes; hints: [number, boolean][] } {
    const out = new Bytes(this.w.n + 64);
    const locals = this.types.slice(this.paramCount);
    const runs: [number, WasmType][] = [];
    for (const t of locals) {
      const last = runs.at(-1);
      if (last && last[1] === t) last[0]++;
      else runs.push([1, t]);
    }
    out.u32(runs.length);
    for (const [n, t] of runs) {
      out.u32(n);
      out.u8(TYPE_CODE[t]);
    }
    const before = out.n;
    out.bytes(this.w);
    out.u8(0x0b);
    return { body: out, hints: this.hints.map(([at, likely]) => [at + before, likely]) };
  }
}
