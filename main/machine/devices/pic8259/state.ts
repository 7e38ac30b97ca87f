// The saved form of the pair of 8259A interrupt controllers.

export interface PicChipState {
  readonly lines: number;
  readonly irr: number;
  readonly isr: number;
  readonly imr: number;
  readonly elcr: number;
  readonly vectorBase: number;
  readonly lowestPriority: number;
  readonly autoEoi: boolean;
  readonly rotateOnAutoEoi: boolean;
  readonly specialMask: boolean;
  readonly specialFullyNested: boolean;
  readonly readIsr: boolean;
  readonly poll: boolean;
  /** Next initialization word expected: 0 none, 2..4. */
  readonly initStep: number;
  readonly icw4Needed: boolean;
}

export interface PicState {
  readonly version: 1;
  readonly master: PicChipState;
  readonly slave: PicChipState;
}
