// The saved form of the I/O APIC.

export interface IoApicState {
  readonly version: 1;
  readonly id: number;
  readonly select: number;
  readonly lines: number;
  /** Edges that arrived while their entry was masked are lost, as on hardware; only levels are kept, in `lines`. */
  readonly entries: readonly { readonly low: number; readonly high: number }[];
}
