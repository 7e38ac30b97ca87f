// Makes cases from the instruction table: for an encoding and a mode, random prefixes, registers, addressing forms and operand values,
// with a bias towards edges. Invariant: the same seed, encoding and table give the same cases.

import type { Encoding, Instruction, Operand } from '../../main/machine/isa/instruction.ts';
import { INSTRUCTIONS } from '../../main/machine/isa/table.ts';
import { At, Case, Fx, WINDOW, WINDOW_AT } from './case.ts';

/** Names that user code cannot run to a comparable end, or whose results belong to the machine: time, identification, privilege state. */
const LEFT_OUT = new Set([
  'int', 'int1', 'into', 'iret', 'callf', 'jmpf', 'retf', 'syscall', 'sysenter', 'sysret', 'sysexit', 'cpuid', 'rdtsc', 'rdtscp', 'rdpmc', 'xgetbv',
  'sgdt', 'sidt', 'sldt', 'str', 'smsw', 'lar', 'lsl', 'verr', 'verw', 'les', 'lds', 'lss', 'lfs', 'lgs', 'pop_sreg', 'rdfsbase', 'rdgsbase',
  'wrfsbase', 'wrgsbase', 'vmcall', 'vmmcall', 'monitor', 'mwait', 'clflush', 'popf', 'pushf', 'enter', 'bound', 'arpl', 'int3', 'hlt', 'fnsave', 'frstor',
  'fldenv', 'fnstenv', 'fxsave', 'fxrstor', 'swapgs', 'ins', 'outs', 'in', 'out', 'cli', 'sti', 'rdmsr', 'wrmsr', 'clts', 'invd', 'wbinvd', 'lmsw', 'lgdt', 'lidt', 'lldt', 'ltr', 'invlpg', 'xsetbv',
]); // prettier-ignore

/** Approximations with some 12 bits, which every maker does in its own way. */
const APPROXIMATE = new Set(['rcpps', 'rcpss', 'rsqrtps', 'rsqrtss']);
export const isApproximate = (name: string): boolean => APPROXIMATE.has(name);
/** Transcendental functions are right to one unit in the last place, on hardware as here, so that two of them differ by two at most. */
export const ulpsOf = (name: string): number =>
  /^(fsin|fcos|fsincos|fptan|fpatan|f2xm1|fyl2x|fyl2xp1)$/.test(name) ? 2 : 0;

export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }
  /** 32 random bits (mulberry32). */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  below(n: number): number {
    return this.u32() % n;
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const ALIGNMENT_CHECK = 0x4_0000;
const INTEGER_EDGES = [0n, 1n, 2n, 7n, 8n, 15n, 16n, 31n, 32n, 33n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x10000n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x7fffffffffffffffn, 0x8000000000000000n, 0xffffffffffffffffn, 0xfffffffffffffffen, 0xffffffff80000000n, 0x8000800080008000n, 0x8080808080808080n]; // prettier-ignore

export function integerValue(r: Random): bigint {
  switch (r.below(6)) {
    case 0:
    case 1:
      return r.pick(INTEGER_EDGES);
    case 2:
      return BigInt(r.below(256));
    case 3:
      return BigInt.asUintN(64, -BigInt(r.below(70)));
    default:
      return r.u64();
  }
}

const F64_EDGES = [0n, 0x8000000000000000n, 1n, 0x000fffffffffffffn, 0x0010000000000000n, 0x3ff0000000000000n, 0xbff0000000000000n, 0x3ff0000000000001n, 0x3fefffffffffffffn, 0x7fefffffffffffffn, 0xffefffffffffffffn, 0x7ff0000000000000n, 0xfff0000000000000n, 0x7ff8000000000000n, 0xfff8000000000000n, 0x7ff0000000000001n, 0xfff4000000000123n, 0x7ff8000000000abcn, 0x4000000000000000n, 0x3fe0000000000000n, 0x41dfffffffc00000n, 0xc1e0000000000000n, 0x41e0000000000000n, 0x43e0000000000000n, 0x4330000000000000n, 0x36a0000000000000n, 0x380fffffffffffffn, 0x47efffffe0000000n, 0x47effffff0000000n, 0x3810000000000000n]; // prettier-ignore
const F32_EDGES = [0n, 0x80000000n, 1n, 0x7fffffn, 0x800000n, 0x3f800000n, 0xbf800000n, 0x3f800001n, 0x3f7fffffn, 0x7f7fffffn, 0xff7fffffn, 0x7f800000n, 0xff800000n, 0x7fc00000n, 0xffc00000n, 0x7f800001n, 0xffa00123n, 0x7fc00abcn, 0x40000000n, 0x3f000000n, 0x4effffffn, 0xcf000000n, 0x4f000000n, 0x5f000000n, 0x4b000000n, 0x80000001n]; // prettier-ignore

function f64Value(r: Random): bigint {
  switch (r.below(5)) {
    case 0:
      return r.pick(F64_EDGES);
    case 1:
      return (BigInt(1023 - 60 + r.below(120)) << 52n) | (r.u64() & 0x800fffffffffffffn);
    case 2: // few bits: exact results
      return (BigInt(1023 - 8 + r.below(20)) << 52n) | (BigInt(r.below(64)) << 46n) | (r.chance(2) ? 1n << 63n : 0n);
    case 3: {
      const b = new DataView(new ArrayBuffer(8));
      b.setFloat64(0, (r.u32() | 0) / [1, 2, 3, 256, 1000][r.below(5)]!);
      return b.getBigUint64(0);
    }
    default:
      return r.u64();
  }
}
function f32Value(r: Random): bigint {
  switch (r.below(5)) {
    case 0:
      return r.pick(F32_EDGES);
    case 1:
      return (BigInt(127 - 30 + r.below(60)) << 23n) | BigInt(r.u32() & 0x807fffff);
    case 2:
      return (BigInt(127 - 6 + r.below(14)) << 23n) | (BigInt(r.below(64)) << 17n) | (r.chance(2) ? 1n << 31n : 0n);
    default:
      return BigInt(r.u32());
  }
}
/** 8 bytes for a vector register or memory: floats of either size, or integers. */
export function lane64(r: Random): bigint {
  switch (r.below(4)) {
    case 0:
      return f64Value(r);
    case 1:
      return BigInt.asUintN(64, f32Value(r) & 0xffffffffn) | ((f32Value(r) & 0xffffffffn) << 32n);
    case 2:
      return integerValue(r);
    default:
      return r.u64();
  }
}
/** Values for instructions known to take one kind of lane. */
export type Lanes = 'f32' | 'f64' | 'any';
function laneOf(r: Random, lanes: Lanes): bigint {
  if (lanes === 'f64') return f64Value(r);
  if (lanes === 'f32') return BigInt.asUintN(32, f32Value(r)) | (BigInt.asUintN(32, f32Value(r)) << 32n);
  return lane64(r);
}

const EXTENDED_EDGES: readonly [bigint, number][] = [
  [0n, 0], [0n, 0x8000], [1n, 0], [0x7fffffffffffffffn, 0], [0x8000000000000000n, 0], [0x8000000000000000n, 1], [0x8000000000000000n, 0x3fff], [0x8000000000000000n, 0xbfff],
  [0xffffffffffffffffn, 0x7ffe], [0xffffffffffffffffn, 0xfffe], [0x8000000000000000n, 0x7fff], [0x8000000000000000n, 0xffff], [0xc000000000000000n, 0x7fff], [0xc000000000000000n, 0xffff],
  [0x8000000000000001n, 0x7fff], [0xa000000000000123n, 0xffff], [0xc000000000000abcn, 0x7fff], [0x4000000000000000n, 0x3fff], [1n, 0x7fff], [0n, 0x7fff], [0n, 0x4000],
  [0xffffffffffffffffn, 0x3ffe], [0x8000000000000001n, 0x3fff], [0x8000000000000000n, 0x403e], [0xffffffffffffffffn, 0x403d], [0x8000000000000000n, 0x401e], [0x8000000000000000n, 0x400e],
  [0xc90fdaa22168c235n, 0x4000], [0x8000000000000000n, 0x3ffe], [0xffffff8000000000n, 0x407e], [0xfffffffffffffc00n, 0x43fe], [0x8000000000000000n, 0x3f81], [0xde0b6b3a763ffff0n, 0x403a], [0x8000000000000000n, 0x4001],
]; // prettier-ignore
export function extendedValue(r: Random): [bigint, number] {
  switch (r.below(6)) {
    case 0:
    case 1:
      return [...r.pick(EXTENDED_EDGES)] as [bigint, number];
    case 2: // integers
      return integerExtended(BigInt(r.u32() >>> r.below(32)), r.chance(2));
    case 3: // near one another
      return [r.u64() | (1n << 63n), 0x3fff - 40 + r.below(80) + (r.chance(2) ? 0x8000 : 0)];
    case 4: // at the ends of the range
      return [r.u64() | (1n << 63n), (r.chance(2) ? r.below(140) : 0x7ffe - r.below(140)) + (r.chance(2) ? 0x8000 : 0)];
    default:
      return [r.u64() | (1n << 63n), r.u32() & 0xffff];
  }
}
function integerExtended(v: bigint, negative: boolean): [bigint, number] {
  if (v === 0n) return [0n, negative ? 0x8000 : 0];
  let sig = v;
  let e = 0x3fff + 63;
  while (sig >> 63n === 0n) {
    sig <<= 1n;
    e--;
  }
  return [sig, e + (negative ? 0x8000 : 0)];
}

/** One row of what can be tested. */
export interface Subject {
  instruction: Instruction;
  encoding: Encoding;
  mode: 32 | 64;
}
export function subjects(): Subject[] {
  const list: Subject[] = [];
  for (const instruction of INSTRUCTIONS) {
    if (LEFT_OUT.has(instruction.name) || LEFT_OUT.has(instruction.routine ?? '')) continue;
    for (const encoding of instruction.encodings) {
      // the undocumented FSTP of D9 ignores the tag of ST(0) in a way of each maker's own
      if (encoding.text === 'D9 /D8+') continue;
      if (encoding.operands.some((o) => 'CDSP'.includes(o.kind) && o.kind.length === 1)) continue;
      // AMD leaves the register form of 0F 0D undefined, Intel makes it a NOP as here
      if (encoding.text.startsWith('0F 0D') || /^F3 0F B[CD]/.test(encoding.text)) continue; // (and F3 0F BC and BD are TZCNT and LZCNT where CPUID shows them)
      // 32-bit pushes of selectors leave the upper half alone on recent Intel cores, as here, and clear it on AMD
      const selector = /^(06|0E|16|1E|0F A[08])$/.test(encoding.text);
      for (const mode of [32, 64] as const)
        if (!(selector && mode === 32))
          if (mode === 64 ? !instruction.i64 : !instruction.o64) list.push({ instruction, encoding, mode });
    }
  }
  return list;
}

const X87 = (e: Encoding) => e.map === 0 && e.opcode >= 0xd8 && e.opcode <= 0xdf;
const usesVector = (e: Encoding) => e.operands.some((o) => 'VWUNQ'.includes(o.kind));

/** `count` cases for `subject`; the same for the same seed. */
export function makeCases(subject: Subject, count: number, seed: number): Case[] {
  const r = new Random(
    [...`${subject.encoding.text}${subject.mode}`].reduce((h, ch) => (Math.imul(h, 31) + ch.charCodeAt(0)) | 0, seed),
  );
  return Array.from({ length: count }, (_, n) => makeCase(subject, r, n));
}

export function makeCase(subject: Subject, r: Random, id: number): Case {
  const { instruction: i, encoding: e, mode } = subject;
  const c = new Case();
  c.set(At.id, id);
  c.bytes[At.mode] = mode;
  for (let n = 0; n < (mode === 64 ? 16 : 8); n++)
    c.setGpr(n, mode === 64 ? integerValue(r) : BigInt.asUintN(32, integerValue(r)));
  const flags = (r.u32() & 0x8d5) | (i.name.match(/^(movs|cmps|stos|lods|scas)$/) && r.chance(2) ? 0x400 : 0);
  c.set(At.rflags, flags | (r.chance(8) ? ALIGNMENT_CHECK : 0));
  const lanes: Lanes = /(ps|ss)$|ps2|ss2/.test(i.name) ? 'f32' : /(pd|sd)$|pd2|sd2/.test(i.name) ? 'f64' : 'any';
  fillFloat(c, r, e, lanes);
  for (let n = 0; n < WINDOW; n += 8)
    c.view.setBigUint64(At.window + n, usesVector(e) ? laneOf(r, lanes) : integerValue(r), true);

  // prefixes
  const code: number[] = [];
  const general = e.operands.some((o) => o.size === 'v' || o.size === 'z' || o.size === 'y') || Boolean(i.sized);
  const branch = e.operands.some((o) => o.kind === 'J') || ['ret', 'jmp', 'call'].includes(i.name);
  let osz16 = false;
  const mandatory = e.prefixes.length < 4 ? e.prefixes[r.below(e.prefixes.length)]! : -1;
  if (general && !branch && mandatory === -1 && r.chance(4)) {
    code.push(0x66);
    osz16 = true;
  }
  if (i.lock && e.modrm && r.chance(12)) code.push(0xf0);
  const isString = /^(movs|cmps|stos|lods|scas)$/.test(i.name);
  if (isString && r.chance(2)) code.push(r.chance(2) ? 0xf2 : 0xf3);
  if (mandatory === 1) code.push(0x66);
  if (mandatory === 2) code.push(0xf3);
  if (mandatory === 3) code.push(0xf2);
  let rex = 0;
  if (mode === 64) {
    if (general && !branch && r.chance(2)) rex |= 8;
    if (e.modrm || e.plusRegister) rex |= r.below(8);
    if (X87(e) && r.chance(2)) rex = 0;
    if (r.chance(4)) rex |= 0x40;
    if (rex) rex |= 0x40;
  }
  const wide = (rex & 8) !== 0;
  const size = wide ? 8 : osz16 ? 2 : 4;
  const rexAt = code.length;
  if (rex) code.push(rex);
  if (e.map >= 1) code.push(0x0f);
  if (e.map === 2) code.push(0x38);
  if (e.map === 3) code.push(0x3a);
  code.push(e.plusRegister ? (e.opcode & 0xf8) | Math.max(e.opcode & 7, r.below(8)) : e.opcode);

  let ripAt = -1;
  let target = 0n;
  if (e.modrmBytes) code.push(e.modrmBytes[0] + r.below(e.modrmBytes[1] - e.modrmBytes[0] + 1));
  else if (e.modrm) {
    const reg = e.digit ?? r.below(8);
    const canMemory = e.operands.some((o) => 'EMWQ'.includes(o.kind) && o.kind.length === 1) && !i.registerOnly;
    const canRegister = !e.operands.some((o) => o.kind === 'M') && !i.memoryOnly;
    if (canMemory && (!canRegister || r.chance(2))) {
      const operand = e.operands.find((o) => 'EMWQ'.includes(o.kind) && o.kind.length === 1)!;
      target = pickTarget(r, operand, size);
      const m = memoryOperand(c, r, mode, rex, target, i.stack ?? false);
      if (m.addressSize) code.splice(rexAt, 0, 0x67);
      code.push(m.modrm | (reg << 3), ...m.rest);
      if (m.rip) ripAt = code.length - 4;
    } else code.push(0xc0 | (reg << 3) | r.below(8));
  }
  for (const o of e.operands) pushImmediate(code, o, r, mode, osz16, wide);
  if (isString) strings(c, r, i.name);
  if (i.stack || i.name === 'leave') {
    c.setGpr(4, BigInt(WINDOW_AT + 64 + r.below(WINDOW - 128)));
    if (i.name === 'leave') c.setGpr(5, BigInt(WINDOW_AT + r.below(WINDOW - 16)));
  }
  // now and then beyond the end of what is mapped
  if (i.name.startsWith('maskmov'))
    c.setGpr(7, BigInt(r.chance(6) ? 0x1000_2000 - r.below(17) : WINDOW_AT + r.below(WINDOW - 16)));
  if (i.name.startsWith('loop')) c.setGpr(1, BigInt(r.below(40)));
  if (i.name === 'xlat') c.setGpr(3, BigInt(WINDOW_AT - (Number(c.gpr(0)) & 255) + r.below(WINDOW)));
  if (ripAt >= 0) {
    const disp = Number(BigInt.asIntN(32, target - BigInt(0x20001000 + code.length)));
    for (let k = 0; k < 4; k++) code[ripAt + k] = (disp >> (8 * k)) & 255;
  }
  if (branch) branchTarget(c, r, i.name, code);
  c.setCode(code.slice(0, 15));
  return c;
}

/** x87 stack, control words and XMM registers. */
function fillFloat(c: Case, r: Random, e: Encoding, lanes: Lanes): void {
  const fx = c.view;
  const at = At.fx;
  const x87 = X87(e);
  const mmx = e.operands.some((o) => 'NQ'.includes(o.kind));
  let control = 0x37f;
  let status = 0;
  let tags = 0xff;
  if (x87) {
    control =
      0x40 |
      (r.chance(3) ? r.below(4) << 10 : 0) |
      (r.chance(3) ? [0, 2, 3][r.below(3)]! << 8 : 0x300) |
      (r.chance(6) ? r.below(64) : 0x3f);
    status = (r.below(8) << 11) | (r.chance(3) ? r.u32() & 0x4700 : 0) | (r.chance(3) ? r.u32() & 0x7f & control : 0);
    tags = r.chance(4) ? r.below(256) : r.chance(2) ? 0x7f : 0xff;
    if (r.chance(2)) tags &= ~(1 << (((status >>> 11) + 7) & 7));
  } else if (mmx || e.opcode === 0x77) {
    status = r.below(8) << 11;
    tags = r.below(256);
  }
  fx.setUint16(at + Fx.control, control, true);
  fx.setUint16(at + Fx.status, status, true);
  c.bytes[at + Fx.tags] = tags;
  for (let n = 0; n < 8; n++) {
    const [sig, word] = mmx ? [lane64(r), 0xffff] : extendedValue(r);
    fx.setBigUint64(at + Fx.st + n * 16, sig, true);
    fx.setUint16(at + Fx.st + n * 16 + 8, word, true);
  }
  let mxcsr = 0x1f80;
  if (usesVector(e)) {
    if (r.chance(3)) mxcsr |= r.below(4) << 13;
    if (r.chance(8)) mxcsr |= 0x8000;
    if (r.chance(8)) mxcsr |= 0x40;
    if (r.chance(2)) mxcsr |= r.below(64);
    if (r.chance(8)) mxcsr = (mxcsr & ~0x1f80) | (r.below(64) << 7);
  }
  fx.setUint32(at + Fx.mxcsr, mxcsr, true);
  fx.setUint32(at + 28, 0xffff, true);
  const same = r.chance(6) ? laneOf(r, lanes) : null;
  for (let n = 0; n < 32; n++)
    fx.setBigUint64(at + Fx.xmm + n * 8, same !== null && r.chance(2) ? same : laneOf(r, lanes), true);
}

/** An address in the window; mostly such that the operand lies in it wholly, often across the page boundary, sometimes beyond the end. */
function pickTarget(r: Random, o: Operand, size: number): bigint {
  const bytes = typeof o.size === 'number' ? Math.max(1, o.size / 8) : size;
  if (r.chance(40)) return BigInt(0x1000_2000 - r.below(bytes + 2));
  if (r.chance(60)) return BigInt(r.below(0x1000));
  const room = WINDOW - Math.max(bytes, 16) - 16;
  let at = 16 + r.below(room);
  if (bytes === 16 && !r.chance(8)) at &= ~15;
  if (r.chance(6) && bytes > 1 && bytes < 16) at = 0x80 - 1 - r.below(bytes - 1);
  return BigInt(WINDOW_AT + at);
}

interface MemoryForm {
  modrm: number;
  rest: number[];
  rip: boolean;
  addressSize: boolean;
}
/** A ModRM memory form whose address is `target`, with the registers set for it. */
function memoryOperand(c: Case, r: Random, mode: 32 | 64, rex: number, target: bigint, stack: boolean): MemoryForm {
  const b = (rex & 1) << 3;
  const x = (rex & 2) << 2;
  const bits = mode;
  const disp32 = (d: bigint): number[] =>
    [0, 8, 16, 24].map((s) => Number((BigInt.asUintN(32, d) >> BigInt(s)) & 255n));
  const addressSize = mode === 64 && r.chance(16);
  const form = r.below(stack ? 2 : 8);
  const none = { rip: false, addressSize };
  if (form === 0) {
    if (mode === 64) {
      if (x || r.chance(2)) return { modrm: 5, rest: [0, 0, 0, 0], rip: true, addressSize: false };
      return { modrm: 4, rest: [0x25, ...disp32(target)], ...none };
    }
    return { modrm: 5, rest: disp32(target), ...none };
  }
  const mod = r.below(3);
  const disp = mod === 0 ? 0n : mod === 1 ? BigInt(r.below(256) - 128) : BigInt(r.u32() | 0);
  const tail = mod === 0 ? [] : mod === 1 ? [Number(disp & 255n)] : disp32(disp);
  // registers that are not the stack pointer when that is in use
  const usable = stack ? [0, 1, 2, 3, 6, 7] : [0, 1, 2, 3, 5, 6, 7];
  if (form < 4) {
    const base = r.pick(usable.filter((n) => !(mod === 0 && n === 5)));
    c.setGpr(base | b, BigInt.asUintN(bits, target - disp));
    return { modrm: (mod << 6) | base, rest: tail, ...none };
  }
  const base = r.pick(mod === 0 ? [0, 1, 2, 3, 4, 6, 7] : [0, 1, 2, 3, 4, 5, 6, 7]);
  const index = r.below(8);
  const scale = r.below(4);
  const sib = (scale << 6) | (index << 3) | base;
  const hasIndex = (index | x) !== 4;
  let contribution = 0n;
  if (hasIndex) {
    if ((index | x) === (base | b)) {
      // base and index the same: choose a displacement form that reaches
      c.setGpr(index | x, BigInt(r.below(16)));
      const reached = c.gpr(index | x) * BigInt(1 + (1 << scale));
      return { modrm: 0x84, rest: [sib, ...disp32(target - reached)], ...none };
    }
    contribution = c.gpr(index | x) << BigInt(scale);
  }
  c.setGpr(base | b, BigInt.asUintN(bits, target - disp - contribution));
  return { modrm: (mod << 6) | 4, rest: [sib, ...tail], ...none };
}

function pushImmediate(code: number[], o: Operand, r: Random, mode: 32 | 64, osz16: boolean, wide: boolean): void {
  const put = (v: bigint, bytes: number) => {
    for (let k = 0; k < bytes; k++) code.push(Number((v >> BigInt(8 * k)) & 255n));
  };
  if (o.kind === 'O') return put(BigInt(WINDOW_AT + r.below(WINDOW - 8)), mode === 64 ? 8 : 4);
  if (o.kind === 'J') return put(0n, o.size === 8 ? 1 : 4);
  if (o.kind !== 'I') return;
  const v = integerValue(r);
  if (o.size === 8) put(r.chance(2) ? BigInt(r.below(80)) : v, 1);
  else if (o.size === 16) put(v, 2);
  else if (o.size === 'z') put(v, osz16 ? 2 : 4);
  else put(v, wide ? 8 : osz16 ? 2 : 4);
}

function strings(c: Case, r: Random, name: string): void {
  c.setGpr(1, BigInt(r.below(24)));
  c.setGpr(6, BigInt(WINDOW_AT + r.below(WINDOW - 8)));
  c.setGpr(7, BigInt(WINDOW_AT + r.below(WINDOW - 8)));
  if ((name === 'scas' || name === 'cmps') && r.chance(2)) {
    const v = c.bytes[At.window]!;
    c.bytes.fill(v, At.window, At.window + WINDOW);
    c.setGpr(0, BigInt(v) * 0x0101010101010101n);
    c.bytes[At.window + r.below(WINDOW)] = 1;
  }
}

/** Points branches into the code pages. */
function branchTarget(c: Case, r: Random, name: string, code: number[]): void {
  const at = BigInt(0x20001000 + r.below(0x700) - 0x300);
  const op = code[code.length - 5];
  if (code.at(-1) === 0 && code.at(-4) === 0 && code.length >= 5 && op !== undefined && name !== 'ret') {
    const rel = r.below(0x700) - 0x300;
    for (let k = 0; k < 4; k++) code[code.length - 4 + k] = (rel >> (8 * k)) & 255;
  } else if (code.at(-1) === 0 && name !== 'ret') code[code.length - 1] = r.below(256);
  if (name === 'ret') c.view.setBigUint64(At.window + Number(c.gpr(4)) - WINDOW_AT, at, true);
  else
    for (let n = 0; n < 16; n++)
      if (n !== 4 && !(n === 1 && name.startsWith('loop')) && c.gpr(n) >> 16n !== 0x1000n) c.setGpr(n, at);
  if (name !== 'ret')
    for (let n = 0; n < WINDOW; n += 8) c.view.setBigUint64(At.window + n, c.mode === 32 ? at | (at << 32n) : at, true);
}
