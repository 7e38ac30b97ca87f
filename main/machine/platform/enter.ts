// Puts a processor into the state a boot loader has prepared (BootState).
import type { BootState } from '../boot/boot-state.ts';
import { BOOT_CS, BOOT_DS } from '../boot/boot-state.ts';
import { F, Seg } from '../cpu/layout.ts';
import type { SegmentState, Vcpu } from '../cpu/vcpu.ts';

/** Attributes as in F.segAttr: present, code or data, accessed; G and D/B or L. */
const FLAT_CODE_32 = 0xc09b;
const FLAT_CODE_64 = 0xa09b;
const FLAT_DATA = 0xc093;
const REAL_CODE = 0x9b;
const REAL_DATA = 0x93;

const Cr0 = { ProtectionEnable: 1, ExtensionType: 0x10, Paging: 0x8000_0000 } as const;
const Cr4 = { PhysicalAddressExtension: 0x20 } as const;
const Efer = { LongModeEnable: 0x100, LongModeActive: 0x400 } as const;

const registerNumbers = { rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7 } as const;

/** Resets the processor and enters the kernel: registers, segments, control registers. Interrupts stay off. */
export function enterKernel(vcpu: Vcpu, state: BootState): void {
  vcpu.reset();
  vcpu.setReg(2, 0n);
  for (const [name, value] of Object.entries(state.registers))
    vcpu.setReg(registerNumbers[name as keyof typeof registerNumbers], BigInt(value));
  vcpu.rip = BigInt(state.entry);
  if (state.mode === 'real16') {
    setSegments(vcpu, realSegment(state.segment ?? 0, REAL_CODE), realSegment(state.segment ?? 0, REAL_DATA));
  } else {
    const code = state.mode === 'long64' ? FLAT_CODE_64 : FLAT_CODE_32;
    setSegments(vcpu, flatSegment(BOOT_CS, code), flatSegment(BOOT_DS, FLAT_DATA));
    if (state.gdt) {
      vcpu.set64(F.gdtBase, BigInt(state.gdt.address));
      vcpu.set32(F.gdtLimit, state.gdt.limit);
    }
    vcpu.set32(F.idtLimit, 0);
    vcpu.set32(F.cr0, Cr0.ProtectionEnable | Cr0.ExtensionType);
  }
  if (state.mode === 'long64') {
    vcpu.set64(F.cr3, BigInt(state.pageTable ?? 0));
    vcpu.set32(F.cr4, Cr4.PhysicalAddressExtension);
    vcpu.set32(F.efer, Efer.LongModeEnable | Efer.LongModeActive);
    vcpu.set32(F.cr0, (Cr0.ProtectionEnable | Cr0.ExtensionType | Cr0.Paging) >>> 0);
  }
  vcpu.cpl = 0;
  vcpu.onChanged?.();
}

/** The state a start-up message puts an application processor into (SDM volume 3, "MP Initialization"): real mode at vector << 12. */
export function enterStartup(vcpu: Vcpu, vector: number): void {
  vcpu.reset();
  vcpu.rip = 0n;
  vcpu.setSegment(Seg.CS, realSegment(vector << 8, REAL_CODE));
  vcpu.onChanged?.();
}

function setSegments(vcpu: Vcpu, code: SegmentState, data: SegmentState): void {
  vcpu.setSegment(Seg.CS, code);
  for (const segment of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) vcpu.setSegment(segment, data);
}

function flatSegment(selector: number, attr: number): SegmentState {
  return { selector, base: 0n, limit: 0xffff_ffff, attr };
}

function realSegment(selector: number, attr: number): SegmentState {
  return { selector, base: BigInt(selector * 16), limit: 0xffff, attr };
}
