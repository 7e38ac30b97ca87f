// The saved form of the VGA in text mode.

export interface VgaTextState {
  readonly version: 1;
  readonly crtc: readonly number[];
  readonly crtcIndex: number;
  readonly sequencer: readonly number[];
  readonly sequencerIndex: number;
  readonly graphics: readonly number[];
  readonly graphicsIndex: number;
  readonly attribute: readonly number[];
  readonly attributeIndex: number;
  readonly attributeData: boolean;
  readonly dac: readonly number[];
  readonly dacIndex: number;
  readonly dacReading: boolean;
  readonly misc: number;
  /** The 32 KiB of text memory: character, attribute, character ... */
  readonly text: Uint8Array;
}
