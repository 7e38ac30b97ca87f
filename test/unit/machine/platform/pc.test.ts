// Small freestanding kernels on the whole machine: processor, devices, interrupts, clock.
import { describe, expect, it } from 'vitest';
import type { CoreOptions } from '../../../../main/machine/cpu/core.ts';
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
/** Stores how many cycles an instruction of two bytes, done twice, and two others took at 0x4000, then does it 100,000 times and halts for good. */
const waiting = (it: string): Uint8Array =>
  bytes(
    `02b0ad1b00000100fe4f51e400001000000010000000000000000000200010000f3189c3${it}${it}0f3129d8a300400000b9a0860100${it}4975fbf4ebfd`,
  );
/** OUT 0x80, AL and PAUSE, and how long they take: virtual ns, or cycles. */
const WAITING = [
  { what: 'an access of a port', code: waiting('e680'), ns: 1000, cycles: 0 },
  { what: 'PAUSE', code: waiting('f390'), ns: 0, cycles: 140 },
];
/** UD2 without an interrupt table. */
const TRIPLE = bytes('02b0ad1b00000100fe4f51e400001000000010000000000000000000200010000f0b');

function start(
  kernel: Uint8Array,
  vcpus = 1,
  clockMHz = 1000,
  core: CoreOptions = {},
): { machine: PcMachine; output: () => string } {
  let output = '';
  const machine = new PcMachine({
    ramBytes: 4 * MiB,
    vcpus,
    clockMHz,
    epochSeconds: 0,
    core,
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
    // Ten periods of 1193 ticks, the first one clock later, and the few instructions and eleven port accesses around them.
    const expected = ((10 * 1193 + 1) * 1e9) / 1_193_182;
    expect(machine.now()).toBeGreaterThan(expected);
    expect(machine.now()).toBeLessThan(expected + 11_000 + 1000 + (200 * 1000) / clockMHz);
    expect(machine.instructions).toBeLessThan(300);
  });

  it.each(WAITING.flatMap((w) => [1000, 2600].map((clockMHz) => ({ ...w, clockMHz }))))(
    'lets time pass for $what at $clockMHz MHz',
    ({ code, ns, cycles, clockMHz }) => {
      const runs = (['interpreter', 'translator'] as const).map((tier) => {
        const { machine } = start(code, 1, clockMHz, { tier, translator: { background: false } });
        machine.runUntil(5e6);
        const { instructions } = machine;
        machine.runUntil(500e6);
        return { taken: machine.memory.read32(0x4000), instructions, all: machine.instructions };
      });
      expect(runs[1]).toEqual(runs[0]);
      const [{ taken, instructions, all }] = runs as [(typeof runs)[0]];
      const each = cycles + (ns * clockMHz) / 1000;
      expect(taken).toBe(2 * each + 4);
      // the loop is three instructions, one of which waits
      const pass = ((each + 3) * 1000) / clockMHz;
      expect(Math.abs(instructions / 3 - 5e6 / pass)).toBeLessThan(8);
      expect(all).toBe(8 + 3 * 100_000 + 1);
    },
  );

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
