// Command words of the 8259A interrupt controller (Intel 8259A data sheet) and the PC's edge/level registers.

export const PicPort = {
  MasterCommand: 0x20,
  MasterData: 0x21,
  SlaveCommand: 0xa0,
  SlaveData: 0xa1,
  /** Edge/level control of IRQ 0-7 and 8-15 (PIIX data sheet). */
  Elcr1: 0x4d0,
  Elcr2: 0x4d1,
} as const;

export const Icw1 = { Icw4Needed: 1, Single: 2, LevelTriggered: 8, Init: 0x10 } as const;
export const Icw4 = { AutoEoi: 2, SpecialFullyNested: 0x10 } as const;
/** OCW2 bits 5-7. */
export const Ocw2 = { Rotate: 0x80, Specific: 0x40, Eoi: 0x20 } as const;
export const Ocw3 = {
  Select: 8,
  Poll: 4,
  ReadRegister: 2,
  ReadIsr: 1,
  SetSpecialMask: 0x40,
  SpecialMask: 0x20,
} as const;

/** Lines whose edge/level bit can be set: not the timer, keyboard, cascade, RTC and coprocessor. */
export const ELCR_MASKS = [0xf8, 0xde] as const;
/** Input of the master that the slave is wired to. */
export const CASCADE_IRQ = 2;
