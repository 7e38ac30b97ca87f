// The saved form of the ACPI fixed hardware.

export interface AcpiPmState {
  readonly version: 1;
  readonly status: number;
  readonly enable: number;
  readonly control: number;
  readonly resetControl: number;
  /** Value of the timer's top bit when it was last looked at. */
  readonly timerTop: number;
}
