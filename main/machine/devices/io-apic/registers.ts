// Registers of the 82093AA I/O APIC (Intel 82093AA data sheet).

/** Offsets in its memory window. */
export const IoApicWindow = { Select: 0x00, Data: 0x10 } as const;
export const IoApicRegister = { Id: 0, Version: 1, Arbitration: 2, Redirection: 0x10 } as const;
export const IO_APIC_PINS = 24;
/** Version 0x11, highest entry 23. */
export const IO_APIC_VERSION = 0x11 | ((IO_APIC_PINS - 1) << 16);
/** Low half of a redirection entry. */
export const Redirection = {
  VectorMask: 0xff,
  DeliveryShift: 8,
  Logical: 0x800,
  DeliveryStatus: 0x1000,
  ActiveLow: 0x2000,
  RemoteIrr: 0x4000,
  Level: 0x8000,
  Masked: 0x1_0000,
  WritableLow: 0x1_afff,
} as const;
