// Small freestanding kernels on the whole machine: processor, devices, interrupts, clock.
import { describe, expect, it } from 'vitest';
import { PcMachine } from '../../../../main/machine/platform/pc.ts';

const MiB = 1024 * 1024;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/** Sets up the 8259 and the 8254 at 1193 ticks, halts through ten timer interrupts, prints "!" and switches off through ACPI. */
const TIMER = bytes(
  '02b0ad1b00000100fe4f51e40000100000001000000000000000000020001000bc00700000b8a300100066a30051000066c70502510000100066c70504510000008ec1e81066a30651000066c705f84f0000ff07c705fa4f0000005000000f011df84f0000b011e620b020e621b004e621b001e621b0fee621b034e643b0a9e640b004e64031dbfbf4fa83fb0a72f866baf803b021ee66ba04b066b8003466eff4ebfd43b020e620cf',
);
/** Starts all other processors at 0x6000, where each increments a byte; prints "3" when it is three and resets through 0xcf9. */
const SMP = bytes(
  '02b0ad1b00000100fe4f51e40000100000001000000000000000000020001000bc00700000be66001000bf00600000b908000000f3a4c7050003e0fe00450c00c7050003e0fe06460c00f390803d004000000375f566baf803b033eeb00666baf90ceef4ebfdf0fe060040f4ebfd',
);
/** UD2 without an interrupt table. */
const TRIPLE = bytes('02b0ad1b00000100fe4f51e400001000000010000000000000000000200010000f0b');

function start(kernel: Uint8Array, vcpus = 1, clockMHz = 1000): { machine: PcMachine; output: () => string } {
  let output = '';
  const machine = new PcMachine({
    ramBytes: 4 * MiB,
    vcpus,
    clockMHz,
    epochSeconds: 0,
    onSerial: (byte) => (output += String.fromCharCode(byte)),
  });
  machine.load({ kernel, ramdisk: null, commandLine: '' });
  return { machine, output: () => output };
}

describe('PcMachine', () => {
  it.each([100, 1000, 2600])('sleeps between timer interrupts and keeps exact time at %i MHz', (clockMHz) => {
    const { machine, output } = start(TIMER, 1, clockMHz);
    const result = machine.runUntil(1e9);
    expect(result.stop).toEqual({ reason: 'power-off' });
    expect(output()).toBe('!');
    // Ten periods of 1193 ticks, the first one clock later, and the few instructions around them.
    const expected = ((10 * 1193 + 1) * 1e9) / 1_193_182;
    expect(machine.now()).toBeGreaterThan(expected);
    expect(machine.now()).toBeLessThan(expected + 1000 + (200 * 1000) / clockMHz);
    expect(machine.instructions).toBeLessThan(300);
  });

  it('gives the same run however it is cut', () => {
    const runs = [1e9, 1_000_000, 12_345].map((step) => {
      const { machine } = start(TIMER);
      for (let now = step; machine.stop === null; now += step) machine.runUntil(now);
      return { now: machine.now(), instructions: machine.instructions };
    });
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  it('says until when it is idle', () => {
    const { machine } = start(TIMER);
    const result = machine.runUntil(1_500_000);
    expect(result.now).toBe(1_500_000);
    expect(result.idleUntil).toBeGreaterThan(1_990_000);
    expect(result.idleUntil).toBeLessThan(2_010_000);
  });

  it('starts other processors by INIT and start-up messages, and resets', () => {
    const { machine, output } = start(SMP, 4);
    expect(machine.runUntil(10_000_000).stop).toEqual({ reason: 'reset' });
    expect(output()).toBe('3');
    expect(machine.memory.read8(0x4000)).toBe(3);
    expect(machine.vcpus.slice(1).every((vcpu) => vcpu.halted)).toBe(true);
  });

  it('goes on from a saved state as if nothing had happened', () => {
    const { machine } = start(TIMER);
    machine.runUntil(5_300_000);
    const state = structuredClone(machine.getState());
    const { machine: copy, output } = start(TRIPLE);
    copy.setState(state);
    expect(copy.getState()).toEqual(state);
    const before = machine.instructions;
    expect(copy.runUntil(1e9)).toEqual(machine.runUntil(1e9));
    expect(copy.instructions).toBe(machine.instructions - before);
    expect(output()).toBe('!');
    expect(() => start(TIMER, 2).machine.setState(state)).toThrow(/1 processors at 1000 MHz/);
  });

  it('stops at a triple fault and names the processor', () => {
    const { machine } = start(TRIPLE);
    expect(machine.runUntil(1000).stop).toEqual({ reason: 'triple-fault', vcpu: 0 });
  });
});
