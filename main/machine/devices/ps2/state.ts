// The saved form of the keyboard controller, its keyboard and its mouse.

export interface KeyboardState {
  readonly output: readonly number[];
  readonly scanning: boolean;
  readonly set: number;
  readonly leds: number;
  readonly rate: number;
  /** Command whose parameter is awaited, or null. */
  readonly awaiting: number | null;
}

export interface MouseState {
  readonly output: readonly number[];
  readonly reporting: boolean;
  readonly remote: boolean;
  readonly scaling: boolean;
  readonly wrap: boolean;
  readonly resolution: number;
  readonly rate: number;
  readonly wheel: boolean;
  readonly lastRates: readonly number[];
  readonly buttons: number;
  readonly awaiting: number | null;
}

export interface Ps2State {
  readonly version: 1;
  readonly config: number;
  readonly outputPort: number;
  readonly lastWasCommand: boolean;
  /** Controller command whose parameter is awaited, or null. */
  readonly awaiting: number | null;
  /** The output buffer: its byte and whether it came from the auxiliary device; null when empty. */
  readonly buffer: { readonly byte: number; readonly aux: boolean } | null;
  /** Bytes of the controller itself that wait for the buffer. */
  readonly controllerOutput: readonly { readonly byte: number; readonly aux: boolean }[];
  readonly memory: readonly number[];
  readonly keyboard: KeyboardState;
  readonly mouse: MouseState;
}
