// The saved form of the PCI host bridge and the functions behind it.

export interface PciHostState {
  readonly version: 1;
  readonly address: number;
  /** Configuration space of every function, by "device.function". */
  readonly functions: Readonly<Record<string, readonly number[]>>;
}
