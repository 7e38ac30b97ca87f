// Numbers of the Xen interface that several families share (public/xen.h, arch-x86/xen*.h, event_channel.h, sched.h).

export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_XEN = 0x7ff2;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_FIRST_RESERVED = 0x7ff0;
/** The toolstack's place: a domain without vCPUs whose event channels end in backends. */
export const DOMID_CONTROL = 0;

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** vcpu_info slots inside shared_info (XEN_LEGACY_MAX_VCPUS). */
export const LEGACY_MAX_VCPUS = 32;
/** Most vCPUs a domain may have here. */
export const MAX_DOMAIN_VCPUS = 32;

export const Virq = {
  TIMER: 0,
  DEBUG: 1,
  CONSOLE: 2,
  DOM_EXC: 3,
  XENPMU: 13,
} as const;
export const NR_VIRQS = 24;
/** Virtual interrupts that belong to one vCPU; the rest are global and go to Domain-0 only (common/event_channel.c). */
export const PER_VCPU_VIRQS: ReadonlySet<number> = new Set([Virq.TIMER, Virq.DEBUG, Virq.XENPMU]);

export const VmAssist = {
  FourGbSegments: 0,
  FourGbSegmentsNotify: 1,
  WritablePageTables: 2,
  PaeExtendedCr3: 3,
  ArchitecturalIopl: 4,
  RunstateUpdateFlag: 5,
  M2pStrict: 32,
} as const;

export const ShutdownReason = {
  Poweroff: 0,
  Reboot: 1,
  Suspend: 2,
  Crash: 3,
  Watchdog: 4,
  SoftReset: 5,
} as const;

export const Runstate = { Running: 0, Runnable: 1, Blocked: 2, Offline: 3 } as const;

/** Exception vectors (Intel SDM vol. 3, table 6-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

export const Eflags = {
  CF: 1,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x1_0000,
  VM: 0x2_0000,
  AC: 0x4_0000,
  VIF: 0x8_0000,
  VIP: 0x10_0000,
  ID: 0x20_0000,
} as const;

export const Cr0 = {
  PE: 1,
  MP: 2,
  EM: 4,
  TS: 8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x1_0000,
  AM: 0x4_0000,
  PG: 0x8000_0000,
} as const;
export const Cr4 = {
  TSD: 4,
  DE: 8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
  FSGSBASE: 0x1_0000,
} as const;
export const Efer = { SCE: 1, LME: 0x100, LMA: 0x400, NXE: 0x800 } as const;

/** First linear page of the hypervisor in 64-bit guests: L4 slots 256 to 271 are its own. */
export const L4_FIRST_XEN_SLOT = 256;
export const L4_LAST_XEN_SLOT = 271;
export const L4_SLOT_M2P = 256;
export const L4_SLOT_PERDOMAIN = 260;
/** High halves of linear addresses bounding the hypervisor's hole: 0xFFFF800000000000 .. 0xFFFF880000000000. */
export const HYPERVISOR_VIRT_START_HI = 0xffff8000;
export const HYPERVISOR_VIRT_END_HI = 0xffff8800;
/** 0xFFFF820000000000: L4 slot 260. */
export const PERDOMAIN_VIRT_START_HI = 0xffff8200;
/** Bytes of the per-domain area that one vCPU has: 64 KiB of GDT, then 64 KiB of LDT. */
export const PERDOMAIN_VCPU_SHIFT = 17;
export const PERDOMAIN_LDT_OFFSET = 0x1_0000;
/** 32-bit PV guests: machine-to-phys table, and where the hypervisor's hole begins. */
export const COMPAT_M2P_VIRT_START = 0xf580_0000;
export const COMPAT_M2P_VIRT_END = 0xf680_0000;
/** L2 slots of the fourth gigabyte from COMPAT_M2P_VIRT_START on belong to the hypervisor. */
export const COMPAT_L2_FIRST_XEN_SLOT = (COMPAT_M2P_VIRT_START - 0xc000_0000) >>> 21;

export const FIRST_RESERVED_GDT_PAGE = 14;
export const FIRST_RESERVED_GDT_ENTRY = (FIRST_RESERVED_GDT_PAGE * PAGE_SIZE) / 8;
