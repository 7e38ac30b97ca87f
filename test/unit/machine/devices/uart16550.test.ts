import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../main/machine/clock.ts';
import { Uart16550 } from '../../../../main/machine/devices/uart16550/device.ts';
import { TestLine } from './line.ts';

const BASE = 0x3f8;
let clock: ManualClock;
let irq: TestLine;
let sent: number[];
let uart: Uart16550;
const read = (offset: number): number => uart.portRead(BASE + offset);
const write = (offset: number, value: number): void => uart.portWrite(BASE + offset, 1, value);

beforeEach(() => {
  clock = new ManualClock();
  irq = new TestLine();
  sent = [];
  uart = new Uart16550(BASE, clock, irq, (byte) => sent.push(byte));
});

describe('16550', () => {
  it('sends bytes and is ready for the next one', () => {
    write(0, 0x41);
    write(0, 0x42);
    expect(sent).toEqual([0x41, 0x42]);
    expect(read(5) & 0x60).toBe(0x60);
  });

  it('keeps the divisor apart from data and interrupt enable', () => {
    write(3, 0x83);
    write(0, 0x34);
    write(1, 0x02);
    expect([read(0), read(1)]).toEqual([0x34, 0x02]);
    write(3, 0x03);
    expect(sent).toEqual([]);
    expect(read(1)).toBe(0);
  });

  it('raises the transmitter interrupt when it is enabled and clears it by reading IIR', () => {
    write(4, 0x08);
    write(1, 0x02);
    expect(irq.level).toBe(true);
    expect(read(2) & 0x0f).toBe(0x02);
    expect(irq.level).toBe(false);
    expect(read(2) & 0x0f).toBe(0x01);
    write(0, 0x41);
    expect(irq.level).toBe(true);
  });

  it('does not interrupt without OUT2', () => {
    write(1, 0x02);
    expect(irq.level).toBe(false);
    write(4, 0x08);
    expect(irq.level).toBe(true);
  });

  it('interrupts at the trigger level, and below it after four character times', () => {
    write(3, 0x83);
    write(0, 1); // 115200 baud
    write(1, 0);
    write(3, 0x03);
    write(2, 0x81); // FIFOs on, trigger at 8
    write(4, 0x08);
    write(1, 0x01);
    uart.receive([1, 2, 3]);
    expect(irq.level).toBe(false);
    clock.advanceTo(Math.floor((4 * 10 * 1e9) / 115_200) - 1);
    expect(irq.level).toBe(false);
    clock.advanceTo(Math.ceil((4 * 10 * 1e9) / 115_200));
    expect(irq.level).toBe(true);
    expect(read(2)).toBe(0xcc);
    expect([read(0), read(0), read(0)]).toEqual([1, 2, 3]);
    expect(irq.level).toBe(false);
    uart.receive([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(read(2)).toBe(0xc4);
  });

  it('loses nothing when more arrives than the FIFO holds', () => {
    write(2, 0x01);
    const text = Array.from({ length: 100 }, (_, index) => index);
    uart.receive(text);
    const got: number[] = [];
    while (read(5) & 1) got.push(read(0));
    expect(got).toEqual(text);
  });

  it('loops back data and modem lines, away from the outside', () => {
    write(4, 0x10);
    write(0, 0x5a);
    expect(sent).toEqual([]);
    expect(read(0)).toBe(0x5a);
    expect(read(6) & 0xf0).toBe(0);
    write(4, 0x1b); // DTR, RTS, OUT2
    expect(read(6) & 0xf0).toBe(0xb0);
    write(0, 1);
    write(0, 2);
    expect(read(5) & 0x03).toBe(0x03); // overrun without FIFO
  });

  it('goes on after its state was taken and set', () => {
    write(2, 0x81);
    write(4, 0x08);
    write(1, 0x01);
    uart.receive([7, 8]);
    const state = uart.getState();
    const line = new TestLine();
    const copy = new Uart16550(BASE, clock, line, () => {});
    copy.setState(structuredClone(state));
    expect(copy.getState()).toEqual(state);
    clock.advanceTo(1e9);
    expect(line.level).toBe(true);
    expect([copy.portRead(BASE), copy.portRead(BASE)]).toEqual([7, 8]);
    expect(() => copy.setState({ ...state, version: 2 as never })).toThrow(/version 2/);
  });
});
