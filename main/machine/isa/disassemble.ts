// The disassembler: bytes to text in Intel syntax, from the same table as the decoder and with the same lengths.
// Invariant: an instruction's length is what the decoder of the CPU core finds, also for what it calls undefined; nothing is executed or changed.

import type { Encoding, Instruction, Operand } from './instruction.ts';
import { INSTRUCTIONS } from './table.ts';

export type CodeSize = 16 | 32 | 64;

export interface Disassembly {
  /** Bytes, prefixes included. */
  length: number;
  /** Mnemonic without prefixes; `(bad)` for an undefined code. */
  name: string;
  operands: string[];
  /** Prefixes that mean something here, mnemonic and operands. */
  text: string;
}

interface Row {
  instruction: Instruction;
  encoding: Encoding;
}

const index = new Map<number, Row[]>();
const rootOf = (map: number, opcode: number, column: number): number => ((map << 8) | opcode) * 4 + column;
for (const instruction of INSTRUCTIONS)
  for (const encoding of instruction.encodings) {
    const { map, opcode, plusRegister } = encoding;
    const last = plusRegister ? opcode | 7 : opcode;
    for (let o = opcode; o <= last; o++)
      for (const column of encoding.prefixes) {
        const key = rootOf(map, o, column);
        const rows = index.get(key);
        if (rows) rows.push({ instruction, encoding });
        else index.set(key, [{ instruction, encoding }]);
      }
  }

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const ADDRESS16 = ['bx+si', 'bx+di', 'bp+si', 'bp+di', 'si', 'di', 'bp', 'bx'];
const POINTER: Record<number, string> = {
  8: 'BYTE PTR ',
  16: 'WORD PTR ',
  32: 'DWORD PTR ',
  64: 'QWORD PTR ',
  80: 'TBYTE PTR ',
  128: 'XMMWORD PTR ',
};
const STRING_SUFFIX: Record<number, string> = { 8: 'b', 16: 'w', 32: 'd', 64: 'q' };
const STRINGS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas', 'ins', 'outs']);
/** Names that follow the operand size: 16, 32, 64 bits. */
const SIZED: Record<string, readonly [string, string, string]> = {
  cbw: ['cbw', 'cwde', 'cdqe'],
  cwd: ['cwd', 'cdq', 'cqo'],
  iret: ['iretw', 'iretd', 'iretq'],
  pusha: ['pushaw', 'pushad', 'pushad'],
  popa: ['popaw', 'popad', 'popad'],
  pushf: ['pushfw', 'pushfd', 'pushfq'],
  popf: ['popfw', 'popfd', 'popfq'],
  cmpxchg8b: ['cmpxchg8b', 'cmpxchg8b', 'cmpxchg16b'],
};
/** Near branches ignore the operand-size prefix in 64-bit mode (SDM vol. 1, 6.3.7). */
const NEAR = new Set(['jmp', 'call', 'ret']);
/** Rows that push or pop the segment register in bits 3 to 5 of their opcode. */
const SEGMENT_STACK = /^(0F )?(0[67E]|1[67EF]|A[089])$/;

function register(n: number, bits: number, rex: boolean): string {
  if (n >= 8) return `r${n}${{ 8: 'b', 16: 'w', 32: 'd' }[bits] ?? ''}`;
  if (bits === 8) return rex && n >= 4 ? `${WORDS[n]!}l` : BYTES[n]!;
  return `${{ 16: '', 32: 'e' }[bits] ?? 'r'}${WORDS[n]!}`;
}
const hex = (v: bigint): string => `0x${v.toString(16)}`;
const signed = (v: bigint): string => (v < 0n ? `-${hex(-v)}` : `+${hex(v)}`);

/** The row that a ModRM byte selects, as the decoder's groups do. `modrm` is -1 behind the end of the bytes. */
function choose(rows: readonly Row[], modrm: number): Row | undefined {
  if (rows.every(({ encoding: e }) => e.digit === undefined && !e.modrmBytes)) return rows[0];
  const exact = rows.find(({ encoding: { modrmBytes: m } }) => m && modrm >= m[0] && modrm <= m[1]);
  if (exact) return exact;
  return rows.find(({ encoding: e }) => {
    if (e.digit === undefined || e.digit !== ((modrm >> 3) & 7)) return false;
    const kinds = e.operands.map((o) => o.kind);
    if (modrm >= 0xc0) return !kinds.includes('M');
    return kinds.some((k) => 'EWQM'.includes(k)) || !kinds.some((k) => 'RUCD'.includes(k));
  });
}

/**
 * Disassembles the instruction at bytes[at].
 * @param address linear address of that byte: branch targets and RIP-relative operands are shown as addresses
 * @returns null if the instruction does not end within `bytes`
 */
export function disassemble(bytes: Uint8Array, at: number, size: CodeSize, address = 0n): Disassembly | null {
  let p = at;
  const long = size === 64;
  const byte = (): number => bytes[p++] ?? 0;
  const unsigned = (n: number): bigint => {
    let v = 0n;
    for (let k = 0; k < n; k++) v |= BigInt(byte()) << BigInt(8 * k);
    return v;
  };
  const integer = (n: number): bigint => BigInt.asIntN(8 * n, unsigned(n));

  // Prefixes
  let segment = -1;
  let opSize = false;
  let addrSize = false;
  let column = 0;
  let lock = false;
  let rex = 0;
  let b = byte();
  for (let n = 0; n < 15; n++, b = byte()) {
    if (long && (b & 0xf0) === 0x40) {
      rex = b;
      continue;
    }
    if (b === 0x66) opSize = true;
    else if (b === 0x67) addrSize = true;
    else if (b === 0xf0) lock = true;
    else if (b === 0xf3) column = 2;
    else if (b === 0xf2) column = 3;
    else if ((b & 0xe7) === 0x26) segment = long ? segment : (b >> 3) & 3;
    else if (b === 0x64 || b === 0x65) segment = b & 7;
    else break;
    rex = 0;
  }
  let map = 0;
  if (b === 0x0f) {
    map = 1;
    b = byte();
    if (b === 0x38 || b === 0x3a) {
      map = b === 0x38 ? 2 : 3;
      b = byte();
    }
  }
  const finish = (name: string, operands: string[], prefix = ''): Disassembly | null => {
    if (p > bytes.length) return null;
    return {
      length: p - at,
      name,
      operands,
      text: `${prefix}${name}${operands.length ? ` ${operands.join(',')}` : ''}`,
    };
  };
  const exchange = map === 0 && b === 0x90 && (rex & 1) !== 0; // XCHG with R8
  const rows = (index.get(rootOf(map, exchange ? 0x91 : b, column || (opSize ? 1 : 0))) ?? []).filter(
    ({ instruction: i }) => !(long ? i.i64 : i.o64),
  );
  const row = rows.length ? choose(rows, bytes[p] ?? 0) : undefined;
  if (!row) return finish('(bad)', []);
  const { instruction: i, encoding: e } = row;
  const kinds = e.operands.map((o) => o.kind);
  const has = (kind: Operand['kind']): boolean => kinds.includes(kind);

  // Sizes
  const forced = long && (has('J') || NEAR.has(i.name));
  let osz: 16 | 32 | 64 = opSize !== (size === 16) ? 16 : 32;
  if (long) osz = rex & 8 || forced ? 64 : opSize ? 16 : i.d64 ? 64 : 32;
  const addressBits = long ? (addrSize ? 32 : 64) : addrSize !== (size === 16) ? 16 : 32;
  const bitsOf = (o: Operand): number => {
    if (o.size === 'v') return osz;
    if (o.size === 'z') return Math.min(osz, 32);
    if (o.size === 'y') return osz === 64 ? 64 : 32;
    return o.size;
  };

  // ModRM, SIB and displacement
  let modrm = 0;
  let inMemory = false;
  let location = '';
  let relative: bigint | null = null;
  if (e.modrm) {
    modrm = byte();
    inMemory = modrm < 0xc0 && !has('C') && !has('D');
    if (inMemory) {
      const mod = modrm >> 6;
      const rm = modrm & 7;
      const parts: string[] = [];
      let displacement = 0;
      if (addressBits === 16) {
        if (mod === 0 && rm === 6) displacement = 2;
        else parts.push(ADDRESS16[rm]!);
        if (mod) displacement = mod;
      } else {
        if (mod) displacement = mod === 1 ? 1 : 4;
        if (rm === 4) {
          const sib = byte();
          const x = ((sib >> 3) & 7) | ((rex & 2) << 2);
          if ((sib & 7) === 5 && mod === 0) displacement = 4;
          else parts.push(register((sib & 7) | ((rex & 1) << 3), addressBits, false));
          if (x !== 4) parts.push(`${register(x, addressBits, false)}*${1 << (sib >> 6)}`);
        } else if (rm === 5 && mod === 0) {
          displacement = 4;
          if (long) relative = 0n;
        } else parts.push(register(rm | ((rex & 1) << 3), addressBits, false));
      }
      const d = displacement ? integer(displacement) : 0n;
      if (relative !== null) relative = d;
      location = parts.join('+');
      if (location === '') location = hex(BigInt.asUintN(addressBits, d));
      else if (d !== 0n) location += signed(d);
    }
  }

  // Immediates
  const immediates: bigint[] = [];
  const word = (): number => (osz === 16 ? 2 : 4);
  let far = '';
  let target = 0n;
  for (const o of e.operands) {
    if (o.kind === 'O') location = hex(unsigned(addressBits / 8));
    else if (o.kind === 'P') {
      const offset = unsigned(word());
      far = `${hex(unsigned(2))}:${hex(offset)}`;
    } else if (o.kind === 'J') {
      const distance = integer(o.size === 8 ? 1 : long ? 4 : word());
      target = address + BigInt(p - at) + distance;
      target = BigInt.asUintN(long ? 64 : osz, target);
    } else if (o.kind === 'I') {
      const wide = o.size === 'v' && osz === 64 ? 8 : o.size === 8 ? 1 : o.size === 16 ? 2 : word();
      immediates.push(integer(wide));
    }
  }
  if (relative !== null) location = `rip${signed(relative)}`;

  // What the core calls undefined though its length is known
  const memoryOperand = kinds.some((k) => 'EMWQ'.includes(k));
  const exists =
    !e.modrm || e.modrmBytes ? true : inMemory ? memoryOperand && !i.registerOnly : !has('M') && !i.memoryOnly;
  const lockable = i.lock === true && inMemory && 'EM'.includes(kinds[0] ?? ' ');
  if (!exists || (lock && !lockable)) return finish('(bad)', []);

  const override = segment >= 0 ? `${SEGMENTS[segment]!}:` : '';
  const memory = (bits: number): string => `${POINTER[bits] ?? ''}${override}[${location}]`;
  const rm = (modrm & 7) | ((rex & 1) << 3);
  const reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  const first = e.operands[0];
  const width = first ? bitsOf(first) : 0;
  const operand = (o: Operand): string | null => {
    const bits = bitsOf(o);
    switch (o.kind) {
      case 'E':
      case 'R':
        return inMemory
          ? memory(bits)
          : register(rm, o.kind === 'R' && long && bits === 0 ? 64 : bits || 32, rex !== 0);
      case 'M':
        return memory(bits);
      case 'G':
        return register(reg, bits, rex !== 0);
      case 'Z':
        return register((b & 7) | ((rex & 1) << 3), bits, rex !== 0);
      case 'A':
        return register(0, bits, false);
      case 'I': {
        const v = immediates.shift()!;
        // only 83, 6A and 6B extend a byte (SDM vol. 2, Ib)
        const extended = o.size === 8 && !/^(83|6A|6B)/.test(e.text) ? 8 : i.d64 && o === first ? osz : width || bits;
        return hex(BigInt.asUintN(o.size === 16 ? 16 : extended, v));
      }
      case 'J':
        return hex(target);
      case 'O':
        return memory(bits);
      case 'P':
        return far;
      case 'V':
        return `xmm${reg}`;
      case 'W':
      case 'U':
        return inMemory ? memory(bits) : `xmm${rm}`;
      case 'N':
        return `mm${reg & 7}`;
      case 'Q':
        return inMemory ? memory(bits) : `mm${rm & 7}`;
      case 'S':
        return SEGMENTS[reg & 7] ?? '?';
      case 'C':
        return `cr${reg}`;
      case 'D':
        return `dr${reg}`;
      case 'CL':
        return 'cl';
      case 'DX':
        return 'dx';
      case '1':
        return '1';
      case 'X':
        return null;
    }
  };
  const operands = e.operands.map(operand).filter((o) => o !== null);
  if (SEGMENT_STACK.test(e.text) && (i.name === 'push' || i.name === 'pop')) operands.push(SEGMENTS[(b >> 3) & 7]!);
  // x87 instructions on two registers or one
  if (b >= 0xd8 && b <= 0xdf && map === 0 && e.modrmBytes && e.modrmBytes[0] !== e.modrmBytes[1]) {
    const other = `st(${modrm & 7})`;
    if (b === 0xd8 || i.name.startsWith('fcmov') || /com?ip?$/.test(i.name)) operands.push('st', other);
    else if (b === 0xdc || b === 0xde) operands.push(other, 'st');
    else operands.push(other);
  }
  let name = SIZED[i.name]?.[osz === 16 ? 0 : osz === 32 ? 1 : 2] ?? i.name;
  if (STRINGS.has(name)) name += STRING_SUFFIX[/^(ins|outs)$/.test(name) ? Math.min(width, 32) : width]!;
  if (name.endsWith('ps') && !name.startsWith('cvt') && e.prefixes.length === 1 && e.prefixes[0] === 1)
    name = name.replace(/ps$/, 'pd');
  if (name === 'movd' && osz === 64) name = 'movq';
  if (name === 'jcxz') name = { 16: 'jcxz', 32: 'jecxz', 64: 'jrcxz' }[addressBits];
  let prefix = lock ? 'lock ' : '';
  if (STRINGS.has(i.name) && column) prefix += column === 3 ? 'repne ' : /^(cmps|scas)/.test(i.name) ? 'repe ' : 'rep ';
  if (STRINGS.has(i.name) && override) prefix += `${SEGMENTS[segment]!} `;
  return finish(name, operands, prefix);
}
