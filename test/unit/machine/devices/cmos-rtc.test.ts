import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../main/machine/clock.ts';
import { CmosRtc } from '../../../../main/machine/devices/cmos-rtc/device.ts';
import { TestLine } from './line.ts';

const EPOCH = Date.UTC(2026, 1, 28, 23, 59, 58) / 1000;
let clock: ManualClock;
let irq: TestLine;
let rtc: CmosRtc;
function read(register: number): number {
  rtc.portWrite(0x70, 1, register);
  return rtc.portRead(0x71);
}
function write(register: number, value: number): void {
  rtc.portWrite(0x70, 1, register);
  rtc.portWrite(0x71, 1, value);
}
const now = (): number[] => [0x32, 9, 8, 7, 4, 2, 0].map(read);

beforeEach(() => {
  clock = new ManualClock();
  irq = new TestLine();
  rtc = new CmosRtc(clock, irq, EPOCH, 64 * 1024 * 1024);
});

describe('MC146818', () => {
  it('shows the epoch in BCD and carries over', () => {
    expect(now()).toEqual([0x20, 0x26, 0x02, 0x28, 0x23, 0x59, 0x58]);
    expect(read(6)).toBe(7); // Saturday
    clock.advanceTo(2e9);
    expect(now()).toEqual([0x20, 0x26, 0x03, 0x01, 0x00, 0x00, 0x00]);
  });

  it('shows binary and 12 hours when asked', () => {
    write(0x0b, 0x06);
    expect(now()).toEqual([20, 26, 2, 28, 23, 59, 58]);
    write(0x0b, 0x00);
    expect(read(4)).toBe(0x91);
    clock.advanceTo(2e9);
    expect(read(4)).toBe(0x12);
  });

  it('can be set while held and runs on from there', () => {
    write(0x0b, 0x82);
    clock.advanceTo(5e9);
    for (const [register, value] of [
      [0, 0x30],
      [2, 0x15],
      [4, 0x12],
      [7, 0x05],
      [8, 0x06],
      [9, 0x27],
    ])
      write(register, value);
    expect(read(0)).toBe(0x30);
    write(0x0b, 0x02);
    clock.advanceTo(7e9);
    expect(now()).toEqual([0x20, 0x27, 0x06, 0x05, 0x12, 0x15, 0x32]);
  });

  it('announces updates and never in between', () => {
    clock.advanceTo(500_000_000);
    expect(read(0x0a) & 0x80).toBe(0);
    clock.advanceTo(999_800_000);
    expect(read(0x0a) & 0x80).toBe(0x80);
    clock.advanceTo(1_000_000_000);
    expect(read(0x0a) & 0x80).toBe(0);
  });

  it('interrupts periodically, on update and on alarm, each until C is read', () => {
    write(0x0b, 0x42); // 1024 Hz
    clock.advanceTo(1_000_000);
    expect(irq.level).toBe(true);
    expect(read(0x0c)).toBe(0xc0);
    expect(irq.level).toBe(false);
    write(0x0b, 0x12);
    clock.advanceTo(1_500_000_000);
    expect(read(0x0c) & 0x90).toBe(0x90);
    write(0x01, 0x01);
    write(0x03, 0x00);
    write(0x05, 0xc0);
    write(0x0b, 0x22);
    clock.advanceTo(2_500_000_000);
    expect(irq.level).toBe(false);
    clock.advanceTo(3_000_000_000);
    expect(irq.level).toBe(true);
    expect(read(0x0c) & 0xa0).toBe(0xa0);
  });

  it('has the memory sizes and a battery', () => {
    expect(read(0x15) | (read(0x16) << 8)).toBe(640);
    expect(read(0x34) | (read(0x35) << 8)).toBe((48 * 1024) / 64);
    expect(read(0x0d)).toBe(0x80);
  });

  it('goes on after its state was taken and set', () => {
    write(0x0b, 0x12);
    write(0x40, 0x5a);
    const line = new TestLine();
    const copy = new CmosRtc(clock, line, 0, 0);
    const state = rtc.getState();
    copy.setState(structuredClone(state));
    expect(copy.getState()).toEqual(state);
    clock.advanceTo(1e9);
    expect(line.level).toBe(true);
  });
});
