// The 8042 keyboard controller with a keyboard on its first port and a mouse on its second.
// Invariant: one byte at a time is in the output buffer; the next one enters when the guest has read it.
import { type IrqLine, type PortDevice, type StatefulDevice, requireVersion } from '../contract.ts';
import { Ps2Keyboard } from './keyboard.ts';
import { Ps2Mouse } from './mouse.ts';
import { Config, ControllerCommand, OutputPort, Ps2Port, Status } from './registers.ts';
import { strokesFor, translateToSet1 } from './scan-codes.ts';
import type { Ps2State } from './state.ts';

const RELEASE_PREFIX = 0xf0;
const SELF_TEST_PASSED = 0x55;

interface BufferedByte {
  readonly byte: number;
  readonly aux: boolean;
}

export class Ps2Controller implements PortDevice, StatefulDevice<Ps2State> {
  readonly ports = [
    [Ps2Port.Data, 1],
    [Ps2Port.Command, 1],
  ] as const;
  readonly keyboard = new Ps2Keyboard();
  readonly mouse = new Ps2Mouse();
  readonly #keyboardIrq: IrqLine;
  readonly #mouseIrq: IrqLine;
  readonly #reset: () => void;
  readonly #memory = new Uint8Array(32);
  #config: number = Config.KeyboardInterrupt | Config.SystemFlag | Config.Translate;
  #outputPort: number = OutputPort.NotReset | OutputPort.A20;
  #lastWasCommand = false;
  #awaiting: number | null = null;
  #buffer: BufferedByte | null = null;
  #controllerOutput: BufferedByte[] = [];

  /** @param reset called for the controller's reset pulse (command 0xfe and output port bit 0) */
  constructor(keyboardIrq: IrqLine, mouseIrq: IrqLine, reset: () => void) {
    this.#keyboardIrq = keyboardIrq;
    this.#mouseIrq = mouseIrq;
    this.#reset = reset;
  }

  /** Types text on the US keyboard. Returns the characters it has no key for. */
  typeText(text: string): string {
    let untypable = '';
    for (const character of text) {
      const strokes = strokesFor(character);
      if (strokes === null) untypable += character;
      else this.keyboard.type(strokes);
    }
    this.#fill();
    return untypable;
  }

  /** Scan code bytes in set 2, as keyPress of scan-codes.ts makes them. */
  typeScanCodes(codes: readonly number[]): void {
    this.keyboard.type(codes);
    this.#fill();
  }

  moveMouse(dx: number, dy: number, wheel: number, buttons: number): void {
    this.mouse.move(dx, dy, wheel, buttons);
    this.#fill();
  }

  portRead(port: number): number {
    if (port === Ps2Port.Command) {
      return (
        (this.#buffer ? Status.OutputFull : 0) |
        (this.#buffer?.aux ? Status.AuxOutput : 0) |
        (this.#config & Config.SystemFlag ? Status.SystemFlag : 0) |
        (this.#lastWasCommand ? Status.LastWasCommand : 0) |
        Status.NotLocked
      );
    }
    const byte = this.#buffer?.byte ?? 0;
    this.#buffer = null;
    this.#update();
    this.#fill();
    return byte;
  }

  portWrite(port: number, _size: number, value: number): void {
    const byte = value & 0xff;
    if (port === Ps2Port.Command) {
      this.#lastWasCommand = true;
      this.#command(byte);
    } else {
      this.#lastWasCommand = false;
      this.#data(byte);
    }
    this.#fill();
  }

  getState(): Ps2State {
    return {
      version: 1,
      config: this.#config,
      outputPort: this.#outputPort,
      lastWasCommand: this.#lastWasCommand,
      awaiting: this.#awaiting,
      buffer: this.#buffer,
      controllerOutput: [...this.#controllerOutput],
      memory: [...this.#memory],
      keyboard: this.keyboard.getState(),
      mouse: this.mouse.getState(),
    };
  }

  setState(state: Ps2State): void {
    requireVersion('keyboard controller (8042)', state.version, 1);
    this.#config = state.config;
    this.#outputPort = state.outputPort;
    this.#lastWasCommand = state.lastWasCommand;
    this.#awaiting = state.awaiting;
    this.#buffer = state.buffer;
    this.#controllerOutput = [...state.controllerOutput];
    this.#memory.set(state.memory);
    this.keyboard.setState(state.keyboard);
    this.mouse.setState(state.mouse);
    this.#update();
  }

  #command(command: number): void {
    this.#awaiting = null;
    if (command >= ControllerCommand.ReadConfig && command < ControllerCommand.ReadConfig + 32) {
      const address = command & 31;
      this.#answer(address === 0 ? this.#config : this.#memory[address]);
      return;
    }
    if (command >= ControllerCommand.WriteConfig && command < ControllerCommand.WriteConfig + 32) {
      this.#awaiting = command;
      return;
    }
    switch (command) {
      case ControllerCommand.DisableAux:
        this.#config |= Config.AuxDisabled;
        break;
      case ControllerCommand.EnableAux:
        this.#config &= ~Config.AuxDisabled;
        break;
      case ControllerCommand.DisableKeyboard:
        this.#config |= Config.KeyboardDisabled;
        break;
      case ControllerCommand.EnableKeyboard:
        this.#config &= ~Config.KeyboardDisabled;
        break;
      case ControllerCommand.SelfTest:
        this.#config |= Config.SystemFlag;
        this.#answer(SELF_TEST_PASSED);
        break;
      case ControllerCommand.TestAux:
      case ControllerCommand.TestKeyboard:
        this.#answer(0);
        break;
      case ControllerCommand.ReadOutputPort:
        this.#answer(
          this.#outputPort |
            (this.#buffer && !this.#buffer.aux ? OutputPort.KeyboardFull : 0) |
            (this.#buffer?.aux ? OutputPort.AuxFull : 0),
        );
        break;
      case ControllerCommand.WriteOutputPort:
      case ControllerCommand.WriteKeyboardOutput:
      case ControllerCommand.WriteAuxOutput:
      case ControllerCommand.WriteAux:
        this.#awaiting = command;
        break;
      default:
        // 0xf0-0xff pulse output port bits low; bit 0 is the reset line.
        if (command >= 0xf0 && (command & 1) === 0) this.#reset();
    }
    this.#update();
  }

  #data(byte: number): void {
    const command = this.#awaiting;
    this.#awaiting = null;
    if (command === null) {
      // Sending to the keyboard enables it (PS/2 Technical Reference).
      this.#config &= ~Config.KeyboardDisabled;
      this.keyboard.write(byte);
      return;
    }
    switch (command) {
      case ControllerCommand.WriteConfig:
        this.#config = byte & 0x77;
        this.#update();
        break;
      case ControllerCommand.WriteOutputPort:
        this.#outputPort = byte | OutputPort.A20;
        if ((byte & OutputPort.NotReset) === 0) this.#reset();
        break;
      case ControllerCommand.WriteKeyboardOutput:
        this.#controllerOutput.push({ byte, aux: false });
        break;
      case ControllerCommand.WriteAuxOutput:
        this.#controllerOutput.push({ byte, aux: true });
        break;
      case ControllerCommand.WriteAux:
        this.#config &= ~Config.AuxDisabled;
        this.mouse.write(byte);
        break;
      default:
        this.#memory[command & 31] = byte;
    }
  }

  #answer(byte: number): void {
    this.#controllerOutput.push({ byte, aux: false });
  }

  /** Moves the next waiting byte into the output buffer: the controller's own first, then keyboard, then mouse. */
  #fill(): void {
    if (this.#buffer !== null) return;
    const own = this.#controllerOutput.shift();
    if (own !== undefined) this.#buffer = own;
    else if (this.keyboard.waiting && (this.#config & Config.KeyboardDisabled) === 0) {
      const byte = this.#fromKeyboard();
      if (byte !== null) this.#buffer = { byte, aux: false };
    } else if (this.mouse.waiting && (this.#config & Config.AuxDisabled) === 0) {
      const byte = this.mouse.take();
      if (byte !== null) this.#buffer = { byte, aux: true };
    }
    this.#update();
  }

  #fromKeyboard(): number | null {
    const byte = this.keyboard.take();
    if (byte === null || (this.#config & Config.Translate) === 0) return byte;
    if (byte !== RELEASE_PREFIX) return translateToSet1(byte, false);
    const released = this.keyboard.take();
    return released === null ? null : translateToSet1(released, true);
  }

  #update(): void {
    const buffer = this.#buffer;
    this.#keyboardIrq.set(buffer !== null && !buffer.aux && (this.#config & Config.KeyboardInterrupt) !== 0);
    this.#mouseIrq.set(buffer !== null && buffer.aux && (this.#config & Config.AuxInterrupt) !== 0);
  }
}
