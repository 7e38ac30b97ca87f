// Runs cases on the CPU core: user privilege, paging on, the runner's code and data pages at the same linear addresses.

import { CpuCore } from '../../main/machine/cpu/core.ts';
import { HostMemory } from '../../main/machine/cpu/host-memory.ts';
import { F, GPR, STATE, Seg } from '../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../main/machine/cpu/system/index.ts';
import type { Vcpu } from '../../main/machine/cpu/vcpu.ts';
import { At, CODE_AT, CODE_BASE, Case, DATA_BASE, Fx, WINDOW, WINDOW_AT } from './case.ts';

const PML4 = 0x1000;
const PDPT = 0x2000;
const DIRECTORY = 0x3000;
const TABLE_DATA = 0x4000;
const TABLE_CODE = 0x5000;
const CODE_FRAME = 0x10000;
const DATA_FRAME = 0x20000;
/** Steps of one string instruction at most. */
const STEPS = 400;

export class Simulated {
  readonly mem = new HostMemory(0x4_0000);
  readonly core = new CpuCore(this.mem);
  readonly vcpu: Vcpu = this.core.createVcpu();
  #mode = 0;

  constructor() {
    const table = (at: number, index: number, to: number) => this.mem.write32(at + index * 8, to | 7);
    table(PML4, 0, PDPT);
    table(PDPT, 0, DIRECTORY);
    table(DIRECTORY, DATA_BASE >>> 21, TABLE_DATA);
    table(DIRECTORY, CODE_BASE >>> 21, TABLE_CODE);
    for (const page of [0, 1]) {
      table(TABLE_DATA, ((DATA_BASE >>> 12) & 511) + page, DATA_FRAME + page * 4096);
      this.mem.write32(TABLE_DATA + (((DATA_BASE >>> 12) & 511) + page) * 8 + 4, 0x8000_0000); // not to be executed
      this.mem.write32(TABLE_CODE + (((CODE_BASE >>> 12) & 511) + page) * 8, (CODE_FRAME + page * 4096) | 5);
    }
    this.mem.fill(CODE_FRAME, 0xcc, 8192);
    this.#enter(64);
  }

  #enter(mode: 32 | 64): void {
    if (this.#mode === mode) return;
    this.#mode = mode;
    const v = this.vcpu;
    this.core.select(v);
    v.set32(F.cr0, 0x8005_0033); // PG AM WP NE ET MP PE
    v.set32(F.cr4, 0x620); // PAE OSFXSR OSXMMEXCPT
    v.set64(F.cr3, BigInt(PML4));
    v.set32(F.efer, 0xd01); // NXE LMA LME SCE
    v.set32(F.interceptExceptions, 0xffff_ffff);
    v.cpl = 3;
    const code = {
      selector: mode === 64 ? 0x33 : 0x23,
      base: 0n,
      limit: 0xffff_ffff,
      attr: mode === 64 ? 0xa0fb : 0xc0fb,
    };
    const data = { selector: 0x2b, base: 0n, limit: 0xffff_ffff, attr: 0xc0f3 };
    v.setSegment(Seg.CS, code);
    for (const s of [Seg.ES, Seg.SS, Seg.DS]) v.setSegment(s, data);
    for (const s of [Seg.FS, Seg.GS]) v.setSegment(s, { selector: 0, base: 0n, limit: 0, attr: 0x1_0000 });
    v.onChanged?.();
    this.core.tlb.flush(true);
  }

  /** What the core makes of a case, in the form in which the runner reports. */
  run(input: Case): Case {
    const out = input.clone();
    this.#enter(input.mode);
    const { mem, vcpu: v } = this;
    const code = new Uint8Array(16).fill(0xcc);
    code.set(input.code);
    mem.copyIn(CODE_FRAME + (CODE_AT - CODE_BASE), code);
    mem.fill(DATA_FRAME, 0, 8192);
    mem.copyIn(DATA_FRAME + (WINDOW_AT - DATA_BASE), input.bytes.subarray(At.window, At.window + WINDOW));
    mem.u8.set(input.bytes.subarray(At.gpr, At.gpr + 128), STATE + GPR);
    if (input.mode === 32) for (let n = 0; n < 8; n++) v.set32(GPR + n * 8 + 4, 0);
    this.#loadFx(input);
    v.rip = BigInt(CODE_AT);
    v.rflags = (input.get(At.rflags) & 0x4_0cd5) | 0x202;
    v.set32(F.shadow, 0);
    let steps = 0;
    for (;;) {
      const exit = this.core.run(v, 1);
      if (exit.code === ExitCode.Exception || exit.code === ExitCode.SoftInt) {
        out.bytes[At.vector] = exit.info0;
        out.set(At.error, exit.info2 ? exit.info1 : 0);
        out.view.setBigUint64(At.cr2, exit.info0 === 14 ? v.get64(F.cr2) : 0n, true);
        break;
      }
      if (exit.code !== ExitCode.Budget) throw new Error(`exit ${exit.code}`);
      if (++steps > STEPS) throw new Error(`does not end: ${Buffer.from(input.code).toString('hex')}`);
    }
    // INT3 reports the address after itself
    out.view.setBigUint64(
      At.rip,
      BigInt.asUintN(input.mode, v.rip - BigInt(CODE_AT) + (out.vector === 3 ? 1n : 0n)),
      true,
    );
    out.view.setBigUint64(At.rflags, BigInt(v.rflags >>> 0), true);
    out.bytes.set(mem.u8.subarray(STATE + GPR, STATE + GPR + 128), At.gpr);
    this.#storeFx(out);
    out.bytes.set(mem.copyOut(DATA_FRAME + (WINDOW_AT - DATA_BASE), WINDOW), At.window);
    return out;
  }

  #loadFx(c: Case): void {
    const v = this.vcpu;
    const fx = c.view;
    const at = At.fx;
    v.set32(F.fpControl, fx.getUint16(at + Fx.control, true));
    const status = fx.getUint16(at + Fx.status, true);
    v.set32(F.fpStatus, status & 0x477f);
    const top = (status >>> 11) & 7;
    v.set32(F.fpTop, top);
    v.set32(F.fpTags, c.bytes[at + Fx.tags]!);
    v.set32(F.mxcsr, fx.getUint32(at + Fx.mxcsr, true));
    for (let i = 0; i < 8; i++) {
      const n = F.fpr + ((top + i) & 7) * 16;
      v.set64(n, fx.getBigUint64(at + Fx.st + i * 16, true));
      v.set64(n + 8, fx.getBigUint64(at + Fx.st + i * 16 + 8, true) & 0xffffn);
    }
    this.mem.u8.set(c.bytes.subarray(at + Fx.xmm, at + Fx.xmm + 256), STATE + F.xmm);
  }

  #storeFx(c: Case): void {
    const v = this.vcpu;
    const fx = c.view;
    const at = At.fx;
    fx.setUint16(at + Fx.control, v.get32(F.fpControl), true);
    const top = v.get32(F.fpTop) & 7;
    const flags = v.get32(F.fpStatus);
    const pending = flags & ~v.get32(F.fpControl) & 0x3f;
    fx.setUint16(at + Fx.status, flags | (top << 11) | (pending ? 0x8080 : 0), true);
    c.bytes[at + Fx.tags] = v.get32(F.fpTags);
    fx.setUint32(at + Fx.mxcsr, v.get32(F.mxcsr), true);
    for (let i = 0; i < 8; i++) {
      const n = F.fpr + ((top + i) & 7) * 16;
      fx.setBigUint64(at + Fx.st + i * 16, v.get64(n), true);
      fx.setBigUint64(at + Fx.st + i * 16 + 8, v.get64(n + 8) & 0xffffn, true);
    }
    c.bytes.set(this.mem.u8.subarray(STATE + F.xmm, STATE + F.xmm + 256), at + Fx.xmm);
  }
}
