// POST code port, the I/O delay ports and system control port A. Address line 20 is always on: no kernel that starts
// without firmware needs it off.
import { type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { ControlA, PostPort, SYSTEM_CONTROL_A } from './registers.ts';
import type { SystemControlState } from './state.ts';

export class SystemControl implements PortDevice, StatefulDevice<SystemControlState> {
  readonly ports = [
    [PostPort.Code, 1],
    [PostPort.Delay, 1],
    [SYSTEM_CONTROL_A, 1],
  ] as const;
  readonly #reset: () => void;
  #postCode = 0;

  constructor(reset: () => void) {
    this.#reset = reset;
  }

  /** The last byte written to port 0x80. */
  get postCode(): number {
    return this.#postCode;
  }

  portRead(port: number): number {
    if (port === SYSTEM_CONTROL_A) return ControlA.A20;
    return port === PostPort.Code ? this.#postCode : 0xff;
  }

  portWrite(port: number, _size: number, value: number): void {
    if (port === PostPort.Code) this.#postCode = value & 0xff;
    else if (port === SYSTEM_CONTROL_A && value & ControlA.FastReset) this.#reset();
  }

  getState(): SystemControlState {
    return { version: 1, postCode: this.#postCode };
  }

  setState(state: SystemControlState): void {
    requireVersion('system control ports', state.version, 1);
    this.#postCode = state.postCode;
  }
}
