// The saved form of the board's small ports.

export interface SystemControlState {
  readonly version: 1;
  readonly postCode: number;
}
