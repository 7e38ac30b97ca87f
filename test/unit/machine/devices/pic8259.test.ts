import { beforeEach, describe, expect, it } from 'vitest';
import { Pic8259 } from '../../../../main/machine/devices/pic8259/device.ts';
import { TestLine } from './line.ts';

let intr: TestLine;
let pic: Pic8259;
const write = (port: number, value: number): void => pic.portWrite(port, 1, value);

function initialize(icw4 = 1): void {
  write(0x20, 0x11);
  write(0x21, 0x30);
  write(0x21, 0x04);
  write(0x21, icw4);
  write(0xa0, 0x11);
  write(0xa1, 0x38);
  write(0xa1, 0x02);
  write(0xa1, icw4);
}

beforeEach(() => {
  intr = new TestLine();
  pic = new Pic8259(intr);
  initialize();
});

describe('8259A pair', () => {
  it('delivers by priority and waits for the end of interrupt', () => {
    pic.setLine(4, true);
    pic.setLine(1, true);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x31);
    expect(intr.level).toBe(false); // IRQ 4 is lower than the one in service
    write(0x20, 0x20);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x34);
  });

  it('lets a higher priority interrupt the one in service', () => {
    pic.setLine(4, true);
    pic.acknowledge();
    pic.setLine(0, true);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x30);
    write(0x20, 0x0b);
    expect(pic.portRead(0x20)).toBe(0x11); // both in service
  });

  it('passes the slave through input 2 and needs both ends of interrupt', () => {
    pic.setLine(8, true);
    expect(pic.acknowledge()).toBe(0x38);
    pic.setLine(9, true);
    expect(intr.level).toBe(false);
    write(0xa0, 0x20);
    expect(intr.level).toBe(false); // the master's input 2 is still in service
    write(0x20, 0x20);
    expect(intr.level).toBe(true);
    expect(pic.acknowledge()).toBe(0x39);
  });

  it('needs a new edge, except for level-triggered lines', () => {
    pic.setLine(5, true);
    pic.acknowledge();
    write(0x20, 0x20);
    expect(intr.level).toBe(false);
    write(0x4d1, 0xff);
    expect(pic.portRead(0x4d1)).toBe(0xde);
    pic.setLine(10, true);
    pic.acknowledge();
    write(0xa0, 0x20);
    write(0x20, 0x20);
    expect(intr.level).toBe(true);
    pic.setLine(10, false);
    expect(intr.level).toBe(false);
  });

  it('answers an acknowledge without request as spurious input 7', () => {
    pic.setLine(3, true);
    pic.setLine(3, false);
    expect(pic.acknowledge()).toBe(0x37);
    write(0x20, 0x0b);
    expect(pic.portRead(0x20)).toBe(0);
  });

  it('masks, rotates and ends specifically', () => {
    write(0x21, 0x02);
    pic.setLine(1, true);
    expect(intr.level).toBe(false);
    write(0x21, 0x00);
    expect(pic.acknowledge()).toBe(0x31);
    write(0x20, 0xe1); // rotate on specific EOI: 1 becomes the lowest
    pic.setLine(1, false);
    pic.setLine(1, true);
    pic.setLine(6, true);
    expect(pic.acknowledge()).toBe(0x36);
    write(0x20, 0x66);
    expect(pic.acknowledge()).toBe(0x31);
  });

  it('ends by itself in automatic mode, and polls', () => {
    initialize(3);
    pic.setLine(1, true);
    pic.acknowledge();
    write(0x20, 0x0b);
    expect(pic.portRead(0x20)).toBe(0);
    initialize();
    pic.setLine(6, true);
    write(0x20, 0x0c);
    expect(pic.portRead(0x20)).toBe(0x86);
    write(0x20, 0x0c);
    expect(pic.portRead(0x20)).toBe(0);
  });

  it('goes on after its state was taken and set', () => {
    pic.setLine(9, true);
    const line = new TestLine();
    const copy = new Pic8259(line);
    copy.setState(structuredClone(pic.getState()));
    expect(line.level).toBe(true);
    expect(copy.acknowledge()).toBe(0x39);
    expect(() => copy.setState({ ...pic.getState(), version: 9 as never })).toThrow(/version 9/);
  });
});
