import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, nsAtTick, ticksAt } from '../../../../main/machine/clock.ts';
import { Pit8254 } from '../../../../main/machine/devices/pit8254/device.ts';
import { TestLine } from './line.ts';

const HZ = 1_193_182;
let clock: ManualClock;
let irq: TestLine;
let pit: Pit8254;
const write = (port: number, value: number): void => pit.portWrite(port, 1, value);
const tickTo = (tick: number): void => clock.advanceTo(nsAtTick(tick, HZ));

beforeEach(() => {
  clock = new ManualClock();
  irq = new TestLine();
  pit = new Pit8254(clock, irq);
});

function count(channel: number): number {
  write(0x43, channel << 6);
  return pit.portRead(0x40 + channel) | (pit.portRead(0x40 + channel) << 8);
}

describe('8254', () => {
  it('interrupts at its rate in modes 2 and 3', () => {
    for (const mode of [2, 3]) {
      write(0x43, 0x30 | (mode << 1));
      write(0x40, 0xa9);
      write(0x40, 0x04); // 1193
      const before = irq.rises;
      const start = ticksAt(clock.now(), HZ);
      tickTo(start + 1193 * 1000 + 5);
      expect(irq.rises - before).toBe(1000);
    }
  });

  it('interrupts once in mode 0 and in mode 4', () => {
    for (const mode of [0, 4]) {
      write(0x43, 0x30 | (mode << 1));
      const before = irq.rises;
      const start = ticksAt(clock.now(), HZ);
      write(0x40, 100);
      write(0x40, 0);
      tickTo(start + 99);
      expect(irq.rises).toBe(before);
      tickTo(start + 103);
      expect(irq.rises).toBe(before + 1);
      tickTo(start + 200_000);
      expect(irq.rises).toBe(before + 1);
    }
  });

  it('counts down in mode 2 and by two in mode 3', () => {
    write(0x43, 0x34);
    write(0x40, 0xe8);
    write(0x40, 0x03); // 1000
    tickTo(1 + 400);
    expect(count(0)).toBe(600);
    tickTo(1 + 1000 + 1);
    expect(count(0)).toBe(999);
    write(0x43, 0x36);
    write(0x40, 0xe8);
    write(0x40, 0x03);
    const start = ticksAt(clock.now(), HZ) + 1;
    tickTo(start + 100);
    expect(count(0)).toBe(800);
    tickTo(start + 600);
    expect(count(0)).toBe(800);
  });

  it('latches a count until it is read, low byte first', () => {
    write(0x43, 0x34);
    write(0x40, 0);
    write(0x40, 0); // 65536
    tickTo(1 + 0x100);
    write(0x43, 0x00);
    tickTo(1 + 0x5000);
    expect(pit.portRead(0x40)).toBe(0x00);
    expect(pit.portRead(0x40)).toBe(0xff);
  });

  it('gates channel 2 and shows its output in port 0x61', () => {
    write(0x61, 0);
    write(0x43, 0xb0); // mode 0
    write(0x42, 0xff);
    write(0x42, 0x00);
    tickTo(1000);
    expect(pit.portRead(0x61) & 0x20).toBe(0);
    write(0x61, 1);
    const start = ticksAt(clock.now(), HZ);
    tickTo(start + 250);
    expect(pit.portRead(0x61) & 0x21).toBe(0x01);
    tickTo(start + 257);
    expect(pit.portRead(0x61) & 0x21).toBe(0x21);
  });

  it('answers the read-back command with status, then count', () => {
    write(0x43, 0x34);
    write(0x40, 10);
    write(0x40, 0);
    tickTo(1 + 3);
    write(0x43, 0xc2);
    expect(pit.portRead(0x40)).toBe(0xb4); // output high, low-high access, mode 2
    expect(pit.portRead(0x40)).toBe(7);
    expect(pit.portRead(0x40)).toBe(0);
  });

  it('counts in BCD', () => {
    write(0x43, 0x35);
    write(0x40, 0x00);
    write(0x40, 0x10); // 1000
    tickTo(1 + 1);
    expect(count(0)).toBe(0x0999);
  });

  it('goes on after its state was taken and set', () => {
    write(0x43, 0x34);
    write(0x40, 100);
    write(0x40, 0);
    tickTo(50);
    const line = new TestLine();
    const copy = new Pit8254(clock, line);
    const state = pit.getState();
    copy.setState(structuredClone(state));
    expect(copy.getState()).toEqual(state);
    tickTo(1 + 1000);
    expect(line.rises).toBe(irq.rises);
  });
});
