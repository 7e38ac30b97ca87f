// Integer arithmetic and logic: the eight ALU operations, TEST, INC/DEC, NEG/NOT, multiplication, division, sign conversions, decimal adjust.
// Flags: SDM vol. 2 per instruction; flags the manual calls undefined follow a recent Intel core (checked against hardware by the test generator).

import { instruction, type Instruction, type Size } from './instruction.ts';
import { REG, VECTOR, i32, i64, select, type Semantics, type E } from './semantics.ts';

const alu = (n: number) => [
  `${hex(n * 8)} /r Eb,Gb`,
  `${hex(n * 8 + 1)} /r Ev,Gv`,
  `${hex(n * 8 + 2)} /r Gb,Eb`,
  `${hex(n * 8 + 3)} /r Gv,Ev`,
  `${hex(n * 8 + 4)} AL,Ib`,
  `${hex(n * 8 + 5)} rAX,Iz`,
  `80 /${n} Eb,Ib`,
  `81 /${n} Ev,Iz`,
  `83 /${n} Ev,Ib`,
];
export const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

/** dst = dst op src with lazy flags of `kind`. */
const binary = (kind: 'Add' | 'Sub' | 'Logic', compute: (a: E, b: E) => E) => (s: Semantics) => {
  const b = s.read(1);
  const d = s.modify(0);
  const r = s.let(compute(d.value, b));
  if (kind === 'Logic') s.flags('Logic', s.size, r);
  else s.flags(kind, s.size, r, d.value, b);
  d.write(r);
};

/** Addition or subtraction with carry: the flags' kind depends on the carry that came in. */
const withCarry = (subtract: boolean) => (s: Semantics) => {
  const b = s.read(1);
  const d = s.modify(0);
  const c = s.carry();
  const cw = s.size === 64 ? c.zx() : c;
  const a = d.value;
  const r = s.let(subtract ? a.sub(b).sub(cw) : a.add(b).add(cw));
  s.flagsCarried(subtract, s.size, r, a, b, c);
  d.write(r);
};

const step = (delta: 1 | -1) => (s: Semantics) => {
  const d = s.modify(0);
  const r = s.let(d.value.add(delta));
  s.flagsStep(s.size, r, delta);
  d.write(r);
};

/** High 64 bits of an unsigned 64x64 product. */
export function defineMultiplyHigh(m: import('../wasm/module.ts').ModuleBuilder): void {
  m.func('mulhi_u', ['i64', 'i64'], ['i64'], (f) => {
    const [a, b] = f.params as unknown as [E, E];
    const mask = 0xffffffffn;
    const al = f.let(a.and(mask));
    const ah = f.let(a.shrU(32n));
    const bl = f.let(b.and(mask));
    const bh = f.let(b.shrU(32n));
    const ll = f.let(al.mul(bl));
    const m1 = f.let(ah.mul(bl).add(ll.shrU(32n)));
    const m2 = f.let(al.mul(bh).add(m1.and(mask)));
    f.return(ah.mul(bh).add(m1.shrU(32n)).add(m2.shrU(32n)));
  });
  // 128 by 64 unsigned division, caller has made sure that hi < d. Quotient returned, remainder in SCRATCH-free local protocol: see div128_rem.
  const divide = (name: string, wantRemainder: boolean) =>
    m.func(name, ['i64', 'i64', 'i64'], ['i64'], (f) => {
      const [hi0, lo0, d] = f.params as unknown as [E, E, E];
      f.if(hi0.eqz(), () => f.return(wantRemainder ? lo0.remU(d) : lo0.divU(d)));
      const hi = f.let(hi0);
      const lo = f.let(lo0);
      const n = f.let(i32(64));
      const top = f.local('i64');
      f.loop((again) => {
        f.set(top, hi.shrS(63n));
        f.set(hi, hi.shl(1n).or(lo.shrU(63n)));
        f.set(lo, lo.shl(1n));
        f.if(top.ne(0n).or(hi.geU(d)), () => {
          f.set(hi, hi.sub(d));
          f.set(lo, lo.or(1n));
        });
        f.set(n, n.sub(1));
        f.brIf(again, n);
      });
      f.return(wantRemainder ? hi : lo);
    });
  divide('div128_quot', false);
  divide('div128_rem', true);
}

/** Flags after a multiplication: CF = OF = the upper half matters. The others stay, as on the reference CPU. */
const multiplyFlags = (s: Semantics, overflow: E) => {
  if (!s.someFlagsWanted) return;
  const o = s.let(overflow);
  s.flagsCarryOverflow(o, o);
};
const mul = (signed: boolean) => (s: Semantics) => {
  const size = s.size;
  const b = s.read(0);
  if (size === 8) {
    const a = s.reg(REG.AX, 8);
    const p = s.let(signed ? a.sx8().mul(b.sx8()) : a.mul(b));
    const over = signed ? p.ne(p.sx8()) : p.shrU(8).ne(0);
    multiplyFlags(s, over);
    s.setReg(REG.AX, 16, p);
  } else if (size === 16) {
    const a = s.reg(REG.AX, 16);
    const p = s.let(signed ? a.sx16().mul(b.sx16()) : a.mul(b));
    multiplyFlags(s, signed ? p.ne(p.sx16()) : p.shrU(16).ne(0));
    s.setReg(REG.AX, 16, p);
    s.setReg(REG.DX, 16, p.shrU(16));
  } else if (size === 32) {
    const a = s.reg(REG.AX, 32);
    const p = s.let(signed ? a.sx().mul(b.sx()) : a.zx().mul(b.zx()));
    multiplyFlags(s, signed ? p.ne(p.sx32()) : p.shrU(32n).ne(0n));
    s.setReg(REG.AX, 32, p);
    s.setReg(REG.DX, 32, p.shrU(32n));
  } else {
    const a = s.let(s.reg(REG.AX, 64));
    const lo = s.let(a.mul(b));
    let hi: E = s.let(s.f.call('mulhi_u', a, b));
    if (signed) hi = s.let(hi.sub(a.shrS(63n).and(b)).sub(b.shrS(63n).and(a)));
    multiplyFlags(s, signed ? hi.ne(lo.shrS(63n)) : hi.ne(0n));
    s.setReg(REG.AX, 64, lo);
    s.setReg(REG.DX, 64, hi);
  }
};

/** IMUL with two or three operands: source operands `i` and `j`. */
const imul = (i: number, j: number) => (s: Semantics) => {
  const size = s.size;
  const b = s.read(j);
  const a = s.read(i);
  if (size === 64) {
    const lo = s.let(a.mul(b));
    if (s.someFlagsWanted) {
      const u = s.let(s.f.call('mulhi_u', a, b));
      const hi = s.let(u.sub(a.shrS(63n).and(b)).sub(b.shrS(63n).and(a)));
      multiplyFlags(s, hi.ne(lo.shrS(63n)));
    }
    s.write(0, lo);
  } else if (size === 32) {
    const p = s.let(a.sx().mul(b.sx()));
    multiplyFlags(s, p.ne(p.sx32()));
    s.write(0, s.let(p.lo()));
  } else {
    const p = s.let(a.sx16().mul(b.sx16()));
    multiplyFlags(s, p.ne(p.sx16()));
    s.write(0, p);
  }
};

const div = (signed: boolean) => (s: Semantics) => {
  const size = s.size;
  const b = s.read(0);
  const de = () => s.raise(VECTOR.DE);
  s.if(b.eqz(), de);
  if (size === 64) {
    const lo = s.let(s.reg(REG.AX, 64));
    const hi = s.let(s.reg(REG.DX, 64));
    if (!signed) {
      s.if(hi.geU(b), de);
      const q = s.let(s.f.call('div128_quot', hi, lo, b));
      const r = s.let(s.f.call('div128_rem', hi, lo, b));
      s.setReg(REG.AX, 64, q);
      s.setReg(REG.DX, 64, r);
      s.flagsDivided();
      return;
    }
    const negN = s.let(hi.ltS(0n));
    const negD = s.let(b.ltS(0n));
    // magnitude of the 128-bit dividend
    s.if(negN, () => {
      s.f.set(lo, i64(0).sub(lo));
      s.f.set(hi, hi.xor(-1n).add(lo.eqz().zx()));
    });
    const d = s.let(select(negD, i64(0).sub(b), b));
    s.if(hi.geU(d), de);
    const q = s.let(s.f.call('div128_quot', hi, lo, d));
    const r = s.let(s.f.call('div128_rem', hi, lo, d));
    const negQ = s.let(negN.xor(negD));
    // quotient magnitude at most 2^63 (negative) or 2^63 - 1
    s.if(
      negQ,
      () => s.if(q.gtU(i64(-(1n << 63n))), de),
      () => s.if(q.ltS(0n), de),
    );
    s.setReg(REG.AX, 64, select(negQ, i64(0).sub(q), q));
    s.setReg(REG.DX, 64, select(negN, i64(0).sub(r), r));
    s.flagsDivided();
    return;
  }
  // dividend and divisor as i64
  const shift = BigInt(size);
  let n: E;
  if (size === 8) n = signed ? s.reg(REG.AX, 16).sx16().sx() : s.reg(REG.AX, 16).zx();
  else {
    const low = s.reg(REG.AX, size).zx();
    const high = s.reg(REG.DX, size).zx();
    n = high.shl(shift).or(low);
    if (signed && size === 16) n = n.sx32();
  }
  const a = s.let(n);
  const d = s.let(signed ? s.normal(b, size) : b.zx());
  if (signed) {
    // the one case that overflows i64 division
    if (size === 32) s.if(a.eq(i64(-(1n << 63n))).and(d.eq(-1n)), de);
    const q = s.let(a.divS(d));
    const r = s.let(a.remS(d));
    s.if(q.ne(s.normal(q, size)), de);
    put(s, size, q, r);
  } else {
    const q = s.let(a.divU(d));
    const r = s.let(a.remU(d));
    s.if(q.shrU(shift).ne(0n), de);
    put(s, size, q, r);
  }
};
function put(s: Semantics, size: Size, q: E, r: E): void {
  if (size === 8) s.setReg(REG.AX, 16, s.let(q.lo().and(255).or(r.lo().and(255).shl(8))));
  else {
    s.setReg(REG.AX, size, size === 16 ? q.lo() : q);
    s.setReg(REG.DX, size, size === 16 ? r.lo() : r);
  }
  s.flagsDivided();
}

/** DAA and DAS (SDM vol. 2): adjusts AL after packed BCD addition or subtraction. */
const decimalAdjust = (subtract: boolean) => (s: Semantics) => {
  const al = s.let(s.reg(REG.AX, 8));
  const cf = s.carry();
  const af = s.flag('af');
  const low = s.let(al.and(15).gtU(9).or(af));
  const high = s.let(al.gtU(0x99).or(cf));
  const adjust = s.let(select(low, i32(6), 0).add(select(high, i32(0x60), 0)));
  const r = s.let((subtract ? al.sub(adjust) : al.add(adjust)).and(255));
  // borrow of the low adjustment also sets CF in DAS
  const carryOut = subtract ? s.let(high.or(low.and(al.ltU(6)))) : high;
  const of = s.let(subtract ? al.and(r.xor(255)).and(0x80).shrU(7) : al.xor(255).and(r).and(0x80).shrU(7));
  s.flagsExplicit(8, r, carryOut, of, low);
  s.setReg(REG.AX, 8, r);
};

/** AAA and AAS. Flags as on the reference CPU: those of the adjustment of all 16 bits of AX. */
const asciiAdjust = (subtract: boolean) => (s: Semantics) => {
  const ax = s.let(s.reg(REG.AX, 16));
  const adjust = s.let(ax.and(15).gtU(9).or(s.flag('af')));
  const changed = s.let(select(adjust, subtract ? ax.sub(0x106) : ax.add(0x106), ax).and(0xffff));
  const of = s.let((subtract ? ax.and(changed.xor(-1)) : ax.xor(-1).and(changed)).shrU(15).and(1));
  s.flagsExplicit(16, changed, adjust, of, adjust);
  s.setReg(REG.AX, 16, changed.and(0xff0f));
};

const IMMEDIATE_GROUP: Record<string, number> = { add: 0, or: 1, adc: 2, sbb: 3, and: 4, sub: 5, xor: 6, cmp: 7 };

export const arithmetic: Instruction[] = [
  instruction(
    'add',
    alu(IMMEDIATE_GROUP.add!),
    { lock: true, hot: true },
    binary('Add', (a, b) => a.add(b)),
  ),
  instruction(
    'or',
    alu(1),
    { lock: true, hot: true },
    binary('Logic', (a, b) => a.or(b)),
  ),
  instruction('adc', alu(2), { lock: true, hot: true }, withCarry(false)),
  instruction('sbb', alu(3), { lock: true, hot: true }, withCarry(true)),
  instruction(
    'and',
    alu(4),
    { lock: true, hot: true },
    binary('Logic', (a, b) => a.and(b)),
  ),
  instruction(
    'sub',
    alu(5),
    { lock: true, hot: true },
    binary('Sub', (a, b) => a.sub(b)),
  ),
  instruction(
    'xor',
    alu(6),
    { lock: true, hot: true },
    binary('Logic', (a, b) => a.xor(b)),
  ),
  instruction('cmp', alu(7), { hot: true }, (s) => {
    const b = s.read(1);
    const a = s.read(0);
    s.flags('Sub', s.size, s.let(a.sub(b)), a, b);
  }),
  instruction(
    'test',
    ['84 /r Eb,Gb', '85 /r Ev,Gv', 'A8 AL,Ib', 'A9 rAX,Iz', 'F6 /0 Eb,Ib', 'F7 /0 Ev,Iz', 'F6 /1 Eb,Ib', 'F7 /1 Ev,Iz'],
    { hot: true },
    (s) => {
      const b = s.read(1);
      const a = s.read(0);
      s.flags('Logic', s.size, s.let(a.and(b)));
    },
  ),
  instruction('inc', ['FE /0 Eb', 'FF /0 Ev'], { lock: true, hot: true }, step(1)),
  instruction('dec', ['FE /1 Eb', 'FF /1 Ev'], { lock: true, hot: true }, step(-1)),
  instruction('inc', ['40+ Zv'], { i64: true, hot: true }, step(1)),
  instruction('dec', ['48+ Zv'], { i64: true, hot: true }, step(-1)),
  instruction('not', ['F6 /2 Eb', 'F7 /2 Ev'], { lock: true, hot: true }, (s) => {
    const d = s.modify(0);
    d.write(s.let(d.value.xor(-1)));
  }),
  instruction('neg', ['F6 /3 Eb', 'F7 /3 Ev'], { lock: true, hot: true }, (s) => {
    const d = s.modify(0);
    const zero = s.let(s.k(s.size, 0));
    const r = s.let(zero.sub(d.value));
    s.flags('Sub', s.size, r, zero, d.value);
    d.write(r);
  }),
  instruction('mul', ['F6 /4 Eb', 'F7 /4 Ev'], { hot: true }, mul(false)),
  instruction('imul', ['F6 /5 Eb', 'F7 /5 Ev'], { hot: true }, mul(true)),
  instruction('imul', ['0F AF /r Gv,Ev'], { hot: true }, imul(0, 1)),
  instruction('imul', ['69 /r Gv,Ev,Iz', '6B /r Gv,Ev,Ib'], { hot: true }, imul(1, 2)),
  instruction('div', ['F6 /6 Eb', 'F7 /6 Ev'], {}, div(false)),
  instruction('idiv', ['F6 /7 Eb', 'F7 /7 Ev'], {}, div(true)),
  instruction('cbw', ['98'], { sized: true, hot: true }, (s) => {
    if (s.osz === 16) s.setReg(REG.AX, 16, s.reg(REG.AX, 8).sx8());
    else if (s.osz === 32) s.setReg(REG.AX, 32, s.reg(REG.AX, 16).sx16());
    else s.setReg(REG.AX, 64, s.reg(REG.AX, 32).sx());
  }),
  instruction('cwd', ['99'], { sized: true, hot: true }, (s) => {
    if (s.osz === 16) s.setReg(REG.DX, 16, s.reg(REG.AX, 16).sx16().shrS(31));
    else if (s.osz === 32) s.setReg(REG.DX, 32, s.reg(REG.AX, 32).shrS(31));
    else s.setReg(REG.DX, 64, s.reg(REG.AX, 64).shrS(63n));
  }),
  instruction('daa', ['27'], { i64: true }, decimalAdjust(false)),
  instruction('das', ['2F'], { i64: true }, decimalAdjust(true)),
  instruction('aaa', ['37'], { i64: true }, asciiAdjust(false)),
  instruction('aas', ['3F'], { i64: true }, asciiAdjust(true)),
  instruction('aam', ['D4 Ib'], { i64: true }, (s) => {
    const b = s.let(s.immediate().lo().and(255));
    s.if(b.eqz(), () => s.raise(VECTOR.DE));
    const al = s.let(s.reg(REG.AX, 8));
    const low = s.let(al.remU(b));
    s.flags('Logic', 8, low);
    s.setReg(REG.AX, 16, al.divU(b).shl(8).or(low));
  }),
  instruction('aad', ['D5 Ib'], { i64: true }, (s) => {
    const ax = s.let(s.reg(REG.AX, 16));
    const low = s.let(ax.and(255));
    const product = s.let(ax.shrU(8).mul(s.immediate().lo().and(255)).and(255));
    const r = s.let(low.add(product).and(255));
    s.flags('Add', 8, r, low, product);
    s.setReg(REG.AX, 16, r);
  }),
];
