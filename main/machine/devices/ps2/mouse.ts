// The auxiliary device behind the 8042: a three-button mouse with the IntelliMouse wheel extension.
import { Reply } from './registers.ts';
import type { MouseState } from './state.ts';

const Command = {
  Scaling11: 0xe6,
  Scaling21: 0xe7,
  SetResolution: 0xe8,
  Status: 0xe9,
  StreamMode: 0xea,
  ReadData: 0xeb,
  EndWrap: 0xec,
  Wrap: 0xee,
  RemoteMode: 0xf0,
  Identify: 0xf2,
  SetRate: 0xf3,
  Enable: 0xf4,
  Disable: 0xf5,
  Default: 0xf6,
  Reset: 0xff,
} as const;

/** Setting these rates in a row turns the wheel on (Microsoft IntelliMouse). */
const WHEEL_KNOCK = [200, 100, 80];
const MAX_WAITING = 64;

export class Ps2Mouse {
  #output: number[] = [];
  #reporting = false;
  #remote = false;
  #scaling = false;
  #wrap = false;
  #resolution = 2;
  #rate = 100;
  #wheel = false;
  #lastRates: number[] = [];
  #buttons = 0;
  #awaiting: number | null = null;

  /** Movement in counts (right and up are positive), wheel steps, and buttons (left 1, right 2, middle 4). */
  move(dx: number, dy: number, wheel: number, buttons: number): void {
    this.#buttons = buttons & 7;
    if (!this.#reporting || this.#remote || this.#output.length > MAX_WAITING) return;
    this.#packet(dx, dy, wheel);
  }

  take(): number | null {
    return this.#output.shift() ?? null;
  }

  get waiting(): boolean {
    return this.#output.length > 0;
  }

  write(byte: number): void {
    const command = this.#awaiting;
    this.#awaiting = null;
    if (command !== null) {
      this.#parameter(command, byte);
      return;
    }
    if (this.#wrap && byte !== Command.EndWrap && byte !== Command.Reset) {
      this.#output.push(byte);
      return;
    }
    switch (byte) {
      case Command.SetResolution:
      case Command.SetRate:
        this.#awaiting = byte;
        this.#output.push(Reply.Acknowledge);
        break;
      case Command.Identify:
        this.#output.push(Reply.Acknowledge, this.#wheel ? 3 : 0);
        break;
      case Command.Status:
        this.#output.push(Reply.Acknowledge, this.#statusByte(), this.#resolution, this.#rate);
        break;
      case Command.ReadData:
        this.#output.push(Reply.Acknowledge);
        this.#packet(0, 0, 0);
        break;
      case Command.Reset:
        this.#defaults();
        this.#wheel = false;
        this.#output = [Reply.Acknowledge, Reply.SelfTestPassed, 0];
        break;
      default:
        this.#output.push(this.#simple(byte) ? Reply.Acknowledge : Reply.Resend);
    }
  }

  getState(): MouseState {
    return {
      output: [...this.#output],
      reporting: this.#reporting,
      remote: this.#remote,
      scaling: this.#scaling,
      wrap: this.#wrap,
      resolution: this.#resolution,
      rate: this.#rate,
      wheel: this.#wheel,
      lastRates: [...this.#lastRates],
      buttons: this.#buttons,
      awaiting: this.#awaiting,
    };
  }

  setState(state: MouseState): void {
    this.#output = [...state.output];
    this.#reporting = state.reporting;
    this.#remote = state.remote;
    this.#scaling = state.scaling;
    this.#wrap = state.wrap;
    this.#resolution = state.resolution;
    this.#rate = state.rate;
    this.#wheel = state.wheel;
    this.#lastRates = [...state.lastRates];
    this.#buttons = state.buttons;
    this.#awaiting = state.awaiting;
  }

  /** Commands without parameter or answer. Returns false for an unknown one. */
  #simple(byte: number): boolean {
    switch (byte) {
      case Command.Scaling11:
      case Command.Scaling21:
        this.#scaling = byte === Command.Scaling21;
        return true;
      case Command.StreamMode:
      case Command.RemoteMode:
        this.#remote = byte === Command.RemoteMode;
        return true;
      case Command.Wrap:
      case Command.EndWrap:
        this.#wrap = byte === Command.Wrap;
        return true;
      case Command.Enable:
      case Command.Disable:
        this.#reporting = byte === Command.Enable;
        return true;
      case Command.Default:
        this.#defaults();
        return true;
      default:
        return false;
    }
  }

  #parameter(command: number, byte: number): void {
    this.#output.push(Reply.Acknowledge);
    if (command === Command.SetResolution) {
      this.#resolution = byte & 3;
      return;
    }
    this.#rate = byte;
    this.#lastRates = [...this.#lastRates, byte].slice(-WHEEL_KNOCK.length);
    if (WHEEL_KNOCK.every((rate, index) => this.#lastRates[index] === rate)) this.#wheel = true;
  }

  #statusByte(): number {
    return (this.#remote ? 0x40 : 0) | (this.#reporting ? 0x20 : 0) | (this.#scaling ? 0x10 : 0) | this.#buttons;
  }

  #packet(dx: number, dy: number, wheel: number): void {
    const clamp = (value: number): number => Math.max(-256, Math.min(255, value));
    const x = clamp(dx);
    const y = clamp(dy);
    this.#output.push(8 | this.#buttons | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0), x & 0xff, y & 0xff);
    if (this.#wheel) this.#output.push(-wheel & 0xff);
  }

  #defaults(): void {
    this.#reporting = false;
    this.#remote = false;
    this.#scaling = false;
    this.#wrap = false;
    this.#resolution = 2;
    this.#rate = 100;
    this.#lastRates = [];
    this.#awaiting = null;
  }
}
