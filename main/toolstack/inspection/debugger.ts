// The debugger of a host: vCPUs with their registers, disassembly, memory, stack, single steps and breakpoints.
// Invariant: only a step moves a guest, and only while its domain is paused; nothing here can be seen from inside it.

import { BulkheadError } from '../../../shared/errors.ts';
import type { DisassembledInstruction, StackEntry, VcpuReport } from '../../../shared/inspection-service.ts';
import { GPR, Seg } from '../../machine/cpu/layout.ts';
import type { Vcpu } from '../../machine/cpu/vcpu.ts';
import { disassemble } from '../../machine/isa/disassemble.ts';
import type { InspectionCalls } from './calls.ts';
import type { DebugTarget, DebugVcpu } from './debug-target.ts';
import { linearToPhysical, readBytes } from './linear-memory.ts';
import { codeWidth, registerValues } from './registers.ts';
import type { Symbols } from './symbols.ts';

/** Longest instruction (SDM vol. 2, 2.3.11). */
const LONGEST = 15;
const MAX_BREAKPOINTS = 64;
const RSP = GPR + 4 * 8;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Linear address of a register that is relative to a segment, in the width of the code. */
function linear(cpu: Vcpu, segment: number, offset: bigint): bigint {
  return codeWidth(cpu) === 64 ? offset : BigInt.asUintN(32, cpu.segment(segment).base + offset);
}

export class Debugger {
  readonly #target: DebugTarget;
  readonly #symbols: Symbols | null;

  constructor(target: DebugTarget, symbols: Symbols | null) {
    this.#target = target;
    this.#symbols = symbols;
  }

  vcpus(): VcpuReport[] {
    return this.#target.vcpus().map((_, n) => this.#report(n));
  }

  #report(n: number): VcpuReport {
    const v = this.#vcpu(n);
    return {
      vcpu: n,
      state: v.state,
      mode: v.mode,
      rip: hex(linear(v.machine, Seg.CS, v.machine.rip)),
      instructions: v.instructions,
      registers: registerValues(v.machine, v.debug),
    };
  }

  #vcpu(n: number): DebugVcpu {
    const v = this.#target.vcpus()[n];
    if (!v)
      throw new BulkheadError({
        code: 'not-found',
        what: `${this.#target.name} has no vCPU ${n}.`,
        why: `It has ${this.#target.vcpus().length}.`,
        action: 'Choose another one.',
        field: 'vcpu',
      });
    return v;
  }

  #bytes(cpu: Vcpu, address: bigint, count: number, space: 'linear' | 'physical'): (number | null)[] {
    const { mem, table, physical } = this.#target;
    const locate =
      space === 'physical'
        ? (at: bigint) => (at < 1n << 52n ? physical(Number(at)) : -1)
        : (at: bigint) => {
            const found = linearToPhysical(cpu, mem, table, at);
            return found < 0 ? -1 : table(found);
          };
    return readBytes(mem, locate, address, count, space === 'linear' && codeWidth(cpu) !== 64 ? 32 : 64);
  }

  memory({ vcpu, address, bytes, space }: InspectionCalls['readMemory']['args']): (number | null)[] {
    return this.#bytes(this.#vcpu(vcpu).machine, BigInt(address), bytes, space);
  }

  /** @throws BulkheadError not-possible-now when nothing is mapped there */
  disassemble({ vcpu, address, count }: InspectionCalls['disassemble']['args']): DisassembledInstruction[] {
    const cpu = this.#vcpu(vcpu).machine;
    const width = codeWidth(cpu);
    const current = linear(cpu, Seg.CS, cpu.rip);
    const from = address === null ? current : BigInt(address);
    const read = this.#bytes(cpu, from, count * LONGEST, 'linear');
    const end = read.indexOf(null);
    const code = Uint8Array.from((end < 0 ? read : read.slice(0, end)) as number[]);
    if (code.length === 0)
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `There is no code at ${hex(from)}.`,
        why: 'No page is mapped there.',
        action: 'Choose another address.',
        field: 'address',
      });
    const breakpoints = new Set(this.#target.breakpoints.list());
    const lines: DisassembledInstruction[] = [];
    for (let at = 0; at < code.length && lines.length < count;) {
      const here = BigInt.asUintN(width === 64 ? 64 : 32, from + BigInt(at));
      const instruction = disassemble(code, at, width, here);
      if (!instruction) break;
      lines.push({
        address: hex(here),
        bytes: Buffer.from(code.subarray(at, at + instruction.length)).toString('hex'),
        text: instruction.text,
        symbol: this.#symbols?.at(here) ?? null,
        breakpoint: breakpoints.has(here),
        current: here === current,
      });
      at += instruction.length;
    }
    return lines;
  }

  /** Words from the top of the stack on, as far as it is mapped. */
  stack({ vcpu, entries }: InspectionCalls['stack']['args']): StackEntry[] {
    const cpu = this.#vcpu(vcpu).machine;
    const size = codeWidth(cpu) / 8;
    const pointer = cpu.get64(RSP);
    const top = linear(cpu, Seg.SS, size === 8 ? pointer : pointer & (size === 2 ? 0xffffn : 0xffff_ffffn));
    const bytes = this.#bytes(cpu, top, entries * size, 'linear');
    const words: StackEntry[] = [];
    for (let n = 0; n < entries; n++) {
      const word = bytes.slice(n * size, (n + 1) * size);
      if (word.includes(null)) break;
      const value = word.reduceRight((sum, b) => (sum << 8n) | BigInt(b!), 0n as bigint);
      words.push({
        address: hex(top + BigInt(n * size)),
        value: `0x${value.toString(16).padStart(size * 2, '0')}`,
        symbol: this.#symbols?.at(value) ?? null,
      });
    }
    return words;
  }

  /** @throws BulkheadError not-possible-now while the domain runs, and when the vCPU waits */
  step(vcpu: number): { report: VcpuReport; ns: number } {
    const v = this.#vcpu(vcpu);
    const refused = (why: string, action: string): BulkheadError =>
      new BulkheadError({
        code: 'not-possible-now',
        what: `vCPU ${vcpu} of ${this.#target.name} was not stepped.`,
        why,
        action,
      });
    if (!this.#target.paused) throw refused('Its domain runs.', 'Pause the domain first.');
    const ns = this.#target.step(vcpu);
    if (ns === null)
      throw refused(
        v.state === 'offline' ? 'It is offline.' : 'It waits for an event.',
        'Let the domain run until something wakes it.',
      );
    return { report: this.#report(vcpu), ns };
  }

  breakpoints(): string[] {
    return this.#target.breakpoints.list().map(hex);
  }

  /** @throws BulkheadError not-possible-now when there are 64 */
  setBreakpoint(text: string, on: boolean): void {
    const { breakpoints } = this.#target;
    const address = BigInt(text);
    if (!on) {
      if (!breakpoints.delete(address)) return;
    } else if (breakpoints.size >= MAX_BREAKPOINTS && !breakpoints.list().includes(address))
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `No breakpoint was set at ${hex(address)}.`,
        why: `${this.#target.name} has ${MAX_BREAKPOINTS} breakpoints, and that is the limit.`,
        action: 'Remove one first.',
        field: 'address',
      });
    else breakpoints.add(address);
    this.#target.breakpointsChanged();
  }
}
