// Shifts, rotates, double shifts, bit tests, bit scans, POPCNT.

import { instruction, type Instruction, type Size } from './instruction.ts';
import { i32, i64, select, type Semantics, type ShiftKind, type E } from './semantics.ts';

/** The shift count operand, masked to 5 or 6 bits, as i32 (SDM vol. 2: 6 bits with a 64-bit operand). */
function count(s: Semantics, i: number): E {
  const v = s.read(i);
  return s.value(v.lo().and(s.size === 64 ? 63 : 31));
}
const wide = (s: Semantics, v: E, signed = false): E => s.let(signed ? s.normal(v, s.size) : v.zx());
const narrow = (s: Semantics, v: E): E => (s.size === 64 ? v : v.lo());
const top = (size: Size, v: E): E =>
  v
    .shrU(BigInt(size - 1))
    .lo()
    .and(1);

/** With a count of zero nothing changes but that a 32-bit register is zero-extended. */
function ifCounted(s: Semantics, c: E, d: { value: E; write: (v: E) => void }, body: () => void): void {
  s.if(c, body, () => d.write(d.value));
}

const shift = (kind: ShiftKind) => (s: Semantics) => {
  const size = s.size;
  const d = s.modify(0);
  const c = count(s, 1);
  ifCounted(s, c, d, () => {
    const a = d.value;
    const by = size === 64 ? c.zx() : c;
    const signed = size === 8 ? a.sx8() : size === 16 ? a.sx16() : a;
    const r = s.let(kind === 'Shl' ? a.shl(by) : kind === 'Shr' ? a.shrU(by) : signed.shrS(by));
    s.flagsShift(kind, size, a, c, r);
    d.write(r);
  });
};

/** Rotates within 8 or 16 bits by doubling the value; 32 and 64 bits have instructions. */
const rotate = (left: boolean) => (s: Semantics) => {
  const size = s.size;
  const d = s.modify(0);
  const c = count(s, 1);
  ifCounted(s, c, d, () => {
    let r: E;
    if (size === 64) r = left ? d.value.rotl(c.zx()) : d.value.rotr(c.zx());
    else if (size === 32) r = left ? d.value.rotl(c) : d.value.rotr(c);
    else {
      const k = c.and(size - 1);
      r = left ? d.value.shl(k).or(d.value.shrU(i32(size).sub(k))) : d.value.shrU(k).or(d.value.shl(i32(size).sub(k)));
      r = r.and(size === 8 ? 0xff : 0xffff);
    }
    const v = s.let(r);
    s.flagsRotate(left, size, v);
    d.write(v);
  });
};

/** RCL and RCR: rotation through CF, bit by bit of a (size + 1)-bit ring. */
const rotateCarry = (left: boolean) => (s: Semantics) => {
  const size = s.size;
  const d = s.modify(0);
  const c = count(s, 1);
  ifCounted(s, c, d, () => {
    const a = s.let(wide(s, d.value));
    const cf = s.let(s.carry());
    const n = s.let(size === 8 ? c.remU(9) : size === 16 ? c.remU(17) : c);
    const bit = s.f.local('i32');
    s.if(n, () =>
      s.f.loop((head) => {
        if (left) {
          s.f.set(bit, top(size, a));
          s.f.set(a, a.shl(1n).or(cf.zx()));
        } else {
          s.f.set(bit, a.lo().and(1));
          const shifted = (size === 64 ? a : a.and(i64((1n << BigInt(size)) - 1n))).shrU(1n);
          s.f.set(a, shifted.or(cf.zx().shl(BigInt(size - 1))));
        }
        s.f.set(cf, bit);
        s.f.set(n, n.sub(1));
        s.f.brIf(head, n);
      }),
    );
    const r = s.let(narrow(s, a));
    // OF: the top bit against CF, or against the bit below, whatever the count was
    const below = a
      .shrU(BigInt(size - 2))
      .lo()
      .and(1);
    s.flagsCarryOverflow(cf, s.let(top(size, a).xor(left ? cf : below)));
    d.write(r);
  });
};

/**
 * SHLD and SHRD. For 16 bits and counts above 16, which the SDM leaves undefined, the reference CPU goes on with the source's bits again.
 * CF and OF are those of the destination shifted alone (SHLD), CF of it and OF of the result's upper bits (SHRD); AF is set.
 */
const doubleShift = (left: boolean) => (s: Semantics) => {
  const size = s.size;
  const source = s.let(s.read(1));
  const d = s.modify(0);
  const c = count(s, 2);
  ifCounted(s, c, d, () => {
    const a = d.value;
    const k = s.let(c.zx());
    const bits = BigInt(size);
    const one = i32(1);
    let r: E;
    if (size === 64) {
      const back = s.let(i64(64).sub(k));
      r = s.let(left ? a.shl(k).or(source.shrU(back)) : a.shrU(k).or(source.shl(back)));
    } else {
      const wide = source.zx();
      const twice = size === 16 ? wide.shl(16n).or(wide) : wide;
      const ring = left ? a.zx().shl(32n).or(twice) : twice.shl(bits).or(a.zx());
      const x = s.let(left ? ring.shl(k).shrU(32n) : ring.shrU(k)).lo();
      r = s.let(size === 16 ? x.and(0xffff) : x);
    }
    if (left) {
      const alone = s.let(a.zx().shl(k));
      const cf = s.let(size === 64 ? a.shrU(i64(64).sub(k)).lo().and(1) : alone.shrU(bits).lo().and(1));
      // beyond 16 bits nothing of the destination is left there
      const high = size === 16 ? alone : r.zx();
      s.flagsExplicit(size, r, cf, s.let(top(size, high).xor(cf)), one);
    } else {
      const cf = s.let(a.zx().shrU(k.sub(1n)).lo().and(1));
      const w = s.let(r.zx());
      s.flagsExplicit(size, r, cf, s.let(top(size, w).xor(top(size, w.shl(1n)))), one);
    }
    d.write(r);
  });
};

/** BT, BTS, BTR, BTC: only CF is defined; hardware leaves the others alone. */
const bitTest = (change: null | ((v: E, mask: E) => E)) => (s: Semantics) => {
  const size = s.size;
  const fromRegister = s.operands[1]!.kind === 'G';
  const bit = s.let(s.read(1));
  const index = s.let((bit.t === 'i64' ? bit.lo() : bit).and(size - 1));
  const mask = s.let(size === 64 ? i64(1).shl(index.zx()) : i32(1).shl(index));
  const test = (v: E): E => s.let((size === 64 ? v.shrU(index.zx()).lo() : v.shrU(index)).and(1));
  if (!s.memory || !fromRegister) {
    if (!change) {
      s.flagsCarryOverflow(test(s.let(s.read(0))), null);
      return;
    }
    const d = s.modify(0);
    const v = s.let(d.value);
    const cf = test(v);
    d.write(s.let(change(v, mask)));
    s.flagsCarryOverflow(cf, null);
    return;
  }
  // A register's bit offset is signed and reaches beyond the operand (SDM vol. 2, BT).
  const signed = size === 64 ? bit : size === 16 ? bit.sx16() : bit;
  const steps =
    size === 64
      ? signed.shrS(6n).shl(3n)
      : s.addressType === 'i64'
        ? signed
            .sx()
            .shrS(BigInt(Math.log2(size)))
            .shl(BigInt(Math.log2(size) - 3))
        : signed.shrS(Math.log2(size)).shl(Math.log2(size) - 3);
  const address = s.let(s.addressPlus(steps, size / 8, change !== null));
  if (!change) {
    s.flagsCarryOverflow(test(s.load(address, size)), null);
    return;
  }
  const { h, finish } = s.modifyAddress(address, size / 8);
  const v = s.let(size === 16 ? h.ld16u() : size === 32 ? h.ld32() : h.ld64());
  const cf = test(v);
  const r = s.let(change(v, mask));
  if (size === 16) s.f.st16(h, 0, r);
  else if (size === 32) s.f.st32(h, 0, r);
  else s.f.st64(h, 0, r);
  finish();
  s.flagsCarryOverflow(cf, null);
};

/** BSF and BSR: a zero source sets ZF and leaves the destination; of the other flags PF is the result's and the rest clear, as on the reference CPU. */
const scan = (reverse: boolean) => (s: Semantics) => {
  const size = s.size;
  const v = s.let(s.read(1));
  s.if(
    v.eqz(),
    () => {
      // the destination stays as it was, its upper half included
      s.flags('Logic', size, s.k(size, 0));
    },
    () => {
      const r = s.let(reverse ? s.k(size, size === 64 ? 63 : 31).sub(v.clz()) : v.ctz());
      // not zero, whatever the result is
      s.flags('Logic', size, s.let(r.or(0x100)));
      s.write(0, r);
    },
  );
};

const group = (n: number): string[] => [
  `C0 /${n} Eb,Ib`,
  `C1 /${n} Ev,Ib`,
  `D0 /${n} Eb,1`,
  `D1 /${n} Ev,1`,
  `D2 /${n} Eb,CL`,
  `D3 /${n} Ev,CL`,
];
const tests = (register: string, n: number): string[] => [`0F ${register} /r Ev,Gv`, `0F BA /${n} Ev,Ib`];

export const bits: Instruction[] = [
  instruction('rol', group(0), { hot: true }, rotate(true)),
  instruction('ror', group(1), { hot: true }, rotate(false)),
  instruction('rcl', group(2), {}, rotateCarry(true)),
  instruction('rcr', group(3), {}, rotateCarry(false)),
  instruction('shl', [...group(4), ...group(6)], { hot: true }, shift('Shl')),
  instruction('shr', group(5), { hot: true }, shift('Shr')),
  instruction('sar', group(7), { hot: true }, shift('Sar')),
  instruction('shld', ['0F A4 /r Ev,Gv,Ib', '0F A5 /r Ev,Gv,CL'], { hot: true }, doubleShift(true)),
  instruction('shrd', ['0F AC /r Ev,Gv,Ib', '0F AD /r Ev,Gv,CL'], { hot: true }, doubleShift(false)),
  instruction('bt', tests('A3', 4), {}, bitTest(null)),
  instruction(
    'bts',
    tests('AB', 5),
    { lock: true },
    bitTest((v, m) => v.or(m)),
  ),
  instruction(
    'btr',
    tests('B3', 6),
    { lock: true },
    bitTest((v, m) => v.and(m.xor(-1))),
  ),
  instruction(
    'btc',
    tests('BB', 7),
    { lock: true },
    bitTest((v, m) => v.xor(m)),
  ),
  instruction(
    'bsf',
    ['NP 0F BC /r Gv,Ev', '66 0F BC /r Gv,Ev', 'F3 0F BC /r Gv,Ev', 'F2 0F BC /r Gv,Ev'],
    {},
    scan(false),
  ),
  instruction(
    'bsr',
    ['NP 0F BD /r Gv,Ev', '66 0F BD /r Gv,Ev', 'F3 0F BD /r Gv,Ev', 'F2 0F BD /r Gv,Ev'],
    {},
    scan(true),
  ),
  instruction('popcnt', ['F3 0F B8 /r Gv,Ev'], {}, (s) => {
    const v = s.let(s.read(1));
    const r = s.let(v.popcnt());
    // all flags clear but ZF
    s.setArithmeticFlags(s.let(v.eqz().shl(6)));
    s.write(0, r);
  }),
];
export { select };
