// The saved form of the 8254 and system port B.

export interface PitChannelState {
  readonly mode: number;
  readonly access: number;
  readonly bcd: boolean;
  /** Count in use, 1..65536; 0 until the first one is written. */
  readonly count: number;
  /** Clock tick at which this count began, null while not counting. */
  readonly startTick: number | null;
  /** Count at which the gate stopped a mode 0/4 channel, or null. */
  readonly frozen: number | null;
  readonly gate: boolean;
  /** First byte of a two-byte count, null when none is waiting. */
  readonly writeLow: number | null;
  readonly readHighNext: boolean;
  readonly latchedCount: number | null;
  readonly latchedStatus: number | null;
  readonly nullCount: boolean;
}

export interface PitState {
  readonly version: 1;
  readonly channels: readonly PitChannelState[];
  readonly speaker: boolean;
}
