// The HVM_CONTEXT record: what Xen's hypervisor itself saves of an HVM domain, as a list of typed entries (public/hvm/save.h,
// public/arch-x86/hvm/save.h). Written: HEADER, and for each vCPU that is up CPU, LAPIC, LAPIC_REGS, MTRR; then END.
// Not kept, as with Xen: that a vCPU waits in HLT (it returns from it once, for nothing).

import { APIC_TIMER_HZ } from '../../machine/devices/local-apic/registers.ts';
import type { LocalApicState } from '../../machine/devices/local-apic/state.ts';
import { F, Seg } from '../../machine/cpu/layout.ts';
import { allowedCr4, DEFAULT_CPUID } from '../../machine/cpu/system/cpuid-policy.ts';
import { Cr0, Cr4, Efer } from '../../hypervisor/abi/constants.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import { interceptHvm } from '../../hypervisor/intercepts.ts';
import { Reg } from '../../hypervisor/cpu-view.ts';
import type { GuestVcpu } from '../../hypervisor/vcpu.ts';
import { readFxsave, writeFxsave } from './fxsave.ts';

const Code = { END: 0, HEADER: 1, CPU: 2, LAPIC: 5, LAPIC_REGS: 6, MTRR: 14 } as const;
const HVM_FILE_MAGIC = 0x5438_1286;
const HVM_FILE_VERSION = 2;
const HEADER_BYTES = 24;
const CPU_BYTES = 1032;
/** Before MSR_TSC_AUX was added (hvm_hw_cpu_compat). */
const CPU_COMPAT_BYTES = 1016;
const LAPIC_BYTES = 24;
const LAPIC_REGS_BYTES = 1024;
const MTRR_BYTES = 240;

/** struct hvm_hw_cpu: offsets. */
const REGS = [
  Reg.RAX,
  Reg.RBX,
  Reg.RCX,
  Reg.RDX,
  Reg.RBP,
  Reg.RSI,
  Reg.RDI,
  Reg.RSP,
  Reg.R8,
  Reg.R9,
  Reg.R10,
  Reg.R11,
  Reg.R12,
  Reg.R13,
  Reg.R14,
  Reg.R15,
];
const SEGMENTS = [Seg.CS, Seg.DS, Seg.ES, Seg.FS, Seg.GS, Seg.SS, Seg.TR, Seg.LDTR];
const AT = {
  regs: 512,
  rip: 640,
  rflags: 648,
  cr0: 656,
  cr2: 664,
  cr3: 672,
  cr4: 680,
  dr: 688,
  selectors: 736,
  limits: 768,
  idtrLimit: 800,
  gdtrLimit: 804,
  bases: 808,
  idtrBase: 872,
  gdtrBase: 880,
  attributes: 888,
  sysenter: 920,
  shadowGs: 944,
  msrs: 960,
  tsc: 1008,
  pending: 1016,
  flags: 1024,
} as const;
/** lstar, star, cstar, syscall_mask, efer, tsc_aux from AT.msrs on. */
const MSRS = [F.lstar, F.star, F.cstar, F.sfmask, F.efer, F.tscAux];
/** LVT entries in the order of LocalApicState.lvt: offsets of the register page. */
const LVT = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370];

const PRESENT = 0x80;
const UNUSABLE = 0x1_0000;
/** Segment attributes as Xen packs them: type to P, then AVL, L, D/B, G. */
const packAttributes = (attr: number) => (attr & UNUSABLE ? 0 : (attr & 0xff) | ((attr >>> 4) & 0xf00));
const unpackAttributes = (packed: number) => (packed & PRESENT ? (packed & 0xff) | ((packed & 0xf00) << 4) : UNUSABLE);

export function saveHvmContext(d: Domain): Uint8Array {
  const parts: Uint8Array[] = [];
  const entry = (code: number, instance: number, body: Uint8Array) => {
    const out = new Uint8Array(8 + body.length);
    const view = new DataView(out.buffer);
    view.setUint16(0, code, true);
    view.setUint16(2, instance, true);
    view.setUint32(4, body.length, true);
    out.set(body, 8);
    parts.push(out);
  };
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint32(0, HVM_FILE_MAGIC, true);
  header.setUint32(4, HVM_FILE_VERSION, true);
  header.setUint32(20, d.host.clockMHz * 1000, true);
  entry(Code.HEADER, 0, new Uint8Array(header.buffer));
  const up = d.vcpus.filter((v) => v.online);
  for (const v of up) entry(Code.CPU, v.id, saveCpu(v));
  for (const v of up) {
    const [lapic, registers] = saveApic(v.hvm!.apic.getState(), d.host.now());
    entry(Code.LAPIC, v.id, lapic);
    entry(Code.LAPIC_REGS, v.id, registers);
  }
  for (const v of up) entry(Code.MTRR, v.id, saveMtrr(v));
  entry(Code.END, 0, new Uint8Array(0));
  return join(parts);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function saveCpu(v: GuestVcpu): Uint8Array {
  const { cpu } = v;
  const view = new DataView(new ArrayBuffer(CPU_BYTES));
  const put = (at: number, value: bigint | number) => view.setBigUint64(at, BigInt(value), true);
  writeFxsave(cpu, view, 0);
  REGS.forEach((reg, i) => put(AT.regs + i * 8, cpu.reg(reg)));
  put(AT.rip, cpu.rip);
  put(AT.rflags, cpu.rflags >>> 0);
  put(AT.cr0, cpu.u32(F.cr0));
  put(AT.cr2, cpu.u64(F.cr2));
  put(AT.cr3, cpu.u64(F.cr3));
  put(AT.cr4, cpu.u32(F.cr4));
  [0, 1, 2, 3, 6, 7].forEach((n, i) => put(AT.dr + i * 8, cpu.u64(F.dr + n * 8)));
  SEGMENTS.forEach((seg, i) => {
    view.setUint32(AT.selectors + i * 4, cpu.selector(seg), true);
    view.setUint32(AT.limits + i * 4, cpu.segLimit(seg), true);
    put(AT.bases + i * 8, cpu.segBase(seg));
    view.setUint32(AT.attributes + i * 4, packAttributes(cpu.segAttr(seg)), true);
  });
  view.setUint32(AT.idtrLimit, cpu.u32(F.idtLimit), true);
  view.setUint32(AT.gdtrLimit, cpu.u32(F.gdtLimit), true);
  put(AT.idtrBase, cpu.u64(F.idtBase));
  put(AT.gdtrBase, cpu.u64(F.gdtBase));
  [F.sysenterCs, F.sysenterEsp, F.sysenterEip].forEach((f, i) => put(AT.sysenter + i * 8, cpu.u64(f)));
  put(AT.shadowGs, cpu.u64(F.kernelGsBase));
  MSRS.forEach((f, i) => put(AT.msrs + i * 8, f === F.efer ? cpu.u32(f) : cpu.u64(f)));
  put(AT.tsc, BigInt.asUintN(64, BigInt(v.domain.host.nowCycles()) + cpu.u64(F.tscOffset)));
  view.setUint32(AT.flags, 1, true);
  return new Uint8Array(view.buffer);
}

function loadCpu(v: GuestVcpu, view: DataView, compat: boolean): string | null {
  const { cpu, machine } = v;
  const get = (at: number) => view.getBigUint64(at, true);
  const low = (at: number) => view.getUint32(at, true);
  machine.reset();
  interceptHvm(machine);
  readFxsave(cpu, view, 0);
  REGS.forEach((reg, i) => cpu.setReg(reg, get(AT.regs + i * 8)));
  cpu.rip = get(AT.rip);
  cpu.setU32(F.cr0, low(AT.cr0));
  cpu.setU64(F.cr2, get(AT.cr2));
  cpu.setU64(F.cr3, get(AT.cr3));
  cpu.setU32(F.cr4, low(AT.cr4));
  [0, 1, 2, 3, 6, 7].forEach((n, i) => cpu.setU64(F.dr + n * 8, get(AT.dr + i * 8)));
  SEGMENTS.forEach((seg, i) =>
    cpu.setSegment(
      seg,
      low(AT.selectors + i * 4) & 0xffff,
      get(AT.bases + i * 8),
      low(AT.limits + i * 4),
      unpackAttributes(low(AT.attributes + i * 4)),
    ),
  );
  cpu.setU32(F.idtLimit, low(AT.idtrLimit));
  cpu.setU32(F.gdtLimit, low(AT.gdtrLimit));
  cpu.setU64(F.idtBase, get(AT.idtrBase));
  cpu.setU64(F.gdtBase, get(AT.gdtrBase));
  [F.sysenterCs, F.sysenterEsp, F.sysenterEip].forEach((f, i) => cpu.setU64(f, get(AT.sysenter + i * 8)));
  cpu.setU64(F.kernelGsBase, get(AT.shadowGs));
  MSRS.forEach((f, i) => {
    if (compat && f === F.tscAux) return;
    if (f === F.efer) cpu.setU32(f, low(AT.msrs + i * 8));
    else cpu.setU64(f, get(AT.msrs + i * 8));
  });
  const efer = cpu.u32(F.efer);
  const [cr0, cr4] = [get(AT.cr0), get(AT.cr4)];
  if (efer & ~(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE))
    return `vCPU ${v.id} has EFER 0x${efer.toString(16)}, which this CPU does not have`;
  if (cr4 & ~BigInt(allowedCr4(DEFAULT_CPUID)))
    return `vCPU ${v.id} has CR4 0x${cr4.toString(16)}, which this CPU does not have`;
  // What no sequence of instructions leads to (SDM vol. 3, 4.1.1 and 2.5).
  const paging = (cr0 & BigInt(Cr0.PG)) !== 0n;
  const long = (efer & Efer.LMA) !== 0;
  if (
    cr0 > 0xffff_ffffn ||
    (paging && (cr0 & BigInt(Cr0.PE)) === 0n) ||
    long !== (paging && (efer & Efer.LME) !== 0) ||
    (long && (cr4 & BigInt(Cr4.PAE)) === 0n)
  )
    return `vCPU ${v.id} is in a mode that does not exist (CR0 0x${cr0.toString(16)}, CR4 0x${cr4.toString(16)}, EFER 0x${efer.toString(16)})`;
  // The ring is SS's, but in real mode, where segments have no descriptors.
  cpu.setU32(F.cpl, cpu.u32(F.cr0) & 1 ? (cpu.segAttr(Seg.SS) & UNUSABLE ? 0 : (cpu.segAttr(Seg.SS) >>> 5) & 3) : 0);
  cpu.setU32(F.halted, 0);
  cpu.rflags = Number(get(AT.rflags) & 0xffff_ffffn);
  return null;
}

function saveApic(state: LocalApicState, now: number): [Uint8Array, Uint8Array] {
  const lapic = new DataView(new ArrayBuffer(LAPIC_BYTES));
  lapic.setBigUint64(0, BigInt(state.apicBase >>> 0), true);
  lapic.setUint32(12, divisorOf(state.divide), true);
  const page = new DataView(new ArrayBuffer(LAPIC_REGS_BYTES));
  const put = (at: number, value: number) => page.setUint32(at, value >>> 0, true);
  put(0x20, (state.apicBase & 0x400) !== 0 ? state.id : state.id << 24);
  put(0x30, 0x0005_0014);
  put(0x80, state.tpr);
  put(0xd0, state.ldr);
  put(0xe0, state.dfr);
  put(0xf0, state.svr);
  state.isr.forEach((w, i) => put(0x100 + i * 16, w));
  state.tmr.forEach((w, i) => put(0x180 + i * 16, w));
  state.irr.forEach((w, i) => put(0x200 + i * 16, w));
  put(0x280, state.esr);
  put(0x300, state.icrLow);
  put(0x310, state.icrHigh);
  state.lvt.slice(0, LVT.length).forEach((w, i) => put(LVT[i]!, w));
  put(0x380, state.initialCount);
  if (state.timerRunning) {
    const ticks = Math.floor(((now - state.timerStart) * APIC_TIMER_HZ) / 1e9 / divisorOf(state.divide));
    const periodic = (state.lvt[0]! & 0x2_0000) !== 0;
    const passed = periodic ? ticks % Math.max(1, state.initialCount) : Math.min(ticks, state.initialCount);
    put(0x390, state.initialCount - passed);
  }
  put(0x3e0, state.divide);
  return [new Uint8Array(lapic.buffer), new Uint8Array(page.buffer)];
}

/** What the divide configuration register divides by (SDM vol. 3, figure 11-10). */
function divisorOf(divide: number): number {
  const code = (divide & 3) | ((divide >>> 1) & 4);
  return code === 7 ? 1 : 2 << code;
}

function loadApic(v: GuestVcpu, lapic: DataView, page: DataView): void {
  const get = (at: number) => page.getUint32(at, true);
  const { apic } = v.hvm!;
  const fresh = apic.getState();
  const apicBase = Number(lapic.getBigUint64(0, true) & 0xffff_ffffn);
  const words = (at: number) => Array.from({ length: 8 }, (_, i) => get(at + i * 16));
  const initialCount = get(0x380);
  const divide = get(0x3e0) & 0xb;
  const current = get(0x390);
  const elapsed = Math.floor((Math.max(0, initialCount - current) * divisorOf(divide) * 1e9) / APIC_TIMER_HZ);
  const lvt = fresh.lvt.map((w, i) => (i < LVT.length ? get(LVT[i]!) : w));
  apic.setState({
    ...fresh,
    apicBase,
    id: apicBase & 0x400 ? get(0x20) : get(0x20) >>> 24,
    tpr: get(0x80),
    ldr: get(0xd0),
    dfr: get(0xe0),
    svr: get(0xf0),
    isr: words(0x100),
    tmr: words(0x180),
    irr: words(0x200),
    esr: get(0x280),
    icrLow: get(0x300),
    icrHigh: get(0x310),
    lvt,
    initialCount,
    divide,
    timerStart: v.domain.host.now() - elapsed,
    timerRunning: initialCount !== 0 && (current !== 0 || (lvt[0]! & 0x2_0000) !== 0),
  });
}

function saveMtrr(v: GuestVcpu): Uint8Array {
  const view = new DataView(new ArrayBuffer(MTRR_BYTES));
  view.setBigUint64(0, v.cpu.u64(F.pat), true);
  for (let i = 0; i < 27; i++) view.setBigUint64(8 + i * 8, v.cpu.u64(F.mtrrVariable + i * 8), true);
  // Capabilities: eight variable ranges, fixed ranges, write-combining.
  view.setBigUint64(224, 0x508n, true);
  view.setBigUint64(232, v.cpu.u64(F.mtrrDefType), true);
  return new Uint8Array(view.buffer);
}

function loadMtrr(v: GuestVcpu, view: DataView): void {
  v.cpu.setU64(F.pat, view.getBigUint64(0, true));
  for (let i = 0; i < 27; i++) v.cpu.setU64(F.mtrrVariable + i * 8, view.getBigUint64(8 + i * 8, true));
  v.cpu.setU64(F.mtrrDefType, view.getBigUint64(232, true));
}

/** Entries of devices that a PVH domain does not have: of a full HVM guest, which cannot run here. */
const NAMES: Record<number, string> = {
  3: 'an 8259 interrupt controller',
  4: 'an I/O APIC',
  10: 'an 8254 timer',
  11: 'a real-time clock',
  12: 'an HPET',
};

/**
 * Loads a context into the fresh vCPUs of a domain; those it names are brought up (but not run).
 * @returns the rest of a sentence about what is wrong with it, or null
 */
export function loadHvmContext(d: Domain, bytes: Uint8Array): string | null {
  const lapics = new Map<number, DataView>();
  const up = new Set<number>();
  let ended = false;
  for (let at = 0; !ended;) {
    if (at + 8 > bytes.length) return 'it ends before its end entry';
    const head = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
    const code = head.getUint16(0, true);
    const instance = head.getUint16(2, true);
    const length = head.getUint32(4, true);
    if (at + 8 + length > bytes.length) return `its entry ${code} claims ${length} bytes, more than there are`;
    const body = new DataView(bytes.buffer, bytes.byteOffset + at + 8, length);
    at += 8 + length;
    const v = d.vcpus[instance];
    const perVcpu = code === Code.CPU || code === Code.LAPIC || code === Code.LAPIC_REGS || code === Code.MTRR;
    if (perVcpu && !v) return `it has a vCPU ${instance}, which the domain does not have`;
    switch (code) {
      case Code.END:
        ended = true;
        break;
      case Code.HEADER:
        if (length < HEADER_BYTES || body.getUint32(0, true) !== HVM_FILE_MAGIC) return 'its header is not one';
        break;
      case Code.CPU: {
        if (length !== CPU_BYTES && length !== CPU_COMPAT_BYTES) return `its CPU entry has ${length} bytes`;
        const problem = loadCpu(v!, body, length === CPU_COMPAT_BYTES);
        if (problem) return problem;
        up.add(instance);
        break;
      }
      case Code.LAPIC:
        if (length < LAPIC_BYTES) return `its LAPIC entry has ${length} bytes`;
        lapics.set(instance, body);
        break;
      case Code.LAPIC_REGS: {
        const lapic = lapics.get(instance);
        if (length !== LAPIC_REGS_BYTES || !lapic) return 'its LAPIC registers come without their LAPIC';
        loadApic(v!, lapic, body);
        break;
      }
      case Code.MTRR:
        if (length < MTRR_BYTES) return `its MTRR entry has ${length} bytes`;
        loadMtrr(v!, body);
        break;
      default:
        if (NAMES[code]) return `the guest has ${NAMES[code]}, as full HVM domains do`;
    }
  }
  if (!up.has(0)) return 'it has no vCPU 0';
  for (const id of up) {
    const v = d.vcpus[id]!;
    v.initialised = true;
    v.online = true;
  }
  return null;
}
