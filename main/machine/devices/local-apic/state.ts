// The saved form of a local APIC. Bit sets are eight 32-bit words, vector 0 in bit 0 of the first.

export interface LocalApicState {
  readonly version: 1;
  readonly apicBase: number;
  readonly id: number;
  readonly tpr: number;
  readonly ldr: number;
  readonly dfr: number;
  readonly svr: number;
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
  readonly irr: readonly number[];
  readonly esr: number;
  readonly esrLatched: number;
  readonly icrLow: number;
  readonly icrHigh: number;
  readonly lvt: readonly number[];
  readonly lintLevels: number;
  readonly initialCount: number;
  readonly divide: number;
  /** Virtual ns at which the running count began. */
  readonly timerStart: number;
  readonly timerRunning: boolean;
}
