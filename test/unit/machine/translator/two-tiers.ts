// One small machine with paging, run twice from the same state: by the interpreter alone, and by a translated region followed by the interpreter.

import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { readEflags } from '../../../../main/machine/cpu/flag-functions.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { F, GPR, PAGE_CODE, RAM_BASE, STATE, STATE_BYTES, Seg } from '../../../../main/machine/cpu/layout.ts';
import { Access, ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import { translateRegion, type TranslatedRegion } from '../../../../main/machine/cpu/translator/translate.ts';
import { RegionExit } from '../../../../main/machine/cpu/translator/translator-semantics.ts';
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
  registers: bigint[];
  ram: Uint8Array;
}
interface Picture {
  state: Uint8Array;
  ram: Uint8Array;
}

export class TwoTiers {
  readonly mode: 32 | 64;
  readonly mem = new HostMemory(RAM_BYTES);
  readonly core = new CpuCore(this.mem);
  readonly vcpu: Vcpu;
  /** Instructions that retired in translated code. */
  translated = 0;

  constructor(mode: 32 | 64) {
    this.mode = mode;
    const v = (this.vcpu = this.core.createVcpu());
    this.core.select(v);
    const put = (maddr: number, value: number) => this.mem.write32(maddr, value);
    if (mode === 64) {
      put(TABLES, (TABLES + 0x1000) | PRESENT_WRITABLE);
      put(TABLES + 0x1000, (TABLES + 0x2000) | PRESENT_WRITABLE);
      put(TABLES + 0x2000, (TABLES + 0x3000) | PRESENT_WRITABLE);
    } else put(TABLES, (TABLES + 0x3000) | PRESENT_WRITABLE);
    for (let page = 0; page < TABLES >> 12; page++) this.map(page, PRESENT_WRITABLE);
    v.set32(F.cr4, mode === 64 ? 0x20 : 0);
    v.set32(F.efer, mode === 64 ? 0x500 : 0);
    v.set64(F.cr3, BigInt(TABLES));
    v.set32(F.cr0, 0x8001_0011);
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
      v.setSegment(s, { selector: 0x10, base: 0n, limit: 0xffff_ffff, attr: 0xc093 });
    v.setSegment(Seg.CS, { selector: 8, base: 0n, limit: 0xffff_ffff, attr: mode === 64 ? 0xa09b : 0xc09b });
    v.set32(F.interceptExceptions, -1);
    this.core.system.recomputeMode();
    this.core.tlb.flush(true);
  }

  /** Sets the page-table entry of a page of the identity map (bit 0 present, bit 1 writable). */
  map(page: number, bits: number): void {
    const at = TABLES + 0x3000 + page * (this.mode === 64 ? 8 : 4);
    this.mem.write32(at, bits === 0 ? 0 : (page << 12) | bits);
  }

  /** Puts a program at CODE, lets it be decoded, and translates it. */
  load(code: readonly number[]): TranslatedRegion | null {
    this.mem.copyIn(CODE, Uint8Array.from([...code, 0x0f, 0x0b]));
    this.vcpu.rip = BigInt(CODE);
    this.core.tlb.flush(true);
    const before = this.take();
    this.core.run(this.vcpu, 1);
    const codeFrame = this.mem.u32[(STATE + F.codeFrame) >> 2]!;
    const record = this.mem.u32[(this.mem.u32[(PAGE_CODE >> 2) + codeFrame]! >> 2) + (CODE & 4095)]!;
    const region = translateRegion(this.core, record);
    // what the look-up left in the state (page, frame) is where the next run starts, too
    const page = this.mem.u8.slice(STATE + GPR + 136, STATE + GPR + 144);
    this.restore(before);
    this.mem.u8.set(page, STATE + GPR + 136);
    this.mem.u32[(STATE + F.codeFrame) >> 2] = codeFrame;
    return region;
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

  #outcome(code: number, vector: number, error: number, retired: number): Outcome {
    const v = this.vcpu;
    const registers = Array.from({ length: 16 }, (_, n) => v.getReg(n));
    const ram = this.mem.u8.slice(RAM_BASE, RAM_BASE + RAM_BYTES);
    const exception = code === ExitCode.Exception;
    return {
      ...{ code, vector: exception ? vector : -1, error: exception ? error : 0, retired },
      ...{ rip: v.rip, cr2: v.get64(F.cr2), eflags: readEflags(this.mem.i32), registers, ram },
    };
  }
  #interpret(budget: number, already = 0): Outcome {
    const exit = this.core.run(this.vcpu, budget);
    return this.#outcome(exit.code, exit.info0, exit.info1, already + exit.retired);
  }
  /** Enters the region whenever its start is reached and there is fuel for it; the rest is interpreted. */
  #translate(region: TranslatedRegion, budget: number): Outcome {
    const i32 = this.mem.i32;
    i32[(STATE + F.faultVector) >> 2] = -1;
    let retired = 0;
    for (;;) {
      i32[(STATE + F.fuel) >> 2] = budget - retired;
      const why = region.enter();
      const left = i32[(STATE + F.fuel) >> 2]!;
      const done = budget - retired - left;
      if (left < 0 || done < 0) throw new RangeError(`The region left ${left} of ${budget - retired} instructions.`);
      this.translated += done;
      retired += done;
      if (why === RegionExit.Fault) {
        const vector = i32[(STATE + F.faultVector) >> 2]!;
        const error = i32[(STATE + F.faultHasError) >> 2]! ? i32[(STATE + F.faultError) >> 2]! : 0;
        i32[(STATE + F.faultVector) >> 2] = -1;
        return this.#outcome(ExitCode.Exception, vector, error, retired);
      }
      if (why === RegionExit.Fuel) return this.#interpret(budget - retired, retired);
      while (this.vcpu.rip !== BigInt(CODE) && retired < budget) {
        const exit = this.core.run(this.vcpu, 1);
        retired += exit.retired;
        if (exit.code !== ExitCode.Budget) return this.#outcome(exit.code, exit.info0, exit.info1, retired);
      }
      if (retired === budget) return this.#interpret(0, retired);
    }
  }

  /** Runs both tiers from the present state, which is there again afterwards. Returns both outcomes. */
  compare(region: TranslatedRegion, budget: number): { interpreted: Outcome; translated: Outcome } {
    // a region is entered through a look-up, which has walked to the code's page
    this.core.translate(CODE, 0, Access.Exec, false);
    const before = this.take();
    const translated = this.#translate(region, budget);
    this.restore(before);
    this.mem.code.flush();
    const interpreted = this.#interpret(budget);
    this.restore(before);
    this.mem.code.flush();
    return { interpreted, translated };
  }
}

/** The first difference of two outcomes in words, or ''. */
export function difference(a: Outcome, b: Outcome): string {
  for (const field of ['code', 'vector', 'error', 'retired', 'rip', 'cr2', 'eflags'] as const)
    if (a[field] !== b[field]) return `${field}: interpreted ${a[field]}, translated ${b[field]}`;
  for (let n = 0; n < 16; n++)
    if (a.registers[n] !== b.registers[n])
      return `register ${n}: interpreted ${a.registers[n]!.toString(16)}, translated ${b.registers[n]!.toString(16)}`;
  if (Buffer.compare(a.ram, b.ram) === 0) return '';
  const at = a.ram.findIndex((v, i) => v !== b.ram[i]);
  return `memory at ${at.toString(16)}: interpreted ${a.ram[at]}, translated ${b.ram[at]}`;
}
