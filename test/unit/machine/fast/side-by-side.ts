// A core beside the generated module of one width, whose imports refuse: what the module does alone can be held against TypeScript.

import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { interpreterImage } from '../../../../main/machine/cpu/interpreter.ts';
import { RAM_BASE, STATE, STATE_BYTES } from '../../../../main/machine/cpu/layout.ts';

export const RAM_BYTES = 192 * 1024;
/** What the module's imported slow paths return: it did not do it alone. */
export const REFUSED = -7;

/** Numbers that look random and are the same each time (xorshift32). */
export class Random {
  #x: number;
  constructor(seed: number) {
    this.#x = seed;
  }
  word(): number {
    this.#x ^= this.#x << 13;
    this.#x ^= this.#x >>> 17;
    this.#x ^= this.#x << 5;
    return this.#x >>> 0;
  }
  below(n: number): number {
    return this.word() % n;
  }
  /** True once in `n` times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

export interface Picture {
  state: Uint8Array;
  ram: Uint8Array;
}

export class Bench {
  readonly mem = new HostMemory(RAM_BYTES);
  /** Times someone asked if an interrupt waits. */
  asked = 0;
  readonly core: CpuCore;
  readonly exports: Record<string, (...args: (number | bigint)[]) => number>;

  constructor(width: 32 | 64) {
    const asked = (): boolean => {
      this.asked++;
      return false;
    };
    this.core = new CpuCore(this.mem, {
      ioRead: () => 0,
      ioWrite: () => {},
      mmioRead: () => 0,
      mmioWrite: () => {},
      readMsr: () => null,
      writeMsr: () => false,
      interruptPending: asked,
      acknowledgeInterrupt: () => -1,
    });
    this.core.select(this.core.createVcpu());
    const image = interpreterImage(width);
    const refuse = (): number => REFUSED;
    const env: Record<string, WebAssembly.ImportValue> = { memory: this.mem.memory };
    for (const entry of WebAssembly.Module.imports(new WebAssembly.Module(image.bytes)))
      if (entry.kind === 'function') env[entry.name] = refuse;
    env['interrupts_enabled'] = asked;
    env['shadow_began'] = asked;
    env['code_page_written'] = (frame: number) => this.mem.code.written(frame);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(image.bytes), { env });
    this.exports = instance.exports as typeof this.exports;
  }

  get(field: number): number {
    return this.mem.u32[(STATE + field) >>> 2]!;
  }
  set(field: number, value: number): void {
    this.mem.u32[(STATE + field) >>> 2] = value;
  }
  put32(maddr: number, ...words: number[]): void {
    words.forEach((w, i) => (this.mem.u32[(RAM_BASE + maddr + i * 4) >>> 2] = w));
  }

  take(): Picture {
    return {
      state: this.mem.u8.slice(STATE, STATE + STATE_BYTES),
      ram: this.mem.u8.slice(RAM_BASE, RAM_BASE + RAM_BYTES),
    };
  }
  restore(p: Picture): void {
    this.mem.u8.set(p.state, STATE);
    this.mem.u8.set(p.ram, RAM_BASE);
    this.core.tlb.flush(true);
  }
}

/** The first difference of two pictures in words, or ''. */
export function difference(a: Picture, b: Picture): string {
  for (const part of ['state', 'ram'] as const) {
    if (Buffer.compare(a[part], b[part]) === 0) continue;
    const at = a[part].findIndex((v, i) => v !== b[part][i]);
    return `${part} at ${at}: ${a[part].slice(at, at + 8).join(' ')} and ${b[part].slice(at, at + 8).join(' ')}`;
  }
  return '';
}
