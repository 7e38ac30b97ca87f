// ACPI fixed hardware of the PC (ACPI Specification 6.4, chapter 4.8.3): event, control and timer blocks, reset register.

export const PM_BASE = 0xb000;
/** Offsets from PM_BASE. */
export const PmRegister = { Status: 0, Enable: 2, Control: 4, Timer: 8, Length: 12 } as const;
/** The chipset's reset control register; FADT names it as RESET_REG. */
export const RESET_PORT = 0xcf9;
export const RESET_VALUE = 0x06;
export const ResetControl = { System: 2, Cpu: 4 } as const;

/** PM1 status and enable bits. */
export const Pm1 = {
  Timer: 0x0001,
  Global: 0x0020,
  PowerButton: 0x0100,
  SleepButton: 0x0200,
  Rtc: 0x0400,
  Wake: 0x8000,
} as const;
export const Pm1Control = { SciEnable: 0x0001, TypeShift: 10, TypeMask: 0x1c00, SleepEnable: 0x2000 } as const;
/** SLP_TYP of S5 (soft off), as the DSDT's _S5 names it. */
export const SLEEP_TYPE_S5 = 5;
export const PM_TIMER_HZ = 3_579_545;
export const PM_ENABLE_WRITABLE = Pm1.Timer | Pm1.Global | Pm1.PowerButton | Pm1.SleepButton | Pm1.Rtc;
export const SCI_IRQ = 9;
