// A small machine with flat 32-bit or 64-bit code and everything below 256 KiB mapped, by either tier; exceptions end a run.

import { CpuCore, type CoreOptions } from '../../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { F, RAM_BASE, Seg } from '../../../../main/machine/cpu/layout.ts';
import type { LockstepMachine } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { ExitCode } from '../../../../main/machine/cpu/system/index.ts';
import type { Vcpu, VcpuState } from '../../../../main/machine/cpu/vcpu.ts';

export const RAM_BYTES = 256 * 1024;
const TABLES = 0x30000;
export const CODE = 0x20000;
export const STACK = 0x7800;
const PRESENT_WRITABLE = 3;

export class TierMachine implements LockstepMachine {
  readonly mode: 32 | 64;
  readonly mem = new HostMemory(RAM_BYTES);
  readonly core: CpuCore;
  readonly vcpu: Vcpu;
  #stopped = false;
  #exit = '';

  constructor(mode: 32 | 64, options: CoreOptions) {
    this.mode = mode;
    this.core = new CpuCore(this.mem, undefined, options);
    const v = (this.vcpu = this.core.createVcpu());
    this.core.select(v);
    const put = (maddr: number, value: number) => this.mem.write32(maddr, value);
    if (mode === 64) {
      put(TABLES, (TABLES + 0x1000) | PRESENT_WRITABLE);
      put(TABLES + 0x1000, (TABLES + 0x2000) | PRESENT_WRITABLE);
      put(TABLES + 0x2000, (TABLES + 0x3000) | PRESENT_WRITABLE);
    } else put(TABLES, (TABLES + 0x3000) | PRESENT_WRITABLE);
    for (let page = 0; page < RAM_BYTES >> 12; page++)
      put(TABLES + 0x3000 + page * (mode === 64 ? 8 : 4), (page << 12) | PRESENT_WRITABLE);
    v.set32(F.cr4, mode === 64 ? 0x20 : 0);
    v.set32(F.efer, mode === 64 ? 0x500 : 0);
    v.set64(F.cr3, BigInt(TABLES));
    v.set32(F.cr0, 0x8001_0011);
    for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS])
      v.setSegment(s, { selector: 0x10, base: 0n, limit: 0xffff_ffff, attr: 0xc093 });
    v.setSegment(Seg.CS, { selector: 8, base: 0n, limit: 0xffff_ffff, attr: mode === 64 ? 0xa09b : 0xc09b });
    v.set32(F.interceptExceptions, -1);
    v.setReg(4, BigInt(STACK));
    v.rip = BigInt(CODE);
    this.core.system.recomputeMode();
    this.core.tlb.flush(true);
  }

  /** Runs `budget` instructions at most; false when an exception ended it. */
  run(budget: number): boolean {
    const { code, info0, info1 } = this.core.run(this.vcpu, budget);
    if (code !== ExitCode.Budget) {
      this.#stopped = true;
      this.#exit = `exit ${code} ${info0} ${info1}`;
    }
    return !this.#stopped;
  }
  runUntil(time: number): boolean {
    const left = time - this.core.busyNow();
    return !this.#stopped && (left <= 0 || this.run(left));
  }
  vcpus(): VcpuState[] {
    return [this.vcpu.saveState()];
  }
  ram(): Uint8Array {
    return this.mem.u8.subarray(RAM_BASE, RAM_BASE + RAM_BYTES);
  }
  other(): string {
    return `${this.core.retiredNow()} instructions, ${this.core.busyNow()} cycles ${this.#exit}`;
  }
  code(): { bytes: Uint8Array; size: 32 | 64 } {
    const at = Number(this.vcpu.rip) % RAM_BYTES;
    return { bytes: this.ram().slice(at, at + 15), size: this.mode };
  }
}
