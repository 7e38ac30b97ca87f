import { beforeEach, describe, expect, it } from 'vitest';
import { Ps2Controller } from '../../../../main/machine/devices/ps2/device.ts';
import { TestLine } from './line.ts';

let keyboardIrq: TestLine;
let mouseIrq: TestLine;
let resets: number;
let ps2: Ps2Controller;
const command = (value: number): void => ps2.portWrite(0x64, 1, value);
const data = (value: number): void => ps2.portWrite(0x60, 1, value);
function drain(): number[] {
  const bytes: number[] = [];
  while (ps2.portRead(0x64) & 1) bytes.push(ps2.portRead(0x60));
  return bytes;
}

beforeEach(() => {
  keyboardIrq = new TestLine();
  mouseIrq = new TestLine();
  resets = 0;
  ps2 = new Ps2Controller(keyboardIrq, mouseIrq, () => resets++);
});

describe('8042', () => {
  it('tests itself and keeps its command byte', () => {
    command(0xaa);
    expect(drain()).toEqual([0x55]);
    command(0xab);
    command(0xa9);
    expect(drain()).toEqual([0, 0]);
    command(0x60);
    data(0x47);
    command(0x20);
    expect(drain()).toEqual([0x47]);
    command(0xd3);
    data(0xa5);
    expect(ps2.portRead(0x64) & 0x21).toBe(0x21);
    expect(drain()).toEqual([0xa5]);
  });

  it('pulses the reset line', () => {
    command(0xfe);
    command(0xd1);
    data(0x02);
    expect(resets).toBe(2);
  });

  it('talks to the keyboard and interrupts for each byte', () => {
    data(0xff);
    expect(keyboardIrq.rises).toBe(1);
    expect(ps2.portRead(0x60)).toBe(0xfa);
    expect(keyboardIrq.rises).toBe(2);
    expect(ps2.portRead(0x60)).toBe(0xaa);
    expect(keyboardIrq.level).toBe(false);
    data(0xf2);
    expect(drain()).toEqual([0xfa, 0xab, 0x41]); // ab 83, translated like every byte

    data(0xed);
    data(0x02);
    expect(drain()).toEqual([0xfa, 0xfa]);
    expect(ps2.keyboard.leds).toBe(2);
  });

  it('types in set 1 while translating and in set 2 otherwise', () => {
    ps2.typeText('aB');
    expect(drain()).toEqual([0x1e, 0x9e, 0x2a, 0x30, 0xb0, 0xaa]);
    command(0x60);
    data(0x01);
    ps2.typeText('a');
    expect(drain()).toEqual([0x1c, 0xf0, 0x1c]);
    expect(ps2.typeText('ß')).toBe('ß');
  });

  it('keeps key strokes while the keyboard is disabled', () => {
    command(0xad);
    ps2.typeText('x');
    expect(drain()).toEqual([]);
    command(0xae);
    expect(drain()).toEqual([0x2d, 0xad]);
  });

  it('speaks IntelliMouse after the knock', () => {
    command(0x60);
    data(0x47 & ~0x20);
    const mouse = (...bytes: number[]): void => bytes.forEach((byte) => (command(0xd4), data(byte)));
    mouse(0xff);
    expect(drain()).toEqual([0xfa, 0xaa, 0]);
    mouse(0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2);
    expect(drain().slice(-2)).toEqual([0xfa, 3]);
    mouse(0xf4);
    drain();
    ps2.moveMouse(5, -3, 1, 1);
    expect(mouseIrq.level).toBe(true);
    expect(drain()).toEqual([0x29, 5, 0xfd, 0xff]);
  });

  it('goes on after its state was taken and set', () => {
    ps2.typeText('q');
    const copy = new Ps2Controller(new TestLine(), new TestLine(), () => {});
    copy.setState(structuredClone(ps2.getState()));
    expect(copy.getState()).toEqual(ps2.getState());
    expect([copy.portRead(0x60), copy.portRead(0x60)]).toEqual([0x10, 0x90]);
  });
});
