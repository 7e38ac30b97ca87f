// A debugger on a bare machine: breakpoints stop before their instruction, single steps run exactly one, and the guest cannot tell.
import { expect, it } from 'vitest';
import { CodeBreakpoints } from '../../../../main/machine/cpu/system/code-breakpoints.ts';
import { PcMachine } from '../../../../main/machine/platform/pc.ts';

const MHZ = 100;
/** mov cx,5 / inc ax (0x7c03) / nop / loop 0x7c03 / pushf / pop bx / hlt */
const PROGRAM = [0xb9, 5, 0, 0x40, 0x90, 0xe2, 0xfc, 0x9c, 0x5b, 0xf4];

function machine(tier?: string): PcMachine {
  if (tier) process.env.BULKHEAD_TIER = tier;
  try {
    const m = new PcMachine({ ramBytes: 2 ** 21, vcpus: 1, clockMHz: MHZ, epochSeconds: 0, onSerial: () => {} });
    const kernel = new Uint8Array(512);
    kernel.set(PROGRAM);
    kernel.set([0x55, 0xaa], 510);
    m.load({ kernel, ramdisk: null, commandLine: '' });
    return m;
  } finally {
    delete process.env.BULKHEAD_TIER;
  }
}
const state = (m: PcMachine): string =>
  JSON.stringify(m.vcpus[0]!.saveState(), (_k, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v));

for (const tier of ['interpreter', 'translator'])
  it(`stops before the instruction every time it comes, and changes nothing (${tier})`, () => {
    const plain = machine(tier);
    plain.runUntil(1_000_000);
    const m = machine(tier);
    const breakpoints = new CodeBreakpoints();
    breakpoints.add(0x7c04n);
    m.core.setBreakpoints(breakpoints);
    const seen: [number, number, number][] = [];
    for (;;) {
      const r = m.runUntil(1_000_000);
      if (r.breakpoint < 0) break;
      const v = m.vcpus[0]!;
      seen.push([Number(v.rip), v.regLo(0) & 0xffff, v.regLo(1) & 0xffff]);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5].map((n) => [0x7c04, n, 6 - n]));
    expect(state(m)).toBe(state(plain));
    expect(m.instructions).toBe(plain.instructions);
  });

it('stops again after it was taken away and set anew, and not when it is gone', () => {
  const m = machine();
  const breakpoints = new CodeBreakpoints();
  breakpoints.add(0x7c03n);
  m.core.setBreakpoints(breakpoints);
  expect(m.runUntil(1_000_000).breakpoint).toBe(0);
  expect(m.vcpus[0]!.regLo(0) & 0xffff).toBe(0);
  expect(m.runUntil(1_000_000).breakpoint).toBe(0);
  breakpoints.delete(0x7c03n);
  m.core.setBreakpoints(breakpoints);
  expect(m.runUntil(1_000_000).breakpoint).toBe(-1);
  expect(m.vcpus[0]!.halted).toBe(true);
});

it('steps one instruction at a time, over breakpoints too, and its clock goes on by one cycle each', () => {
  const m = machine();
  const breakpoints = new CodeBreakpoints();
  breakpoints.add(0x7c03n);
  m.core.setBreakpoints(breakpoints);
  const at: number[] = [];
  for (let n = 0; n < 5; n++) {
    const before = m.now();
    expect(m.step(0)).toBe(true);
    at.push(Number(m.vcpus[0]!.rip));
    expect(m.now() - before).toBe(1000 / MHZ);
  }
  expect(at).toEqual([0x7c03, 0x7c04, 0x7c05, 0x7c03, 0x7c04]);
  // on from there: the breakpoint comes next after three more instructions
  expect(m.runUntil(1_000_000).breakpoint).toBe(0);
  expect([Number(m.vcpus[0]!.rip), m.instructions]).toEqual([0x7c03, 7]);
  while (!m.vcpus[0]!.halted) m.step(0);
  expect(m.step(0)).toBe(false);
  expect(m.stateOf(0)).toBe('halted');
});
