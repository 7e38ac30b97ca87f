// The PC's pair of 8259A interrupt controllers, the slave on input 2 of the master, with the edge/level registers.
import { type IrqLine, type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { PicChip } from './chip.ts';
import { CASCADE_IRQ, ELCR_MASKS, PicPort } from './registers.ts';
import type { PicState } from './state.ts';

export class Pic8259 implements PortDevice, StatefulDevice<PicState> {
  readonly ports = [
    [PicPort.MasterCommand, 2],
    [PicPort.SlaveCommand, 2],
    [PicPort.Elcr1, 2],
  ] as const;
  readonly #master = new PicChip(ELCR_MASKS[0], CASCADE_IRQ);
  readonly #slave = new PicChip(ELCR_MASKS[1], null);
  readonly #output: IrqLine;

  /** @param output the INTR line: high while an interrupt asks to be acknowledged */
  constructor(output: IrqLine) {
    this.#output = output;
  }

  /** Drives IRQ 0-15 (2 is the cascade and not an input). */
  setLine(irq: number, level: boolean): void {
    if (irq < 8) this.#master.setLine(irq, level);
    else this.#slave.setLine(irq - 8, level);
    this.#update();
  }

  /** The interrupt line of one IRQ as an object. */
  line(irq: number): IrqLine {
    return { set: (level) => this.setLine(irq, level) };
  }

  /** The two acknowledge cycles of the processor: returns the vector; input 7 when the request has gone (spurious). */
  acknowledge(): number {
    const input = this.#master.pendingInput();
    if (input < 0) return this.#master.vector(7);
    this.#master.acknowledge(input);
    let vector = this.#master.vector(input);
    if (input === CASCADE_IRQ) {
      const second = this.#slave.pendingInput();
      if (second < 0) {
        vector = this.#slave.vector(7);
      } else {
        this.#slave.acknowledge(second);
        vector = this.#slave.vector(second);
      }
      // The slave's output falls during the acknowledge, so that its next request is an edge for the master.
      this.#master.setLine(CASCADE_IRQ, false);
    }
    this.#update();
    return vector;
  }

  portRead(port: number): number {
    switch (port) {
      case PicPort.MasterCommand:
      case PicPort.SlaveCommand: {
        const value = (port === PicPort.MasterCommand ? this.#master : this.#slave).readCommand();
        this.#update(); // a poll acknowledges
        return value;
      }
      case PicPort.MasterData:
        return this.#master.readData();
      case PicPort.SlaveData:
        return this.#slave.readData();
      case PicPort.Elcr1:
        return this.#master.elcr;
      default:
        return this.#slave.elcr;
    }
  }

  portWrite(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    switch (port) {
      case PicPort.MasterCommand:
        this.#master.writeCommand(byte);
        break;
      case PicPort.SlaveCommand:
        this.#slave.writeCommand(byte);
        break;
      case PicPort.MasterData:
        this.#master.writeData(byte);
        break;
      case PicPort.SlaveData:
        this.#slave.writeData(byte);
        break;
      case PicPort.Elcr1:
        this.#master.elcr = byte;
        break;
      default:
        this.#slave.elcr = byte;
    }
    this.#update();
  }

  getState(): PicState {
    return { version: 1, master: this.#master.getState(), slave: this.#slave.getState() };
  }

  setState(state: PicState): void {
    requireVersion('interrupt controllers (8259A)', state.version, 1);
    this.#master.setState(state.master);
    this.#slave.setState(state.slave);
    this.#update();
  }

  #update(): void {
    this.#master.setLine(CASCADE_IRQ, this.#slave.pendingInput() >= 0);
    this.#output.set(this.#master.pendingInput() >= 0);
  }
}
