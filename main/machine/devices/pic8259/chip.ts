// One 8259A: priority resolution, command words, in-service bookkeeping. The pair is in device.ts.
import { Icw1, Icw4, Ocw2, Ocw3 } from './registers.ts';
import type { PicChipState } from './state.ts';

export class PicChip {
  readonly #elcrMask: number;
  #lines = 0;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  #elcr = 0;
  #vectorBase = 0;
  #lowestPriority = 7;
  #autoEoi = false;
  #rotateOnAutoEoi = false;
  #specialMask = false;
  #specialFullyNested = false;
  #readIsr = false;
  #poll = false;
  #initStep = 0;
  #icw4Needed = false;
  /** The slave's input on the master, or null for a chip without a slave. */
  readonly #cascade: number | null;

  constructor(elcrMask: number, cascade: number | null) {
    this.#elcrMask = elcrMask;
    this.#cascade = cascade;
  }

  get elcr(): number {
    return this.#elcr;
  }

  set elcr(value: number) {
    this.#elcr = value & this.#elcrMask;
  }

  setLine(input: number, level: boolean): void {
    const bit = 1 << input;
    if (level) {
      // Edge: a rising line latches a request. Level: the request follows the line.
      if (this.#elcr & bit || (this.#lines & bit) === 0) this.#irr |= bit;
      this.#lines |= bit;
    } else {
      // A request whose line falls before the acknowledge is withdrawn in both modes (data sheet, figure 10).
      this.#irr &= ~bit;
      this.#lines &= ~bit;
    }
  }

  /** The input that asks for service now, or -1. */
  pendingInput(): number {
    const requests = this.#irr & ~this.#imr;
    if (requests === 0) return -1;
    const best = this.#highest(requests);
    let inService = this.#isr;
    if (this.#specialMask) inService &= ~this.#imr;
    // Special fully nested: the master lets its slave interrupt itself.
    if (this.#specialFullyNested && this.#cascade !== null) inService &= ~(1 << this.#cascade);
    if (inService === 0) return best;
    return this.#rank(best) < this.#rank(this.#highest(inService)) ? best : -1;
  }

  /** Interrupt acknowledge of `input`: moves it from requested to in service. */
  acknowledge(input: number): void {
    const bit = 1 << input;
    if (this.#autoEoi) {
      if (this.#rotateOnAutoEoi) this.#lowestPriority = input;
    } else {
      this.#isr |= bit;
    }
    if ((this.#elcr & bit) === 0) this.#irr &= ~bit;
  }

  /** Vector of an input; a spurious acknowledge reads input 7. */
  vector(input: number): number {
    return this.#vectorBase | (input & 7);
  }

  readCommand(): number {
    if (this.#poll) {
      this.#poll = false;
      const input = this.pendingInput();
      if (input < 0) return 0;
      this.acknowledge(input);
      return 0x80 | input;
    }
    return this.#readIsr ? this.#isr : this.#irr;
  }

  readData(): number {
    return this.#imr;
  }

  writeCommand(value: number): void {
    if (value & Icw1.Init) {
      this.#irr = 0;
      // Lines that are high still count as level requests.
      this.#irr = this.#lines & this.#elcr;
      this.#imr = 0;
      this.#isr = 0;
      this.#lowestPriority = 7;
      this.#specialMask = false;
      this.#specialFullyNested = false;
      this.#autoEoi = false;
      this.#rotateOnAutoEoi = false;
      this.#readIsr = false;
      this.#poll = false;
      this.#icw4Needed = (value & Icw1.Icw4Needed) !== 0;
      this.#initStep = 2;
      return;
    }
    if (value & Ocw3.Select) {
      if (value & Ocw3.Poll) this.#poll = true;
      if (value & Ocw3.ReadRegister) this.#readIsr = (value & Ocw3.ReadIsr) !== 0;
      if (value & Ocw3.SetSpecialMask) this.#specialMask = (value & Ocw3.SpecialMask) !== 0;
      return;
    }
    this.#writeOcw2(value);
  }

  writeData(value: number): void {
    switch (this.#initStep) {
      case 0:
        this.#imr = value;
        break;
      case 2:
        this.#vectorBase = value & 0xf8;
        this.#initStep = 3;
        break;
      case 3: // which input the slave is on: wired, so the word carries nothing new
        this.#initStep = this.#icw4Needed ? 4 : 0;
        break;
      default:
        this.#autoEoi = (value & Icw4.AutoEoi) !== 0;
        this.#specialFullyNested = (value & Icw4.SpecialFullyNested) !== 0;
        this.#initStep = 0;
    }
  }

  getState(): PicChipState {
    return {
      lines: this.#lines,
      irr: this.#irr,
      isr: this.#isr,
      imr: this.#imr,
      elcr: this.#elcr,
      vectorBase: this.#vectorBase,
      lowestPriority: this.#lowestPriority,
      autoEoi: this.#autoEoi,
      rotateOnAutoEoi: this.#rotateOnAutoEoi,
      specialMask: this.#specialMask,
      specialFullyNested: this.#specialFullyNested,
      readIsr: this.#readIsr,
      poll: this.#poll,
      initStep: this.#initStep,
      icw4Needed: this.#icw4Needed,
    };
  }

  setState(state: PicChipState): void {
    this.#lines = state.lines;
    this.#irr = state.irr;
    this.#isr = state.isr;
    this.#imr = state.imr;
    this.#elcr = state.elcr;
    this.#vectorBase = state.vectorBase;
    this.#lowestPriority = state.lowestPriority;
    this.#autoEoi = state.autoEoi;
    this.#rotateOnAutoEoi = state.rotateOnAutoEoi;
    this.#specialMask = state.specialMask;
    this.#specialFullyNested = state.specialFullyNested;
    this.#readIsr = state.readIsr;
    this.#poll = state.poll;
    this.#initStep = state.initStep;
    this.#icw4Needed = state.icw4Needed;
  }

  #writeOcw2(value: number): void {
    const rotate = (value & Ocw2.Rotate) !== 0;
    const specific = (value & Ocw2.Specific) !== 0;
    if (value & Ocw2.Eoi) {
      const input = specific ? value & 7 : this.#isr === 0 ? -1 : this.#highest(this.#isr);
      if (input < 0) return;
      this.#isr &= ~(1 << input);
      if (rotate) this.#lowestPriority = input;
      return;
    }
    if (rotate && specific) this.#lowestPriority = value & 7;
    else if (!specific) this.#rotateOnAutoEoi = rotate;
  }

  /** 0 is the highest priority. */
  #rank(input: number): number {
    return (input - this.#lowestPriority - 1) & 7;
  }

  #highest(set: number): number {
    for (let rank = 0; rank < 8; rank++) {
      const input = (this.#lowestPriority + 1 + rank) & 7;
      if (set & (1 << input)) return input;
    }
    return -1;
  }
}
