// Registers of the 16550A serial port (National Semiconductor PC16550D data sheet, tables II and III).

/** Offsets from the base port. With LCR.DLAB set, 0 and 1 are the divisor latch. */
export const UartRegister = { Data: 0, Ier: 1, IirFcr: 2, Lcr: 3, Mcr: 4, Lsr: 5, Msr: 6, Scratch: 7 } as const;

export const Ier = { ReceivedData: 1, TransmitterEmpty: 2, LineStatus: 4, ModemStatus: 8 } as const;

/** IIR values, highest priority first; bits 6-7 are set while the FIFOs are on. */
export const Iir = {
  LineStatus: 0x06,
  ReceivedData: 0x04,
  CharacterTimeout: 0x0c,
  TransmitterEmpty: 0x02,
  ModemStatus: 0x00,
  None: 0x01,
  FifoEnabled: 0xc0,
} as const;

export const Fcr = { Enable: 1, ClearReceive: 2, ClearTransmit: 4, TriggerShift: 6 } as const;
/** Receive FIFO trigger levels by FCR bits 6-7, in bytes. */
export const triggerLevels = [1, 4, 8, 14] as const;

export const Lcr = { WordLengthMask: 3, StopBits: 4, ParityEnable: 8, Break: 0x40, DivisorLatch: 0x80 } as const;
export const Mcr = { Dtr: 1, Rts: 2, Out1: 4, Out2: 8, Loopback: 0x10 } as const;
export const Lsr = {
  DataReady: 1,
  Overrun: 2,
  Break: 0x10,
  TransmitHoldingEmpty: 0x20,
  TransmitterEmpty: 0x40,
} as const;
export const Msr = {
  DeltaCts: 1,
  DeltaDsr: 2,
  TrailingRi: 4,
  DeltaDcd: 8,
  Cts: 0x10,
  Dsr: 0x20,
  Ri: 0x40,
  Dcd: 0x80,
} as const;

export const FIFO_BYTES = 16;
/** Input clock of the baud generator divided by 16, in Hz: divisor 1 is this many baud. */
export const BAUD_BASE = 115_200;
