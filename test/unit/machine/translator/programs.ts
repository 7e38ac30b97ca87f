// Random programs of the instructions that are translated, as machine code. RSP changes only by PUSH and POP.

import { DATA, DATA_PAGES } from './two-tiers.ts';

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

/** Puts a data address into a register: MOV register, imm32. */
const point = (r: Random, register: number): number[] => [
  0xb8 | register,
  ...word32(DATA + r.below(DATA_PAGES * 4096 - 64)),
];

/** What `form` and `other` leave out: several instructions where one needs an address. */
function special(r: Random, mode: 32 | 64): number[] {
  const wide = mode === 64 && r.once(2) ? [0x48] : [];
  const registers = 0xc0 | (r.pick([0, 1, 2, 3, 5, 6, 7]) << 3) | r.pick([0, 1, 2, 3, 5, 6, 7]);
  const memory = (modrm = r.below(8) << 3): number[] => (mode === 32 ? [modrm | 5] : [modrm | 4, 0x25]);
  const address = word32(DATA + r.below(DATA_PAGES * 4096 - 80));
  const xmm = 0xc0 | r.below(64);
  switch (r.below(20)) {
    case 0: // ROL ROR RCL RCR by immediate, 1 or CL
      return r.pick([
        [...wide, 0xc1, 0xc0 | (r.below(4) << 3) | r.below(4), r.below(256)],
        [...wide, r.pick([0xd1, 0xd3]), 0xc0 | (r.below(4) << 3) | r.below(4)],
        [r.pick([0xd0, 0xd2]), 0xc0 | (r.below(4) << 3) | r.below(4)],
      ]);
    case 1: // BT BTS BTR BTC by register or immediate
      return r.pick([
        [...wide, 0x0f, r.pick([0xa3, 0xab, 0xb3, 0xbb]), registers],
        [...wide, 0x0f, 0xba, 0xe0 | (r.below(4) << 3) | r.below(4), r.below(256)],
      ]);
    case 2: // SHLD SHRD
      return r.once(2)
        ? [...wide, 0x0f, r.pick([0xa4, 0xac]), registers, r.below(256)]
        : [...wide, 0x0f, r.pick([0xa5, 0xad]), registers];
    case 3: // MUL IMUL, DIV IDIV (which may fault)
      return [...wide, 0xf7, 0xc0 | (r.pick([4, 5, 4, 5, 6, 7]) << 3) | r.pick([1, 3, 6])];
    case 4:
      return r.once(2) ? [...wide, 0x0f, 0xaf, registers] : [...wide, 0x6b, registers, r.below(256)];
    case 5: // CMPXCHG, XADD
      return [...wide, 0x0f, r.pick([0xb0, 0xb1, 0xc0, 0xc1]), registers];
    case 6: // BSF BSR POPCNT
      return r.pick([
        [...wide, 0x0f, r.pick([0xbc, 0xbd]), registers],
        [0xf3, ...wide, 0x0f, 0xb8, registers],
      ]);
    case 7: // LAHF SAHF CLC STC CMC CLD STD
      return [r.pick([0x9f, 0x9e, 0xf8, 0xf9, 0xf5, 0xfc, 0xfd])];
    case 8: // PUSHF POPF, CLI, STI, RDTSC
      return r.pick([[0x9c, 0x9d], [0x9c], [0xfa], [0xfb], [0x0f, 0x31]]);
    case 9: // LODS STOS MOVS SCAS CMPS, one element
      return [
        ...point(r, 6),
        ...point(r, 7),
        ...wide,
        r.pick([0xac, 0xad, 0xaa, 0xab, 0xa4, 0xa5, 0xae, 0xaf, 0xa6, 0xa7]),
      ];
    case 10: // REP MOVS, REP STOS, REPNE SCAS
      return [
        ...[...point(r, 6), ...point(r, 7), 0xb9, r.below(40), 0, 0, 0],
        ...r.pick([
          [0xf3, 0xa4],
          [0xf3, 0xab],
          [0xf2, 0xae],
          [0xf3, 0xa6],
        ]),
      ];
    case 11: // MOV r, FS:[..], ADD FS:[..], r
      return [r.pick([0x64, 0x65]), ...wide, r.pick([0x8b, 0x01]), ...memory(), ...address];
    case 12: // CMPXCHG and XADD in memory, XCHG
      return [...wide, ...r.pick([[0x0f, 0xb1], [0x0f, 0xc1], [0x87]]), ...memory(), ...address];
    case 13: // BTS memory, register: the register reaches beyond the operand, so it is made small
      return [0x83, 0xe0, 31, 0x0f, r.pick([0xa3, 0xab]), ...memory(0), ...address];
    case 14: // MOVDQU, PADDD, PXOR, PMULUDQ, PSHUFD, MOVD
      return r.pick([
        [0xf3, 0x0f, r.pick([0x6f, 0x7f]), ...memory(), ...address],
        [0x66, 0x0f, r.pick([0xfe, 0xef, 0xf4, 0x60, 0x74]), xmm],
        [0x66, 0x0f, 0x70, xmm, r.below(256)],
        [0x66, ...wide, 0x0f, r.pick([0x6e, 0x7e]), 0xc0 | (r.below(8) << 3) | r.below(4)],
      ]);
    case 15: // CVTSI2SD, ADDSD, MULSD, COMISD, CVTTSD2SI
      return r.pick([
        [0xf2, 0x0f, 0x2a, 0xc0 | (r.below(8) << 3) | r.below(4)],
        [0xf2, 0x0f, r.pick([0x58, 0x59, 0x5c, 0x5e, 0x51]), xmm],
        [0x66, 0x0f, 0x2f, xmm],
        [0xf2, 0x0f, 0x2c, 0xc0 | (r.below(3) << 3) | r.below(8)],
      ]);
    case 16: // FNINIT, FILD, then FADD, FMUL, FSTP; or FTST, FLDCW for truncation and back, FNSTCW, FIST, FNSTSW, FCOMPP
      if (r.once(2)) {
        const control = (word: number): number[] => [
          ...[0x66, 0xc7, ...memory(0), ...address, word & 255, word >> 8, 0xd9, ...memory(0x28), ...address],
        ];
        return [
          ...[0xdb, 0xe3, 0xdb, ...memory(0), ...address, 0xdb, ...memory(0), ...address],
          ...[0xd9, 0xe4, 0xdf, 0xe0, ...control(r.pick([0xf7f, 0xf40, 0x37f])), 0xd9, ...memory(0x38), ...address],
          ...[
            0xdb,
            ...memory(0x10),
            ...address,
            ...control(0x37f),
            ...r.pick([
              [0xde, 0xd9],
              [0xda, 0xe9],
            ]),
          ],
          ...[0xdd, ...memory(0x38), ...address, 0xdf, 0xe0],
        ];
      }
      return [
        ...[0xdb, 0xe3, 0xdb, ...memory(0), ...address, 0xdb, ...memory(0), ...address],
        ...[r.pick([0xde, 0xd8]), r.pick([0xc1, 0xc9]), 0xdd, ...memory(0x18), ...address],
      ];
    case 17: // LOOP and JECXZ over an instruction
      return [r.pick([0xe0, 0xe1, 0xe2, 0xe3]), 2, 0xb0, r.below(256)];
    case 18: // CALL over the next bytes to a RET, and back
      return [0xe8, 2, 0, 0, 0, 0xeb, 3, 0xff, 0xc0, 0xc3];
    default: // a forward branch into two arms
      return [0x70 | r.below(16), 4, 0xff, 0xc0, 0xeb, 3, 0x83, 0xf0, r.below(128)];
  }
}

/**
 * `count` instructions (and, with `extra`, the less common ones), some with memory operands in a page of their own, some (unless `branches` is
 * false) branches that leave.
 */
export function straightLine(
  r: Random,
  mode: 32 | 64,
  count: number,
  pageLimit: number,
  branches = true,
  extra = false,
): Program {
  const code: number[] = [];
  let pages = 0;
  for (let n = 0; n < count; n++) {
    if (extra && r.once(2)) code.push(...special(r, mode));
    else if (r.once(4)) code.push(...other(r, mode));
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
export function loop(r: Random, mode: 32 | 64, count: number, pageLimit: number, extra = false): Program {
  const { code, pages } = straightLine(r, mode, count, pageLimit, !extra, extra);
  const back = (length: number): number[] => word32(-(code.length + length));
  code.push(0x0f, 0x80 | r.below(16), ...back(6));
  if (r.once(2)) code.push(0x0f, 0x80 | r.below(16), ...back(6));
  else if (r.once(2)) code.push(0xe9, ...back(5));
  return { code, pages };
}
