// The 8042 keyboard controller (IBM PS/2 Technical Reference, "Keyboard/Auxiliary Device Controller").

export const Ps2Port = { Data: 0x60, Command: 0x64 } as const;

export const Status = {
  OutputFull: 1,
  InputFull: 2,
  SystemFlag: 4,
  LastWasCommand: 8,
  NotLocked: 0x10,
  AuxOutput: 0x20,
} as const;

/** The controller's command byte (configuration). */
export const Config = {
  KeyboardInterrupt: 1,
  AuxInterrupt: 2,
  SystemFlag: 4,
  KeyboardDisabled: 0x10,
  AuxDisabled: 0x20,
  Translate: 0x40,
} as const;

export const ControllerCommand = {
  ReadConfig: 0x20,
  WriteConfig: 0x60,
  DisableAux: 0xa7,
  EnableAux: 0xa8,
  TestAux: 0xa9,
  SelfTest: 0xaa,
  TestKeyboard: 0xab,
  DisableKeyboard: 0xad,
  EnableKeyboard: 0xae,
  ReadOutputPort: 0xd0,
  WriteOutputPort: 0xd1,
  WriteKeyboardOutput: 0xd2,
  WriteAuxOutput: 0xd3,
  WriteAux: 0xd4,
  PulseReset: 0xfe,
} as const;

/** Output port: bit 0 low resets the system, bit 1 is A20, bits 4-5 show the output buffers. */
export const OutputPort = { NotReset: 1, A20: 2, KeyboardFull: 0x10, AuxFull: 0x20 } as const;

/** Replies of the devices behind the controller. */
export const Reply = { Acknowledge: 0xfa, Resend: 0xfe, SelfTestPassed: 0xaa, Echo: 0xee } as const;
