// Lockstep: the same machine twice, one interpreted, one translated, run side by side; the first instruction after which they differ, in words.
// Invariant: it trusts neither side, and needs nothing of a machine but that it runs the same way from the same start every time.

import { disassemble, type CodeSize } from '../../isa/disassemble.ts';
import type { VcpuState } from '../vcpu.ts';

export type TierName = 'interpreter' | 'translator';

/** A machine as lockstep sees it. Time is whatever it counts (instructions, ns); it starts at 0. */
export interface LockstepMachine {
  /** Runs up to a time; false if it has stopped for good. */
  runUntil(time: number): boolean;
  /** All that counts: the state of each vCPU, all memory, and whatever else must agree (retired instructions, output), as text. */
  vcpus(): VcpuState[];
  ram(): Uint8Array;
  other(): string;
  /** Bytes at the instruction pointer of the vCPU that runs, for the report; null if they are not to be had. */
  code(): { bytes: Uint8Array; size: CodeSize } | null;
}

export interface LockstepDifference {
  /** The two agreed at `agreed` and differed at `differed`. */
  readonly agreed: number;
  readonly differed: number;
  readonly report: string;
}

/** The first difference of two machines in words, or null. */
export function compareMachines(a: LockstepMachine, b: LockstepMachine): string | null {
  const x = a.vcpus();
  const y = b.vcpus();
  for (const [n, v] of x.entries()) {
    const w = y[n]!;
    for (const [k, r] of v.registers.entries())
      if (r !== w.registers[k]) return `vCPU ${n}, register ${k}: ${hex(r)} and ${hex(w.registers[k]!)}`;
    if (v.rip !== w.rip) return `vCPU ${n}, instruction pointer: ${hex(v.rip)} and ${hex(w.rip)}`;
    if (v.rflags !== w.rflags) return `vCPU ${n}, flags: ${v.rflags.toString(16)} and ${w.rflags.toString(16)}`;
    for (const key of Object.keys(v) as (keyof VcpuState)[]) {
      if (text(v[key]) === text(w[key])) continue;
      const [p, q] = [text(v[key]), text(w[key])];
      const at = [...p].findIndex((c, i) => c !== q[i]);
      return `vCPU ${n}, ${key}: ...${p.slice(Math.max(0, at - 40), at + 30)}... and ...${q.slice(Math.max(0, at - 40), at + 30)}...`;
    }
  }
  const [m, n] = [a.ram(), b.ram()];
  if (Buffer.compare(m, n) !== 0) {
    const at = m.findIndex((v, i) => v !== n[i]);
    return `memory at ${at.toString(16)}: ${m[at]!.toString(16)} and ${n[at]!.toString(16)}`;
  }
  return a.other() === b.other() ? null : `${a.other()} and ${b.other()}`;
}
const hex = (v: bigint): string => v.toString(16);
const text = (v: unknown): string =>
  JSON.stringify(v, (_, x: unknown) => (typeof x === 'bigint' ? x.toString(16) : x)) ?? '';

/**
 * Runs the two side by side up to `end`, comparing every `step`. After a difference the first moment that shows it is found by halving: both are
 * made anew, run to where they last agreed and from there in one go, since shorter runs might not show it.
 * @param make builds the machine at time 0
 */
export function lockstep(
  make: (tier: TierName) => LockstepMachine,
  end: number,
  step: number,
): LockstepDifference | null {
  const advance = (
    a: LockstepMachine,
    b: LockstepMachine,
    to: number,
  ): { difference: string | null; goesOn: boolean } => {
    const goesOn = a.runUntil(to);
    const also = b.runUntil(to);
    if (goesOn === also) return { difference: compareMachines(a, b), goesOn };
    return { difference: `${goesOn ? 'running' : 'stopped'} and ${also ? 'running' : 'stopped'}`, goesOn: false };
  };
  const first = make('interpreter');
  const second = make('translator');
  for (let agreed = 0; agreed < end;) {
    const to = Math.min(end, agreed + step);
    const { difference, goesOn } = advance(first, second, to);
    if (difference !== null) return firstDifference(agreed, to, difference);
    if (!goesOn) return null;
    agreed = to;
  }
  return null;

  function firstDifference(start: number, to: number, seen: string): LockstepDifference {
    let [agreed, differed, report] = [start, to, seen];
    while (differed - agreed > 1) {
      const middle = Math.floor((agreed + differed) / 2);
      const [a, b] = [make('interpreter'), make('translator')];
      for (const m of [a, b]) m.runUntil(start);
      const { difference } = advance(a, b, middle);
      if (difference === null) agreed = middle;
      else [differed, report] = [middle, difference];
    }
    const a = make('interpreter');
    a.runUntil(agreed);
    return {
      agreed,
      differed,
      report: `after ${agreed}, at "${describePlace(a)}", interpreted and translated: ${report}`,
    };
  }
}

function describePlace(m: LockstepMachine): string {
  const code = m.code();
  return (code && disassemble(code.bytes, 0, code.size)?.text) ?? 'an address that cannot be read';
}
