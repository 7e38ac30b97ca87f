// PCI configuration mechanism 1 and configuration space (PCI Local Bus Specification 3.0, chapters 3.2.2.3 and 6).

export const PciPort = { Address: 0xcf8, Data: 0xcfc } as const;
export const CONFIG_ENABLE = 0x8000_0000;

/** Offsets in configuration space. */
export const PciConfig = {
  VendorId: 0x00,
  DeviceId: 0x02,
  Command: 0x04,
  Status: 0x06,
  Revision: 0x08,
  ProgrammingInterface: 0x09,
  Subclass: 0x0a,
  BaseClass: 0x0b,
  HeaderType: 0x0e,
  InterruptLine: 0x3c,
  InterruptPin: 0x3d,
} as const;
