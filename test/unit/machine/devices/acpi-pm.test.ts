import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, nsAtTick } from '../../../../main/machine/clock.ts';
import { AcpiPm } from '../../../../main/machine/devices/acpi-pm/device.ts';
import { TestLine } from './line.ts';

let clock: ManualClock;
let sci: TestLine;
let log: string[];
let pm: AcpiPm;
const events = { powerOff: () => log.push('off'), reset: () => log.push('reset') };

beforeEach(() => {
  clock = new ManualClock();
  sci = new TestLine();
  log = [];
  pm = new AcpiPm(clock, sci, events);
});

describe('ACPI power management', () => {
  it('counts at 3.579545 MHz and wraps at 32 bits', () => {
    clock.advanceTo(1e9);
    expect(pm.portRead(0xb008, 4)).toBe(3_579_545);
    expect(pm.portRead(0xb009, 1)).toBe((3_579_545 >> 8) & 0xff);
    clock.advanceTo(nsAtTick(0x1_0000_0005, 3_579_545));
    expect(pm.portRead(0xb008, 4)).toBe(5);
  });

  it('interrupts when the top bit of the timer changes', () => {
    pm.portWrite(0xb002, 2, 0x0001);
    clock.advanceTo(nsAtTick(0x8000_0000, 3_579_545));
    expect(sci.level).toBe(true);
    expect(pm.portRead(0xb000, 2)).toBe(1);
    pm.portWrite(0xb000, 2, 1);
    expect(sci.level).toBe(false);
  });

  it('signals the power button to a kernel that listens', () => {
    expect(pm.pressPowerButton()).toBe(false);
    expect(sci.level).toBe(false);
    pm.portWrite(0xb002, 2, 0x0100);
    expect(sci.level).toBe(true);
    pm.portWrite(0xb000, 2, 0x0100);
    expect(sci.level).toBe(false);
    expect(pm.pressPowerButton()).toBe(true);
  });

  it('switches off in S5 only and resets by its register', () => {
    expect(pm.portRead(0xb004, 2) & 1).toBe(1);
    pm.portWrite(0xb004, 2, 0x2000 | (1 << 10));
    expect(log).toEqual([]);
    pm.portWrite(0xb004, 2, 0x2000 | (5 << 10));
    pm.portWrite(0xcf9, 1, 0x02);
    pm.portWrite(0xcf9, 1, 0x06);
    expect(log).toEqual(['off', 'reset']);
  });

  it('goes on after its state was taken and set', () => {
    pm.portWrite(0xb002, 2, 0x0100);
    pm.pressPowerButton();
    const line = new TestLine();
    const copy = new AcpiPm(clock, line, events);
    copy.setState(structuredClone(pm.getState()));
    expect(line.level).toBe(true);
    expect(copy.getState()).toEqual(pm.getState());
  });
});
