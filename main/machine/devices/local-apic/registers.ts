// Registers of the local APIC (Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller").

/** Offsets from the APIC page; the x2APIC MSR of a register is 0x800 + offset / 16. */
export const ApicRegister = {
  Id: 0x20,
  Version: 0x30,
  Tpr: 0x80,
  Apr: 0x90,
  Ppr: 0xa0,
  Eoi: 0xb0,
  Rrd: 0xc0,
  Ldr: 0xd0,
  Dfr: 0xe0,
  Svr: 0xf0,
  Isr: 0x100,
  Tmr: 0x180,
  Irr: 0x200,
  Esr: 0x280,
  IcrLow: 0x300,
  IcrHigh: 0x310,
  LvtTimer: 0x320,
  LvtThermal: 0x330,
  LvtPerformance: 0x340,
  LvtLint0: 0x350,
  LvtLint1: 0x360,
  LvtError: 0x370,
  InitialCount: 0x380,
  CurrentCount: 0x390,
  DivideConfiguration: 0x3e0,
  SelfIpi: 0x3f0,
} as const;

/** Version 0x14 (integrated, Pentium 4 and later), six LVT entries (maximum index 5). */
export const APIC_VERSION = 0x0005_0014;

export const Svr = { SoftwareEnable: 0x100, FocusDisable: 0x200, Writable: 0x3ff } as const;
export const Lvt = {
  VectorMask: 0xff,
  DeliveryMask: 0x700,
  Pending: 0x1000,
  ActiveLow: 0x2000,
  RemoteIrr: 0x4000,
  Level: 0x8000,
  Masked: 0x1_0000,
  TimerModeMask: 0x6_0000,
  TimerPeriodic: 0x2_0000,
  TimerDeadline: 0x4_0000,
} as const;
/** Error status register bits. */
export const Esr = { SendIllegalVector: 0x20, ReceiveIllegalVector: 0x40, IllegalRegister: 0x80 } as const;

/** Delivery modes of the ICR, the LVT and I/O APIC entries (bits 8-10). */
export const DeliveryMode = { Fixed: 0, LowestPriority: 1, Smi: 2, Nmi: 4, Init: 5, Startup: 6, ExtInt: 7 } as const;
/** ICR bits 18-19. */
export const Shorthand = { None: 0, Self: 1, All: 2, AllButSelf: 3 } as const;

/** IA32_APIC_BASE (SDM volume 3, "Local APIC Status and Location"). */
export const ApicBase = { Msr: 0x1b, Bsp: 0x100, X2Apic: 0x400, Enable: 0x800, Address: 0xfee0_0000 } as const;
export const X2APIC_MSR_FIRST = 0x800;
export const X2APIC_MSR_LAST = 0x8ff;

/** The timer's input clock in Hz: one tick is one nanosecond, which is also what common hypervisors show. */
export const APIC_TIMER_HZ = 1_000_000_000;
