// The saved form of a 16550A.

export interface UartState {
  readonly version: 1;
  readonly ier: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly msr: number;
  readonly scratch: number;
  readonly divisor: number;
  readonly fifoEnabled: boolean;
  /** FCR bits 6-7 */
  readonly trigger: number;
  readonly overrun: boolean;
  readonly transmitPending: boolean;
  readonly timeoutPending: boolean;
  /** Virtual ns of the character timeout, null when none is armed. */
  readonly timeoutAt: number | null;
  readonly receiveFifo: readonly number[];
  /** Bytes the outside has sent that the FIFO has no room for yet. */
  readonly waiting: readonly number[];
}
