// VGA registers (IBM VGA Technical Reference): indexed groups behind ports, of which text mode needs few.

export const VgaPort = {
  AttributeWrite: 0x3c0,
  AttributeRead: 0x3c1,
  MiscWrite: 0x3c2,
  SequencerIndex: 0x3c4,
  SequencerData: 0x3c5,
  DacMask: 0x3c6,
  DacReadIndex: 0x3c7,
  DacWriteIndex: 0x3c8,
  DacData: 0x3c9,
  FeatureRead: 0x3ca,
  MiscRead: 0x3cc,
  GraphicsIndex: 0x3ce,
  GraphicsData: 0x3cf,
  CrtcIndexMono: 0x3b4,
  CrtcDataMono: 0x3b5,
  CrtcIndex: 0x3d4,
  CrtcData: 0x3d5,
  InputStatus1: 0x3da,
} as const;

export const Crtc = {
  MaximumScanLine: 0x09,
  CursorStart: 0x0a,
  CursorEnd: 0x0b,
  StartHigh: 0x0c,
  StartLow: 0x0d,
  CursorHigh: 0x0e,
  CursorLow: 0x0f,
  Offset: 0x13,
} as const;

export const VGA_WINDOW = 0xa_0000;
export const VGA_WINDOW_BYTES = 0x2_0000;
export const TEXT_OFFSET = 0x1_8000; // 0xb8000
export const TEXT_BYTES = 0x8000;
export const COLUMNS = 80;
export const ROWS = 25;

/** CRTC registers of mode 3 (80x25, 16 lines a character), as firmware sets them. */
// prettier-ignore
export const CRTC_MODE_3 = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
] as const;
