// Privileged instructions of a PV kernel, which trap with #GP because it does not run in ring 0; and CPUID.
// Source: Xen arch/x86/pv/emul-priv-op.c and emul-inv-op.c, behaviour only.

import { F, Seg } from '../../machine/cpu/layout.ts';
import { Cr0, Cr4, Efer, Vector } from '../abi/constants.ts';
import { guestCpuid } from '../cpuid.ts';
import { Reg } from '../cpu-view.ts';
import { copyIn } from '../guest-memory.ts';
import { newBasePointer } from '../hypercalls/mmuext.ts';
import type { GuestVcpu } from '../vcpu.ts';
import { deliverTrap } from './bounce.ts';
import { advance } from './exits.ts';

/** Up to `length` bytes at RIP, fewer when the next page cannot be read. */
function fetch(v: GuestVcpu, length: number): Uint8Array {
  const at = (v.cpu.segBase(Seg.CS) + v.cpu.rip) & (v.domain.is32 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn);
  const whole = copyIn(v, at, length);
  if (whole) return whole;
  const first = Math.min(length, 4096 - Number(at & 0xfffn));
  return copyIn(v, at, first) ?? new Uint8Array(0);
}

/** ud2a; "xen"; cpuid: the instruction that PV kernels use to ask the hypervisor and not the CPU. */
export function isForcedEmulation(v: GuestVcpu): boolean {
  const b = fetch(v, 7);
  if (
    b.length < 7 ||
    b[0] !== 0x0f ||
    b[1] !== 0x0b ||
    b[2] !== 0x78 ||
    b[3] !== 0x65 ||
    b[4] !== 0x6e ||
    b[5] !== 0x0f ||
    b[6] !== 0xa2
  )
    return false;
  emulateCpuid(v);
  v.cpu.rip = advance(v, 7);
  return true;
}

export function emulateCpuid(v: GuestVcpu): void {
  const { cpu } = v;
  const r = guestCpuid(v, cpu.regLo(Reg.RAX), cpu.regLo(Reg.RCX));
  cpu.setReg32(Reg.RAX, r.eax);
  cpu.setReg32(Reg.RBX, r.ebx);
  cpu.setReg32(Reg.RCX, r.ecx);
  cpu.setReg32(Reg.RDX, r.edx);
}

/** Emulates the instruction at RIP if it is one that a PV kernel may use. False: the guest gets its #GP. */
export function emulatePrivileged(v: GuestVcpu): boolean {
  const { cpu, domain } = v;
  const pv = v.pv!;
  const code = fetch(v, 15);
  let i = 0;
  let size = 4;
  let rex = 0;
  let rep = false;
  for (; i < code.length; i++) {
    const b = code[i];
    if (b === 0x66) size = 2;
    else if (b === 0xf3 || b === 0xf2) rep = true;
    else if (
      b === 0x67 ||
      b === 0x2e ||
      b === 0x36 ||
      b === 0x3e ||
      b === 0x26 ||
      b === 0x64 ||
      b === 0x65 ||
      b === 0xf0
    )
      continue;
    else break;
  }
  if (!domain.is32 && (code[i] & 0xf0) === 0x40 && cpu.segAttr(Seg.CS) & 0x2000) rex = code[i++];
  const op = code[i++];
  const done = (): true => {
    cpu.rip = advance(v, i);
    return true;
  };

  // Port I/O: allowed by the virtual IOPL; there are no devices behind the ports of an unprivileged domain.
  const ioAllowed = () => pv.iopl >= (pv.kernelMode ? 1 : 3);
  switch (op) {
    case 0xe4:
    case 0xe5:
    case 0xec:
    case 0xed: {
      if (!ioAllowed()) return false;
      if (op < 0xec) i++;
      if ((op & 1) === 0) cpu.setReg(Reg.RAX, (cpu.reg(Reg.RAX) & ~0xffn) | 0xffn);
      else if (size === 2) cpu.setReg(Reg.RAX, (cpu.reg(Reg.RAX) & ~0xffffn) | 0xffffn);
      else cpu.setReg32(Reg.RAX, 0xffff_ffff);
      return done();
    }
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
      if (!ioAllowed()) return false;
      if (op < 0xee) i++;
      return done();
    case 0xfa:
    case 0xfb: // CLI, STI: allowed by the virtual IOPL, and without effect (events are masked in vcpu_info)
      if (!ioAllowed()) return false;
      return done();
    case 0x6e:
    case 0x6f: // OUTS: the data goes nowhere
      if (!ioAllowed() || rep) return false;
      cpu.setReg(Reg.RSI, cpu.reg(Reg.RSI) + BigInt(op === 0x6e ? 1 : size));
      return done();
  }
  if (!pv.kernelMode) return false;
  if (op === 0xf4) {
    // HLT in a PV kernel: block, as sched_op would.
    done();
    v.setUpcallMask(0);
    if (!v.upcallPending) v.block();
    return true;
  }
  if (op !== 0x0f) return false;
  const op2 = code[i++];
  switch (op2) {
    case 0x06: // CLTS
      setTaskSwitched(v, false);
      return done();
    case 0x09:
    case 0x08: // WBINVD, INVD: caches are coherent here
      return done();
    case 0xa2:
      emulateCpuid(v);
      return done();
    case 0x30: {
      if (!writeMsr(v, cpu.regLo(Reg.RCX), cpu.regLo(Reg.RAX), cpu.regLo(Reg.RDX))) return false;
      return done();
    }
    case 0x32: {
      const value = readMsr(v, cpu.regLo(Reg.RCX));
      if (value === null) return false;
      cpu.setReg32(Reg.RAX, Number(value & 0xffff_ffffn));
      cpu.setReg32(Reg.RDX, Number(value >> 32n));
      return done();
    }
    case 0x31: {
      // RDTSC under CR4.TSD
      const tsc = BigInt(domain.host.nowCycles());
      cpu.setReg32(Reg.RAX, Number(tsc & 0xffff_ffffn));
      cpu.setReg32(Reg.RDX, Number(tsc >> 32n));
      return done();
    }
    case 0x01: {
      const modrm = code[i++];
      if (modrm === 0xd0 || modrm === 0xd1) {
        deliverTrap(v, Vector.UD, null);
        return true;
      }
      if ((modrm & 0xf8) === 0xe0) {
        // SMSW register
        setGeneral(v, (modrm & 7) | ((rex & 1) << 3), BigInt(readCr(v, 0)));
        return done();
      }
      return false;
    }
    case 0x20:
    case 0x22: {
      const modrm = code[i++];
      const cr = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      const reg = (modrm & 7) | ((rex & 1) << 3);
      if (op2 === 0x20) {
        if (cr !== 0 && cr !== 2 && cr !== 3 && cr !== 4) return false;
        setGeneral(v, reg, readCr(v, cr));
        return done();
      }
      if (!writeCr(v, cr, cpu.reg(reg))) return false;
      return done();
    }
    case 0x21:
    case 0x23: {
      const modrm = code[i++];
      const dr = (modrm >> 3) & 7;
      const reg = (modrm & 7) | ((rex & 1) << 3);
      if (op2 === 0x21) setGeneral(v, reg, readDebug(v, dr));
      else if (!writeDebug(v, dr, cpu.reg(reg))) return false;
      return done();
    }
  }
  return false;
}

function setGeneral(v: GuestVcpu, reg: number, value: bigint): void {
  v.cpu.setReg(reg, v.domain.is32 ? value & 0xffff_ffffn : value);
}

function readCr(v: GuestVcpu, cr: number): bigint {
  const pv = v.pv!;
  const { cpu, domain } = v;
  switch (cr) {
    case 0:
      return BigInt((pv.cr0 | (cpu.u32(F.cr0) & Cr0.TS)) >>> 0);
    case 2:
      return domain.is32
        ? BigInt(domain.mem.view.getUint32(v.info + 8, true))
        : domain.mem.view.getBigUint64(v.info + 16, true);
    case 3: {
      const mfn = pv.guestTable;
      return domain.is32 ? BigInt(((mfn << 12) | (mfn >>> 20)) >>> 0) : BigInt(mfn) << 12n;
    }
    default:
      return BigInt(pv.cr4);
  }
}

function writeCr(v: GuestVcpu, cr: number, value: bigint): boolean {
  const pv = v.pv!;
  const { domain } = v;
  const word = Number(value & 0xffff_ffffn);
  switch (cr) {
    case 0:
      // Only TS is the guest's.
      if ((word ^ pv.cr0) & ~Cr0.TS) return false;
      setTaskSwitched(v, (word & Cr0.TS) !== 0);
      return true;
    case 2:
      v.noteInfoWrite();
      if (domain.is32) domain.mem.view.setUint32(v.info + 8, word, true);
      else domain.mem.view.setBigUint64(v.info + 16, value, true);
      return true;
    case 3: {
      const mfn = domain.is32 ? ((word >>> 12) | (word << 20)) >>> 0 : Number(value >> 12n);
      return newBasePointer(v, mfn) === 0;
    }
    case 4:
      // TSD and DE may change; the rest is fixed, and asking for it changes nothing (pv_fixup_guest_cr4).
      pv.cr4 = (pv.cr4 & ~(Cr4.TSD | Cr4.DE)) | (word & (Cr4.TSD | Cr4.DE));
      v.cpu.setU32(F.cr4, (v.cpu.u32(F.cr4) & ~(Cr4.TSD | Cr4.DE)) | (word & (Cr4.TSD | Cr4.DE)));
      return true;
    default:
      return false;
  }
}

/** The virtual TS bit is the CPU's: there is no lazy switching below the guest. */
export function setTaskSwitched(v: GuestVcpu, set: boolean): void {
  const cr0 = v.cpu.u32(F.cr0);
  v.cpu.setU32(F.cr0, set ? cr0 | Cr0.TS : cr0 & ~Cr0.TS);
}

export function readDebug(v: GuestVcpu, n: number): bigint {
  if (n === 6) return v.pv!.debugRegs[6] | 0xffff_0ff0n;
  if (n === 7) return v.pv!.debugRegs[7] | 0x400n;
  return v.pv!.debugRegs[n & 3];
}

/** DR0-3 keep out of the hypervisor's hole; DR7's reserved bits are forced (set_debugreg, arch/x86/pv/misc-hypercalls.c). */
export function writeDebug(v: GuestVcpu, n: number, value: bigint): boolean {
  if (n < 4) {
    const hi = Number((value >> 32n) & 0xffff_ffffn);
    if (hi >= 0xffff8000 && hi < 0xffff8800) return false;
    v.pv!.debugRegs[n] = value;
    v.cpu.setU64(F.dr + n * 8, value);
    return true;
  }
  if (n === 6 || n === 4) {
    v.pv!.debugRegs[6] = value & 0xe00fn;
    v.cpu.setU64(F.dr + 48, v.pv!.debugRegs[6] | 0xffff_0ff0n);
    return true;
  }
  if (n === 7 || n === 5) {
    if (value & 0x2000n) return false; // general detect stays the hypervisor's
    v.pv!.debugRegs[7] = value & 0xffff_03ffn;
    v.cpu.setU64(F.dr + 56, v.pv!.debugRegs[7] | 0x400n);
    return true;
  }
  return false;
}

const MSR = { EFER: 0xc000_0080, FS_BASE: 0xc000_0100, GS_BASE: 0xc000_0101, KERNEL_GS_BASE: 0xc000_0102 } as const;

function readMsr(v: GuestVcpu, msr: number): bigint | null {
  const { cpu } = v;
  const pv = v.pv!;
  switch (msr) {
    case MSR.FS_BASE:
      return v.domain.is32 ? null : cpu.segBase(Seg.FS);
    case MSR.GS_BASE:
      return v.domain.is32 ? null : cpu.segBase(Seg.GS);
    case MSR.KERNEL_GS_BASE:
      return v.domain.is32 ? null : pv.gsBaseUser;
    case MSR.EFER: {
      const efer = cpu.u32(F.efer);
      return BigInt(v.domain.is32 ? efer & ~(Efer.LME | Efer.LMA) : efer);
    }
    case 0x10:
      return BigInt(v.domain.host.nowCycles());
    case 0x1b:
      return 0xfee0_0000n | (v.id === 0 ? 0x100n : 0n) | 0x800n;
    case 0x277:
      return 0x0007_0406_0007_0406n;
    // Absent features that kernels probe for: microcode revision, feature control, machine check.
    case 0x8b:
    case 0x3a:
    case 0x179:
    case 0x17a:
    case 0x1a0:
    case 0x17:
    case 0xce:
    case 0x140:
      return 0n;
    default:
      if (msr >= 0x400 && msr < 0x480) return 0n;
      return null;
  }
}

function writeMsr(v: GuestVcpu, msr: number, lo: number, hi: number): boolean {
  const { cpu } = v;
  const pv = v.pv!;
  const value = (BigInt(hi) << 32n) | BigInt(lo);
  const canonical = BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;
  switch (msr) {
    case MSR.FS_BASE:
      if (v.domain.is32 || !canonical) return false;
      cpu.setSegBase(Seg.FS, value);
      return true;
    case MSR.GS_BASE:
      if (v.domain.is32 || !canonical) return false;
      cpu.setSegBase(Seg.GS, value);
      return true;
    case MSR.KERNEL_GS_BASE:
      if (v.domain.is32 || !canonical) return false;
      pv.gsBaseUser = value;
      return true;
    case MSR.EFER:
      return (lo & ~(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE)) === 0 && hi === 0;
    case 0x277:
    case 0x8b:
    case 0x1b:
      return true;
    default:
      return msr >= 0x400 && msr < 0x480;
  }
}
