// Ports and control words of the 8254 interval timer (Intel 8254 data sheet) and of system port B (0x61).

export const PitPort = { Channel0: 0x40, Channel1: 0x41, Channel2: 0x42, Control: 0x43, SystemB: 0x61 } as const;

/** Input clock in Hz. */
export const PIT_HZ = 1_193_182;

/** Control word: channel 6-7, access 4-5, mode 1-3, BCD 0. Access 0 latches the count; channel 3 is the read-back command. */
export const PitAccess = { Latch: 0, Low: 1, High: 2, LowHigh: 3 } as const;
export const ReadBack = { Channel: 3, NotCount: 0x20, NotStatus: 0x10 } as const;

/** System port B: bit 0 gates channel 2, bit 1 feeds the speaker, bit 4 toggles with refresh, bit 5 reads channel 2's output. */
export const SystemB = { Gate2: 1, Speaker: 2, Refresh: 0x10, Output2: 0x20 } as const;
/** Half period of the refresh toggle in ns (15.085 us, channel 1's rate on a PC). */
export const REFRESH_NS = 15_085;
