// What an instruction declaration is, and how its encodings are read.
// Encoding notation: bytes in hex, `/r` or `/digit` for ModRM, `/C0+` for a ModRM byte whose low three bits vary, `/C8` for one exact ModRM byte,
// `50+` for an opcode whose low three bits name a register; mandatory prefixes NP 66 F3 F2 come first; then operands as in
// SDM volume 2, appendix A.2 (Eb, Gv, Iz, Jb, M, Vx, Wq ...), separated by commas.

import type { ModuleBuilder } from '../wasm/module.ts';
import type { Semantics } from './semantics.ts';

export type Size = 8 | 16 | 32 | 64;

/** Where an operand is found. Letters of SDM vol. 2 A.2.1; Z = register in the opcode, fixed registers by name. */
export type OperandKind =
  | 'E' // general register or memory, ModRM.rm
  | 'G' // general register, ModRM.reg
  | 'Z' // general register in the opcode's low bits
  | 'A' // accumulator (AL, AX, EAX, RAX)
  | 'M' // memory only
  | 'R' // general register only, ModRM.rm
  | 'I' // immediate
  | 'J' // relative branch
  | 'O' // memory at an immediate offset
  | 'P' // far pointer immediate
  | 'V' // XMM register, ModRM.reg
  | 'W' // XMM register or memory
  | 'U' // XMM register only, ModRM.rm
  | 'N' // MMX register, ModRM.reg   (SDM: P)
  | 'Q' // MMX register or memory
  | 'S' // segment register, ModRM.reg
  | 'C' // control register
  | 'D' // debug register
  | 'CL'
  | 'DX'
  | '1'
  | 'X'; // implied string operand: only its size matters

export interface Operand {
  kind: OperandKind;
  /** Bits; 'v' = operand size, 'z' = operand size but at most 32 bits, 'y' = 64 in 64-bit operand size, else 32; 'x' = 128; '0' = none. */
  size: 8 | 16 | 32 | 64 | 80 | 128 | 'v' | 'z' | 'y' | 0;
}

export interface Encoding {
  /** 0 one-byte, 1 0F, 2 0F38, 3 0F3A */
  map: 0 | 1 | 2 | 3;
  opcode: number;
  /** Register in the low three bits of the opcode. */
  plusRegister: boolean;
  /** Mandatory prefix columns this row fills: 0 none, 1 66, 2 F3, 3 F2. */
  prefixes: number[];
  modrm: boolean;
  /** /digit, or undefined. */
  digit?: number;
  /** Exact ModRM bytes (first and last). */
  modrmBytes?: [number, number];
  operands: Operand[];
  /** The text it was read from. */
  text: string;
}

export interface Options {
  /** Default operand size is 64 bits in 64-bit mode (push, pop, near branches). */
  d64?: boolean;
  /** Invalid in 64-bit mode. */
  i64?: boolean;
  /** Only in 64-bit mode. */
  o64?: boolean;
  /** LOCK is allowed with a memory destination. */
  lock?: boolean;
  /** Control does not simply go on behind it: a trace ends here. */
  end?: boolean;
  /** Common enough to live inside the interpreter's main loop. */
  hot?: boolean;
  /** Uses the stack segment. */
  stack?: boolean;
  /** The operand size matters though no operand says so. */
  sized?: boolean;
  /** Memory form keeps ModRM's register form out (mod = 3 is undefined), or the reverse, where operands do not say it. */
  memoryOnly?: boolean;
  registerOnly?: boolean;
}

export interface Instruction extends Options {
  name: string;
  /** The system routine that is its whole meaning. */
  routine?: string;
  /** Adds WebAssembly functions that the meaning calls; called once per module. */
  define?: (m: ModuleBuilder) => void;
  encodings: Encoding[];
  meaning: (s: Semantics) => void;
}

const PREFIX_COLUMN: Record<string, number> = { NP: 0, '66': 1, F3: 2, F2: 3 };
const SIZES: Record<string, Operand['size']> = {
  b: 8,
  w: 16,
  d: 32,
  q: 64,
  t: 80,
  x: 128,
  v: 'v',
  z: 'z',
  y: 'y',
  '': 0,
};

function readOperand(text: string): Operand {
  switch (text) {
    case 'AL':
      return { kind: 'A', size: 8 };
    case 'rAX':
      return { kind: 'A', size: 'v' };
    case 'CL':
      return { kind: 'CL', size: 8 };
    case 'DX':
      return { kind: 'DX', size: 16 };
    case '1':
      return { kind: '1', size: 8 };
  }
  const size = SIZES[text.slice(1)];
  if (size === undefined) throw new Error(`isa: operand ${text}`);
  return { kind: text[0] as OperandKind, size };
}

/** Reads one encoding; throws on a row that is not in the notation (our own mistake, found at start-up). */
export function readEncoding(text: string): Encoding {
  const words = text.trim().split(/\s+/);
  let prefixes = [0, 1, 2, 3];
  let at = 0;
  const first = PREFIX_COLUMN[words[0]!];
  if (first !== undefined) {
    prefixes = [first];
    at++;
  }
  let map: Encoding['map'] = 0;
  if (words[at] === '0F' && /^[0-9A-F]{2}\+?$/.test(words[at + 1] ?? '')) {
    map = 1;
    at++;
    if (words[at] === '38' && /^[0-9A-F]{2}$/.test(words[at + 1] ?? '')) {
      map = 2;
      at++;
    } else if (words[at] === '3A' && /^[0-9A-F]{2}$/.test(words[at + 1] ?? '')) {
      map = 3;
      at++;
    }
  }
  const opcodeWord = words[at++]!;
  const encoding: Encoding = {
    map,
    opcode: parseInt(opcodeWord, 16),
    plusRegister: opcodeWord.endsWith('+'),
    prefixes,
    modrm: false,
    operands: [],
    text,
  };
  if (words[at]?.startsWith('/')) {
    const m = words[at++]!.slice(1);
    encoding.modrm = true;
    if (m === 'r') {
      /* any */
    } else if (/^[0-7]$/.test(m)) encoding.digit = Number(m);
    else {
      const byte = parseInt(m, 16);
      encoding.modrmBytes = [byte, m.endsWith('+') ? byte + 7 : byte];
    }
  }
  if (words[at]) encoding.operands = words[at]!.split(',').map(readOperand);
  return encoding;
}

/** Declares an instruction. */
export function instruction(
  name: string,
  encodings: string[],
  options: Options,
  meaning: (s: Semantics) => void,
): Instruction {
  return { name, encodings: encodings.map(readEncoding), meaning, ...options };
}
