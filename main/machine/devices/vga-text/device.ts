// A VGA in 80x25 text mode: text memory at 0xb8000, cursor and start address in the CRTC. There are no graphics modes:
// the rest of the VGA window reads all ones and its other registers only remember what was written.
import type { DeviceClock } from '../../clock.ts';
import { type MmioDevice, type PortDevice, type StatefulDevice, allOnes, requireVersion } from '../contract.ts';
import { codePage437 } from './code-page.ts';
import { COLUMNS, CRTC_MODE_3, Crtc, ROWS, TEXT_BYTES, TEXT_OFFSET, VgaPort } from './registers.ts';
import type { VgaTextState } from './state.ts';

/** One screenful. `cells` has a glyph and an attribute byte for each position, row by row. */
export interface TextScreen {
  readonly columns: number;
  readonly rows: number;
  readonly cells: Uint8Array;
  /** Null while the cursor is off or outside the screen. */
  readonly cursor: { readonly row: number; readonly column: number } | null;
}

const FRAME_NS = 14_268_000; // 70.086 Hz
const LINE_NS = 31_778; // 31.469 kHz

export class VgaText implements PortDevice, MmioDevice, StatefulDevice<VgaTextState> {
  readonly ports = [
    [VgaPort.CrtcIndexMono, 2],
    [VgaPort.AttributeWrite, 16],
    [VgaPort.CrtcIndex, 2],
    [VgaPort.InputStatus1, 1],
  ] as const;
  readonly wide = true;
  readonly #clock: DeviceClock;
  readonly #text = new Uint8Array(TEXT_BYTES);
  readonly #crtc = new Uint8Array(256);
  readonly #sequencer = new Uint8Array(256);
  readonly #graphics = new Uint8Array(256);
  readonly #attribute = new Uint8Array(32);
  readonly #dac = new Uint8Array(768);
  #crtcIndex = 0;
  #sequencerIndex = 0;
  #graphicsIndex = 0;
  #attributeIndex = 0x20;
  #attributeData = false;
  #dacIndex = 0;
  #dacReading = false;
  #misc = 0x67; // colour addresses, RAM enabled, 400 lines

  constructor(clock: DeviceClock) {
    this.#clock = clock;
    this.#crtc.set(CRTC_MODE_3);
    for (let cell = 0; cell < TEXT_BYTES; cell += 2) {
      this.#text[cell] = 0x20;
      this.#text[cell + 1] = 0x07;
    }
  }

  /** What the monitor shows now. */
  screen(): TextScreen {
    const start = (this.#crtc[Crtc.StartHigh] << 8) | this.#crtc[Crtc.StartLow];
    const cursor = ((this.#crtc[Crtc.CursorHigh] << 8) | this.#crtc[Crtc.CursorLow]) - start;
    const cells = new Uint8Array(COLUMNS * ROWS * 2);
    for (let index = 0; index < cells.length; index++)
      cells[index] = this.#text[(start * 2 + index) & (TEXT_BYTES - 1)];
    const visible = (this.#crtc[Crtc.CursorStart] & 0x20) === 0 && cursor >= 0 && cursor < COLUMNS * ROWS;
    return {
      columns: COLUMNS,
      rows: ROWS,
      cells,
      cursor: visible ? { row: Math.floor(cursor / COLUMNS), column: cursor % COLUMNS } : null,
    };
  }

  /** The screen's characters, one line per row, trailing spaces removed. */
  text(): string {
    const { cells } = this.screen();
    const lines: string[] = [];
    for (let row = 0; row < ROWS; row++) {
      let line = '';
      for (let column = 0; column < COLUMNS; column++) line += codePage437[cells[(row * COLUMNS + column) * 2]];
      lines.push(line.trimEnd());
    }
    return lines.join('\n');
  }

  mmioRead(offset: number, size: number): number {
    if (offset < TEXT_OFFSET) return allOnes(size);
    let value = 0;
    for (let index = 0; index < size; index++)
      value |= this.#text[(offset - TEXT_OFFSET + index) & (TEXT_BYTES - 1)] << (8 * index);
    return value >>> 0;
  }

  mmioWrite(offset: number, size: number, value: number): void {
    if (offset < TEXT_OFFSET) return;
    for (let index = 0; index < size; index++)
      this.#text[(offset - TEXT_OFFSET + index) & (TEXT_BYTES - 1)] = value >>> (8 * index);
  }

  portRead(port: number, size: number): number {
    if (size === 2) return this.#readByte(port) | (this.#readByte(port + 1) << 8);
    return this.#readByte(port);
  }

  portWrite(port: number, size: number, value: number): void {
    // A word write to an index port writes index and data, which is how most code uses it.
    for (let index = 0; index < size; index++) this.#writeByte(port + index, (value >>> (8 * index)) & 0xff);
  }

  getState(): VgaTextState {
    return {
      version: 1,
      crtc: [...this.#crtc],
      crtcIndex: this.#crtcIndex,
      sequencer: [...this.#sequencer],
      sequencerIndex: this.#sequencerIndex,
      graphics: [...this.#graphics],
      graphicsIndex: this.#graphicsIndex,
      attribute: [...this.#attribute],
      attributeIndex: this.#attributeIndex,
      attributeData: this.#attributeData,
      dac: [...this.#dac],
      dacIndex: this.#dacIndex,
      dacReading: this.#dacReading,
      misc: this.#misc,
      text: this.#text.slice(),
    };
  }

  setState(state: VgaTextState): void {
    requireVersion('VGA', state.version, 1);
    this.#crtc.set(state.crtc);
    this.#crtcIndex = state.crtcIndex;
    this.#sequencer.set(state.sequencer);
    this.#sequencerIndex = state.sequencerIndex;
    this.#graphics.set(state.graphics);
    this.#graphicsIndex = state.graphicsIndex;
    this.#attribute.set(state.attribute);
    this.#attributeIndex = state.attributeIndex;
    this.#attributeData = state.attributeData;
    this.#dac.set(state.dac);
    this.#dacIndex = state.dacIndex;
    this.#dacReading = state.dacReading;
    this.#misc = state.misc;
    this.#text.set(state.text);
  }

  #readByte(port: number): number {
    switch (port) {
      case VgaPort.CrtcIndex:
        return this.#crtcIndex;
      case VgaPort.CrtcData:
        return this.#crtc[this.#crtcIndex];
      case VgaPort.SequencerIndex:
        return this.#sequencerIndex;
      case VgaPort.SequencerData:
        return this.#sequencer[this.#sequencerIndex];
      case VgaPort.GraphicsIndex:
        return this.#graphicsIndex;
      case VgaPort.GraphicsData:
        return this.#graphics[this.#graphicsIndex];
      case VgaPort.AttributeWrite:
        return this.#attributeIndex;
      case VgaPort.AttributeRead:
        return this.#attribute[this.#attributeIndex & 31];
      case VgaPort.MiscRead:
        return this.#misc;
      case VgaPort.DacMask:
        return 0xff;
      case VgaPort.DacReadIndex:
        return this.#dacReading ? 3 : 0;
      case VgaPort.DacWriteIndex:
        return Math.floor(this.#dacIndex / 3) & 0xff;
      case VgaPort.DacData: {
        const value = this.#dac[this.#dacIndex];
        this.#dacIndex = (this.#dacIndex + 1) % 768;
        return value;
      }
      case VgaPort.MiscWrite: // input status 0: no interrupt, no sense
      case VgaPort.FeatureRead:
        return 0;
      case VgaPort.InputStatus1:
        this.#attributeData = false;
        return this.#inputStatus1();
      default:
        return 0xff;
    }
  }

  #writeByte(port: number, byte: number): void {
    switch (port) {
      case VgaPort.CrtcIndex:
        this.#crtcIndex = byte;
        break;
      case VgaPort.CrtcData:
        // CR11 bit 7 protects CR0-7.
        if (this.#crtcIndex > 7 || (this.#crtc[0x11] & 0x80) === 0) this.#crtc[this.#crtcIndex] = byte;
        break;
      case VgaPort.SequencerIndex:
        this.#sequencerIndex = byte;
        break;
      case VgaPort.SequencerData:
        this.#sequencer[this.#sequencerIndex] = byte;
        break;
      case VgaPort.GraphicsIndex:
        this.#graphicsIndex = byte;
        break;
      case VgaPort.GraphicsData:
        this.#graphics[this.#graphicsIndex] = byte;
        break;
      case VgaPort.AttributeWrite:
        if (this.#attributeData) this.#attribute[this.#attributeIndex & 31] = byte;
        else this.#attributeIndex = byte & 0x3f;
        this.#attributeData = !this.#attributeData;
        break;
      case VgaPort.MiscWrite:
        this.#misc = byte;
        break;
      case VgaPort.DacReadIndex:
      case VgaPort.DacWriteIndex:
        this.#dacIndex = byte * 3;
        this.#dacReading = port === VgaPort.DacReadIndex;
        break;
      case VgaPort.DacData:
        this.#dac[this.#dacIndex] = byte & 0x3f;
        this.#dacIndex = (this.#dacIndex + 1) % 768;
        break;
    }
  }

  /** Bit 0: no picture is being drawn; bit 3: vertical retrace (lines 412 and 413 of 449). */
  #inputStatus1(): number {
    const inFrame = this.#clock.now() % FRAME_NS;
    const vertical = inFrame >= 412 * LINE_NS && inFrame < 414 * LINE_NS;
    const blank = inFrame >= 400 * LINE_NS || inFrame % LINE_NS > LINE_NS * 0.8;
    return (blank ? 1 : 0) | (vertical ? 8 : 0);
  }
}
