// The saved form of the real-time clock and CMOS memory.

export interface CmosState {
  readonly version: 1;
  readonly index: number;
  readonly memory: readonly number[];
  /** Registers A, B and C. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Unix seconds at virtual time 0, as the guest may have set it. */
  readonly epochSeconds: number;
  /** Unix seconds shown while register B's SET bit holds the clock, null while it runs. */
  readonly heldSeconds: number | null;
}
