// Small ports of the PC's board: POST codes and system control port A (PS/2 Technical Reference).

export const PostPort = { Code: 0x80, Delay: 0xed } as const;
export const SYSTEM_CONTROL_A = 0x92;
export const ControlA = { FastReset: 1, A20: 2 } as const;
