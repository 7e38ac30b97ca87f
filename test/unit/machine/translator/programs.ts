// Random programs of the instructions that are translated, as machine code. RSP changes only by PUSH and POP.

import { DATA } from './two-tiers.ts';

/** Numbers that look random and are the same each time (xorshift32). */
export class Random {
  #x: number;
  constructor(seed: number) {
    this.#x = seed | 1;
    for (let n = 0; n < 8; n++) this.word();
  }
  word(): number {
    this.#x ^= this.#x << 13;
    this.#x ^= this.#x >>> 17;
    this.#x ^= this.#x << 5;
    return this.#x >>> 0;
  }
  below(n: number): number {
    return this.word() % n;
  }
  once(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  bytes(n: number): number[] {
    return Array.from({ length: n }, () => this.below(256));
  }
}
const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];

export interface Program {
  code: number[];
  /** Data pages it names, each by one instruction. */
  pages: number;
}

interface Form {
  opcode: number[];
  /** ModRM.reg; absent = a register. */
  digit?: number;
  byte?: boolean;
  imm?: 0 | 1 | 'z';
  /** The ModRM operand may be in memory. */
  memory?: boolean;
}
const ALU = [0, 1, 2, 3, 4, 5, 6, 7];

function form(r: Random): Form {
  const n = r.pick(ALU);
  const byte = r.once(3);
  const w = byte ? 0 : 1;
  const cc = r.below(16);
  switch (r.below(14)) {
    case 0:
    case 1:
      return { opcode: [n * 8 + w], byte, memory: true };
    case 2:
    case 3:
      return { opcode: [n * 8 + 2 + w], byte, memory: true };
    case 4:
      return { opcode: [0x80 + w], digit: n, byte, imm: byte ? 1 : 'z', memory: true };
    case 5:
      return { opcode: [0x83], digit: n, imm: 1, memory: true };
    case 6:
      return { opcode: [0x88 + r.pick([0, 2]) + w], byte, memory: true };
    case 7:
      return { opcode: [0x0f, r.pick([0xb6, 0xb7, 0xbe, 0xbf])], byte: true, memory: true };
    case 8:
      return { opcode: [0xc0 + w], digit: r.pick([4, 5, 7]), byte, imm: 1, memory: r.once(2) };
    case 9:
      return { opcode: [r.pick([0xd0, 0xd2]) + w], digit: r.pick([4, 5, 7]), byte };
    case 10:
      return { opcode: [0xfe + w], digit: r.below(2), byte, memory: true };
    case 11:
      return r.once(2)
        ? { opcode: [0xf6 + w], digit: r.pick([2, 3]), byte, memory: true }
        : { opcode: [r.pick([0x84, 0x86]) + w], byte };
    case 12:
      return { opcode: [0x0f, 0x90 + cc], digit: 0, byte: true, memory: true };
    default:
      return { opcode: [0x0f, 0x40 + cc], memory: true };
  }
}

/** One instruction. `page`: the data page its memory operand names, or null for a register operand. */
function encode(r: Random, mode: 32 | 64, x: Form, page: number | null): number[] {
  const out: number[] = [];
  const osz16 = r.once(6);
  if (osz16) out.push(0x66);
  let rex = 0;
  if (mode === 64 && r.once(2)) rex = 0x40 | (r.once(2) ? 8 : 0) | r.below(2) | (r.below(2) << 2);
  if (rex) out.push(rex);
  // register 4 is RSP, or SPL with REX in byte forms; with REX.R or REX.B it is R12
  const register = (extended: boolean): number => {
    const n = r.below(8);
    return n === 4 && !extended && (!x.byte || rex !== 0 || x.opcode[0] === 0x0f) ? 3 : n;
  };
  const reg = x.digit ?? register((rex & 4) !== 0);
  const wide = (rex & 8) !== 0;
  out.push(...x.opcode);
  if (page === null) out.push(0xc0 | (reg << 3) | register((rex & 1) !== 0));
  else {
    const address = word32(DATA + page * 4096 + (r.once(4) ? 4096 - r.below(9) : r.below(4090)));
    if (mode === 32) out.push((reg << 3) | 5, ...address);
    else out.push((reg << 3) | 4, 0x25, ...address);
  }
  if (x.imm === 1) out.push(r.below(256));
  if (x.imm === 'z') out.push(...r.bytes(osz16 && !wide ? 2 : 4));
  return out;
}

function other(r: Random, mode: 32 | 64): number[] {
  const register = r.pick([0, 1, 2, 3, 5, 6, 7]);
  const rex = mode === 64 && r.once(2) ? [0x48 | r.below(2)] : [];
  switch (r.below(6)) {
    case 0: // LEA register, [base + index * scale + disp8]
      return [...rex, 0x8d, 0x44 | (register << 3), r.below(256), r.below(256)];
    case 1: // MOV register, imm
      return rex.length ? [...rex, 0xb8 | register, ...r.bytes(8)] : [0xb8 | register, ...r.bytes(4)];
    case 2:
      return [0x50 | register];
    case 3:
      return [0x58 | register];
    case 4: // INC and DEC in one byte
      return mode === 32
        ? [r.pick([0x40, 0x48]) | register]
        : [...rex, 0x63, 0xc0 | (register << 3) | r.pick([0, 1, 7])];
    default:
      return r.pick([[0x90], [0x98], [0x99], [0x0f, 0xc8 | register]]);
  }
}

/** `count` instructions, some with memory operands in a page of their own, some (unless `branches` is false) branches that leave. */
export function straightLine(r: Random, mode: 32 | 64, count: number, pageLimit: number, branches = true): Program {
  const code: number[] = [];
  let pages = 0;
  for (let n = 0; n < count; n++) {
    if (r.once(4)) code.push(...other(r, mode));
    else if (branches && r.once(10)) code.push(0x70 | r.below(16), 0x70);
    else {
      const x = form(r);
      const memory = x.memory && pages < pageLimit && r.once(3);
      code.push(...encode(r, mode, x, memory ? pages++ : null));
    }
  }
  return { code, pages };
}

/** A loop around straight-line code: it goes on while a random condition holds, and on again by an unconditional jump. */
export function loop(r: Random, mode: 32 | 64, count: number, pageLimit: number): Program {
  const { code, pages } = straightLine(r, mode, count, pageLimit);
  const back = (length: number): number[] => word32(-(code.length + length));
  code.push(0x0f, 0x80 | r.below(16), ...back(6));
  if (r.once(2)) code.push(0x0f, 0x80 | r.below(16), ...back(6));
  else if (r.once(2)) code.push(0xe9, ...back(5));
  return { code, pages };
}
