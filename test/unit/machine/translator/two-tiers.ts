// Two small machines with paging that differ in one thing: one interprets everything, the other translates the program's beginning first.

import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { readEflags } from '../../../../main/machine/cpu/flag-functions.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import {
  F,
  FIRST_REGION,
  OP,
  PAGE_CODE,
  RAM_BASE,
  STATE,
  STATE_BYTES,
  Seg,
} from '../../../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import type { RegionRequest } from '../../../../main/machine/cpu/translator/interface.ts';
import type { Vcpu } from '../../../../main/machine/cpu/vcpu.ts';

const RAM_BYTES = 256 * 1024;
const TABLES = 0x30000;
export const CODE = 0x4000;
export const STACK = 0x7800;
/** First of the data pages; page n starts at DATA + n * 4096. */
export const DATA = 0x8000;
export const DATA_PAGES = 24;
const PRESENT_WRITABLE = 3;

export interface Outcome {
  code: number;
  vector: number;
  error: number;
  retired: number;
  rip: bigint;
  cr2: bigint;
  eflags: number;
  mxcsr: number;
  registers: bigint[];
  vectors: Uint8Array;
  ram: Uint8Array;
}
interface Picture {
  state: Uint8Array;
  ram: Uint8Array;
}

class Machine {
  readonly mem = new HostMemory(RAM_BYTES);
  readonly core: CpuCore;
  readonly vcpu: Vcpu;
  readonly mode: 32 | 64;

  constructor(mode: 32 | 64, tier: 'interpreter' | 'translator') {
    this.mode = mode;
    this.core = new CpuCore(this.mem, undefined, {
      tier,
      translator: { threshold: 1, patience: 0, background: false },
    });
    const v = (this.vcpu = this.core.createVcpu());
    this.core.select(v);
    const put = (maddr: number, value: number) => this.mem.write32(maddr, value);
    if (mode === 64) {
      put(TABLES, (TABLES + 0x1000) | PRESENT_WRITABLE);
      put(TABLES + 0x1000, (TABLES + 0x2000) | PRESENT_WRITABLE);
      put(TABLES + 0x2000, (TABLES + 0x3000) | PRESENT_WRITABLE);
    } else put(TABLES, (TABLES + 0x3000) | PRESENT_WRITABLE);
    for (let page = 0; page < TABLES >> 12; page++) this.map(page, PRESENT_WRITABLE);
    v.set32(F.cr4, mode === 64 ? 0x220 : 0x200);
    v.set32(F.efer, mode === 64 ? 0x500 : 0);
    v.set64(F.cr3, BigInt(TABLES));
    v.set32(F.cr0, 0x8001_0011);
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
      v.setSegment(s, { selector: 0x10, base: s < Seg.FS ? 0n : 0x40n, limit: 0xffff_ffff, attr: 0xc093 });
    v.setSegment(Seg.CS, { selector: 8, base: 0n, limit: 0xffff_ffff, attr: mode === 64 ? 0xa09b : 0xc09b });
    v.set32(F.interceptExceptions, -1);
    this.core.system.recomputeMode();
    this.core.tlb.flush(true);
  }

  map(page: number, bits: number, frame = page): void {
    const at = TABLES + 0x3000 + page * (this.mode === 64 ? 8 : 4);
    this.mem.write32(at, bits === 0 ? 0 : (frame << 12) | bits);
  }
  take(): Picture {
    return {
      state: this.mem.u8.slice(STATE, STATE + STATE_BYTES),
      ram: this.mem.u8.slice(RAM_BASE, RAM_BASE + RAM_BYTES),
    };
  }
  /** Also forgets translations of addresses. */
  restore(p: Picture): void {
    this.mem.u8.set(p.state, STATE);
    this.mem.u8.set(p.ram, RAM_BASE);
    this.core.tlb.flush(true);
  }
  run(budget: number): Outcome {
    // the time stamp counts from here
    const start = this.core.busyNow();
    this.core.cycles = () => this.core.busyNow() - start;
    const { code, info0, info1, retired } = this.core.run(this.vcpu, budget);
    const v = this.vcpu;
    const exception = code === ExitCode.Exception;
    return {
      ...{ code, vector: exception ? info0 : -1, error: exception ? info1 : 0, retired },
      ...{ rip: v.rip, cr2: v.get64(F.cr2), eflags: readEflags(this.mem.i32), mxcsr: v.get32(F.mxcsr) },
      registers: Array.from({ length: 16 }, (_, n) => v.getReg(n)),
      vectors: this.mem.u8.slice(STATE + F.xmm, STATE + F.xmm + 256),
      ram: this.mem.u8.slice(RAM_BASE, RAM_BASE + RAM_BYTES),
    };
  }
  /** Address of the operation record of the code at an offset of the page at CODE, 0 if it is not decoded. */
  record(offset = 0): number {
    const map = this.mem.u32[(PAGE_CODE >> 2) + (CODE >> 12)]!;
    return map === 0 ? 0 : this.mem.u32[(map >> 2) + offset]!;
  }
  /** The program as a place to translate; there is no code behind its page. */
  request(): RegionRequest {
    return {
      record: this.record(),
      frame: CODE >> 12,
      key: this.mem.u32[(STATE + F.mode) >> 2]!,
      second: -1,
      alone: true,
      careful: [],
    };
  }
}

export class TwoTiers {
  readonly mode: 32 | 64;
  readonly interpreted: Machine;
  readonly translated: Machine;
  #code: readonly number[] = [];

  constructor(mode: 32 | 64) {
    this.mode = mode;
    this.interpreted = new Machine(mode, 'interpreter');
    this.translated = new Machine(mode, 'translator');
  }
  /** The machine whose state the next comparison starts from. */
  get vcpu(): Vcpu {
    return this.interpreted.vcpu;
  }

  /** Sets the page-table entry of a page of the identity map (bit 0 present, bit 1 writable). */
  map(page: number, bits: number, frame = page): void {
    this.interpreted.map(page, bits, frame);
  }

  /**
   * Puts a program at CODE and translates from there what `warmUp` instructions from the present state have decoded (whatever they do is
   * undone). Returns the instructions of the region, 0 if it was refused.
   */
  load(code: readonly number[], warmUp = 1): number {
    this.#code = code;
    const { mem, core, vcpu } = this.translated;
    this.interpreted.mem.copyIn(CODE, Uint8Array.from([...code, 0x0f, 0x0b]));
    vcpu.rip = BigInt(CODE);
    const start = this.interpreted.take();
    mem.code.flush();
    this.translated.restore(start);
    vcpu.rip = BigInt(CODE);
    core.run(vcpu, warmUp);
    mem.u8.set(start.ram, RAM_BASE);
    mem.u32[(STATE + F.codeFrame) >> 2] = CODE >> 12;
    const before = core.tier!.statistics().made;
    core.tier!.hot(this.translated.record());
    core.tier!.translateQueue();
    const made = core.tier!.statistics().made - before;
    return made;
  }
  /** The program's first record enters a region now. */
  get entered(): boolean {
    const record = this.translated.record();
    return record !== 0 && this.translated.mem.u16[(record + OP.handler) >> 1]! >= FIRST_REGION;
  }

  /** Runs both from the present state, which is there again afterwards. */
  compare(budget: number): { interpreted: Outcome; translated: Outcome } {
    const { interpreted, translated } = this;
    interpreted.vcpu.rip = BigInt(CODE);
    const start = interpreted.take();
    interpreted.mem.code.flush();
    const expected = interpreted.run(budget);
    interpreted.restore(start);
    translated.restore(start);
    const seen = translated.run(budget);
    // code that the program changed is translated anew
    if (Buffer.compare(expected.ram.subarray(CODE, CODE + 4096), start.ram.subarray(CODE, CODE + 4096)) !== 0)
      this.load(this.#code);
    return { interpreted: expected, translated: seen };
  }
}

/** The first difference of two outcomes in words, or ''. */
export function difference(a: Outcome, b: Outcome): string {
  for (const field of ['code', 'vector', 'error', 'retired', 'rip', 'cr2', 'eflags', 'mxcsr'] as const)
    if (a[field] !== b[field]) return `${field}: interpreted ${a[field]}, translated ${b[field]}`;
  for (let n = 0; n < 16; n++)
    if (a.registers[n] !== b.registers[n])
      return `register ${n}: interpreted ${a.registers[n]!.toString(16)}, translated ${b.registers[n]!.toString(16)}`;
  if (Buffer.compare(a.vectors, b.vectors) !== 0) return 'XMM registers';
  if (Buffer.compare(a.ram, b.ram) === 0) return '';
  const at = a.ram.findIndex((v, i) => v !== b.ram[i]);
  return `memory at ${at.toString(16)}: interpreted ${a.ram[at]}, translated ${b.ram[at]}`;
}
