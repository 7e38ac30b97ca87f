// RDTSC in generated code: the time is exact where fuel is taken away during a run, and left to the routine where instructions are not time.

import { describe, expect, it } from 'vitest';
import { F } from '../../../../main/machine/cpu/layout.ts';
import { Running } from '../system/running.ts';

const STI = 0xfb;
const NOP = 0x90;
const RDTSC = [0x0f, 0x31];
/** Two instructions before the low half wraps around. */
const BASE = 0x3_ffff_fffe;
const RAX = 0;
const RDX = 2;

function timeAfter(long: boolean, code: readonly number[], budget: number, follows: boolean) {
  const machine = new Running([...code, 0xf4], { long, bus: { interruptPending: () => true } });
  const { core, vcpu } = machine;
  core.timeFollowsInstructions = follows;
  core.cycles = () => BASE + core.busyNow();
  vcpu.set64(F.tscOffset, 5n);
  let asked = 0;
  const { rdtsc } = core.system.routines;
  core.system.routines.rdtsc = (op) => {
    asked++;
    return rdtsc(op);
  };
  core.run(vcpu, budget);
  return { tsc: vcpu.regLo(RDX) * 2 ** 32 + vcpu.regLo(RAX), asked };
}

describe.each([false, true])('RDTSC, 64-bit code: %s', (long) => {
  it('counts the instructions of a run, itself included, without the routine', () => {
    expect(timeAfter(long, [NOP, NOP, ...RDTSC], 3, true)).toEqual({ tsc: BASE + 3 + 5, asked: 0 });
  });
  it('is exact behind STI with an interrupt waiting, which takes the rest of the fuel', () => {
    expect(timeAfter(long, [STI, ...RDTSC], 2, true).tsc).toBe(BASE + 2 + 5);
    const exact = timeAfter(long, [STI, ...RDTSC], 100_000, true);
    expect(exact).toEqual({ tsc: BASE + 2 + 5, asked: 0 });
  });
  it('asks each time where time is something else', () => {
    expect(timeAfter(long, [NOP, ...RDTSC], 2, false)).toEqual({ tsc: BASE + 2 + 5, asked: 1 });
  });
});
