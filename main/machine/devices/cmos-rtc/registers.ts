// Registers of the MC146818 real-time clock and the CMOS memory behind it (Motorola MC146818A data sheet; the PC's
// memory-size bytes as firmware for QEMU and Bochs lays them out).

export const CmosPort = { Index: 0x70, Data: 0x71 } as const;

export const RtcRegister = {
  Seconds: 0x00,
  SecondsAlarm: 0x01,
  Minutes: 0x02,
  MinutesAlarm: 0x03,
  Hours: 0x04,
  HoursAlarm: 0x05,
  DayOfWeek: 0x06,
  DayOfMonth: 0x07,
  Month: 0x08,
  Year: 0x09,
  A: 0x0a,
  B: 0x0b,
  C: 0x0c,
  D: 0x0d,
  Equipment: 0x14,
  BaseMemoryLow: 0x15,
  ExtendedMemoryLow: 0x17,
  ExtendedMemory2Low: 0x30,
  Century: 0x32,
  /** Memory above 16 MiB in 64 KiB units. */
  HighMemoryLow: 0x34,
} as const;

export const RegisterA = { UpdateInProgress: 0x80, DividerMask: 0x70, DividerNormal: 0x20, RateMask: 0x0f } as const;
export const RegisterB = {
  Set: 0x80,
  PeriodicInterrupt: 0x40,
  AlarmInterrupt: 0x20,
  UpdateInterrupt: 0x10,
  Binary: 0x04,
  Hour24: 0x02,
} as const;
export const RegisterC = { Irq: 0x80, Periodic: 0x40, Alarm: 0x20, Update: 0x10 } as const;
/** Register D: the battery is good. */
export const VALID_RAM_AND_TIME = 0x80;
/** UIP is set this long before an update (data sheet: 244 us). */
export const UPDATE_IN_PROGRESS_NS = 244_000;
/** Frequency of the divider chain's input that periodic rates divide, in Hz. */
export const RTC_HZ = 32_768;
