// The keyboard behind the 8042: answers commands, sends scan codes. Codes are kept in set 2, which it speaks; the
// controller translates to set 1 when told to.
import { Reply } from './registers.ts';
import type { KeyboardState } from './state.ts';

const Command = {
  SetLeds: 0xed,
  Echo: 0xee,
  ScanCodeSet: 0xf0,
  Identify: 0xf2,
  SetRate: 0xf3,
  Enable: 0xf4,
  DisableAndDefault: 0xf5,
  Default: 0xf6,
  Reset: 0xff,
} as const;

/** An MF2 keyboard. */
const IDENTITY = [0xab, 0x83];
const MAX_WAITING = 64;

export class Ps2Keyboard {
  #output: number[] = [];
  #scanning = true;
  #set = 2;
  #leds = 0;
  #rate = 0x2b;
  #awaiting: number | null = null;

  /** LED bits as the guest set them: scroll, num, caps lock. */
  get leds(): number {
    return this.#leds;
  }

  /** Scan code bytes in set 2. Dropped when the guest has stopped scanning or reads too slowly, as on hardware. */
  type(codes: readonly number[]): void {
    if (this.#scanning && this.#output.length + codes.length <= MAX_WAITING) this.#output.push(...codes);
  }

  /** Next byte for the controller, or null. */
  take(): number | null {
    return this.#output.shift() ?? null;
  }

  get waiting(): boolean {
    return this.#output.length > 0;
  }

  /** A byte from the guest. */
  write(byte: number): void {
    const command = this.#awaiting;
    this.#awaiting = null;
    if (command !== null && byte < 0x80) {
      this.#parameter(command, byte);
      return;
    }
    switch (byte) {
      case Command.Echo:
        this.#output.push(Reply.Echo);
        break;
      case Command.SetLeds:
      case Command.ScanCodeSet:
      case Command.SetRate:
        this.#awaiting = byte;
        this.#output.push(Reply.Acknowledge);
        break;
      case Command.Identify:
        this.#output.push(Reply.Acknowledge, ...IDENTITY);
        break;
      case Command.Enable:
        this.#scanning = true;
        this.#output = [Reply.Acknowledge];
        break;
      case Command.DisableAndDefault:
        this.#defaults();
        this.#scanning = false;
        this.#output = [Reply.Acknowledge];
        break;
      case Command.Default:
        this.#defaults();
        this.#output = [Reply.Acknowledge];
        break;
      case Command.Reset:
        this.#defaults();
        this.#scanning = true;
        this.#output = [Reply.Acknowledge, Reply.SelfTestPassed];
        break;
      default:
        this.#output.push(Reply.Resend);
    }
  }

  getState(): KeyboardState {
    return {
      output: [...this.#output],
      scanning: this.#scanning,
      set: this.#set,
      leds: this.#leds,
      rate: this.#rate,
      awaiting: this.#awaiting,
    };
  }

  setState(state: KeyboardState): void {
    this.#output = [...state.output];
    this.#scanning = state.scanning;
    this.#set = state.set;
    this.#leds = state.leds;
    this.#rate = state.rate;
    this.#awaiting = state.awaiting;
  }

  #parameter(command: number, byte: number): void {
    this.#output.push(Reply.Acknowledge);
    if (command === Command.SetLeds) this.#leds = byte & 7;
    else if (command === Command.SetRate) this.#rate = byte;
    else if (byte === 0) this.#output.push(this.#set);
    else if (byte === 2) this.#set = byte; // the only set it sends
  }

  #defaults(): void {
    this.#set = 2;
    this.#rate = 0x2b;
    this.#awaiting = null;
  }
}
