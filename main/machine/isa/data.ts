// Moving data: MOV and its kin, LEA, XCHG, CMPXCHG, XADD, BSWAP, conditional moves and sets, stack pushes and pops, XLAT, flag bits.

import { instruction, type Instruction, type Size } from './instruction.ts';
import { REG, i32, select, type Semantics, type E } from './semantics.ts';
import { hex } from './arithmetic.ts';
import { Seg } from '../cpu/layout.ts';

const CC = ['o', 'no', 'b', 'ae', 'z', 'nz', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
export const conditions = CC.map((name, n) => ({ name, n }));

const copy = (s: Semantics) => s.write(0, s.read(1));

const extend = (from: 8 | 16 | 32, signed: boolean) => (s: Semantics) => {
  const v = s.read(1);
  const w = signed ? (from === 8 ? v.sx8() : from === 16 ? v.sx16() : v) : v;
  s.write(0, s.size === 64 ? (signed ? w.sx() : w.zx()) : w);
};

const pushSize = (s: Semantics): Size => (s.osz === 16 ? 16 : s.mode === 64 ? 64 : 32);

const cmpxchgWide = (s: Semantics) => {
  const wide = s.osz === 64;
  const bytes = wide ? 16 : 8;
  const address = s.address(bytes, true);
  if (wide) s.if(address.lo().and(15), () => s.raise(13, 0));
  const { h, finish } = s.modifyAddress(address, bytes);
  if (wide) {
    const lo = s.let(h.ld64());
    const hi = s.let(h.ld64(8));
    const equal = s.let(lo.eq(s.reg(REG.AX, 64)).and(hi.eq(s.reg(REG.DX, 64))));
    s.f.st64(h, 0, select(equal, s.reg(REG.BX, 64), lo));
    s.f.st64(h, 8, select(equal, s.reg(REG.CX, 64), hi));
    finish();
    s.if(equal.eqz(), () => {
      s.setReg(REG.AX, 64, lo);
      s.setReg(REG.DX, 64, hi);
    });
    setZero(s, equal);
  } else {
    const old = s.let(h.ld64());
    const expected = s.reg(REG.DX, 32).zx().shl(32n).or(s.reg(REG.AX, 32).zx());
    const equal = s.let(old.eq(expected));
    s.f.st64(h, 0, select(equal, s.reg(REG.CX, 32).zx().shl(32n).or(s.reg(REG.BX, 32).zx()), old));
    finish();
    s.if(equal.eqz(), () => {
      s.setReg(REG.AX, 32, old);
      s.setReg(REG.DX, 32, old.shrU(32n));
    });
    setZero(s, equal);
  }
};
/** Changes ZF only. */
export function setZero(s: Semantics, z: E): void {
  const image = s.let(
    s
      .flag('cf')
      .or(s.flag('pf').shl(2))
      .or(s.flag('af').shl(4))
      .or(z.shl(6))
      .or(s.flag('sf').shl(7))
      .or(s.flag('of').shl(11)),
  );
  s.setArithmeticFlags(image);
}

const pusha = (s: Semantics) => {
  const size = s.osz as Size;
  const old = s.let(s.reg(REG.SP, size));
  // probe the lowest word first, so that nothing has changed when a later push faults
  for (let n = 0; n < 8; n++) s.push(n === REG.SP ? old : s.let(s.reg(n, size)), size);
};
const popa = (s: Semantics) => {
  const size = s.osz as Size;
  // registers change only after the last read
  const values = [7, 6, 5, 4, 3, 2, 1, 0].map((n) => {
    const { value, commit } = s.pop(size);
    commit();
    return [n, value] as const;
  });
  for (const [n, value] of values) if (n !== REG.SP) s.setReg(n, size, value);
};

export const data: Instruction[] = [
  instruction(
    'mov',
    ['88 /r Eb,Gb', '89 /r Ev,Gv', '8A /r Gb,Eb', '8B /r Gv,Ev', 'B0+ Zb,Ib', 'C6 /0 Eb,Ib', 'C7 /0 Ev,Iz'],
    { hot: true },
    copy,
  ),
  instruction('mov', ['B8+ Zv,Iv'], { hot: true }, copy),
  instruction('mov', ['A0 AL,Ob', 'A1 rAX,Ov', 'A2 Ob,AL', 'A3 Ov,rAX'], { hot: true }, copy),
  instruction('movzx', ['0F B6 /r Gv,Eb'], { hot: true }, extend(8, false)),
  instruction('movzx', ['0F B7 /r Gv,Ew'], { hot: true }, extend(16, false)),
  instruction('movsx', ['0F BE /r Gv,Eb'], { hot: true }, extend(8, true)),
  instruction('movsx', ['0F BF /r Gv,Ew'], { hot: true }, extend(16, true)),
  instruction('movsxd', ['63 /r Gv,Ed'], { o64: true, hot: true }, (s) => {
    const v = s.read(1);
    s.write(0, s.size === 64 ? v.sx() : v);
  }),
  instruction('movnti', ['NP 0F C3 /r My,Gy'], {}, copy),
  instruction('lea', ['8D /r Gv,M'], { hot: true }, (s) => {
    const a = s.effectiveAddress();
    s.write(0, s.size === 64 ? a.zx() : a.lo());
  }),
  instruction('xchg', ['86 /r Eb,Gb', '87 /r Ev,Gv'], { lock: true }, (s) => {
    const d = s.modify(0);
    const v = s.read(1);
    const old = s.let(d.value);
    d.write(v);
    s.write(1, old);
  }),
  instruction('xchg', ['91+ Zv,rAX'], {}, (s) => {
    const a = s.let(s.read(0));
    const b = s.let(s.read(1));
    s.write(0, b);
    s.write(1, a);
  }),
  instruction('nop', ['NP 90', '66 90', 'F2 90'], { hot: true }, () => {}),
  instruction(
    'nop',
    [
      '0F 1F /r Ev',
      '0F 18 /r Ev',
      '0F 19 /r Ev',
      '0F 1A /r Ev',
      '0F 1B /r Ev',
      '0F 1C /r Ev',
      '0F 1D /r Ev',
      '0F 1E /r Ev',
      '0F 0D /r Ev',
    ],
    { hot: true },
    () => {},
  ),
  // loads and stores are already in program order here
  instruction('lfence', ['0F AE /E8+'], {}, () => {}),
  instruction('mfence', ['0F AE /F0+'], {}, () => {}),
  instruction('sfence', ['0F AE /F8+'], {}, () => {}),
  instruction('xadd', ['0F C0 /r Eb,Gb', '0F C1 /r Ev,Gv'], { lock: true }, (s) => {
    const d = s.modify(0);
    const b = s.let(s.read(1));
    const a = s.let(d.value);
    const r = s.let(a.add(b));
    s.flags('Add', s.size, r, a, b);
    // register destination last: XADD of a register with itself doubles it
    if (s.memory) {
      d.write(r);
      s.write(1, a);
    } else {
      s.write(1, a);
      d.write(r);
    }
  }),
  instruction('cmpxchg', ['0F B0 /r Eb,Gb', '0F B1 /r Ev,Gv'], { lock: true }, (s) => {
    const size = s.size;
    const d = s.modify(0);
    const source = s.let(s.read(1));
    const acc = s.let(s.reg(REG.AX, size));
    const old = s.let(d.value);
    const equal = s.let(acc.eq(old));
    s.flags('Sub', size, s.let(acc.sub(old)), acc, old);
    if (s.memory) {
      d.write(select(equal, source, old));
      s.if(equal.eqz(), () => s.setReg(REG.AX, size, old));
    } else
      s.if(
        equal,
        () => d.write(source),
        () => {
          s.setReg(REG.AX, size, old);
        },
      );
  }),
  instruction('cmpxchg8b', ['0F C7 /1 M'], { lock: true, sized: true }, cmpxchgWide),
  instruction('bswap', ['0F C8+ Zv'], {}, (s) => {
    const v = s.read(0);
    if (s.size === 64) {
      const a = s.let(v.shrU(8n).and(0x00ff00ff00ff00ffn).or(v.and(0x00ff00ff00ff00ffn).shl(8n)));
      const b = s.let(a.shrU(16n).and(0x0000ffff0000ffffn).or(a.and(0x0000ffff0000ffffn).shl(16n)));
      s.write(0, b.rotl(32n));
    } else if (s.size === 32) {
      s.write(
        0,
        v
          .rotl(8)
          .and(0x00ff00ff)
          .or(v.rotr(8).and(0xff00ff00 | 0)),
      );
    } else s.write(0, i32(0)); // undefined by the manual; hardware clears it
  }),
  ...conditions.map(({ name, n }) =>
    instruction(`cmov${name}`, [`0F ${hex(0x40 + n)} /r Gv,Ev`], { hot: true }, (s) => {
      const v = s.let(s.read(1)); // memory is read whatever the condition
      const old = s.read(0);
      // a 32-bit destination is zero-extended even when the condition is false
      s.write(0, select(s.condition(n), v, old));
    }),
  ),
  ...conditions.map(({ name, n }) =>
    instruction(`set${name}`, [`0F ${hex(0x90 + n)} /r Eb`], { hot: true }, (s) => s.write(0, s.condition(n))),
  ),
  instruction('push', ['50+ Zv'], { d64: true, stack: true, hot: true }, (s) => s.push(s.read(0), s.size)),
  instruction('pop', ['58+ Zv'], { d64: true, stack: true, hot: true }, (s) => {
    const { value, commit } = s.pop(s.size);
    commit();
    s.write(0, value);
  }),
  instruction('push', ['FF /6 Ev'], { d64: true, stack: true, hot: true }, (s) => s.push(s.let(s.read(0)), s.size)),
  instruction('push', ['68 Iz', '6A Ib'], { d64: true, stack: true, sized: true, hot: true }, (s) => {
    const size = pushSize(s);
    s.push(size === 64 ? s.immediate() : s.immediate().lo(), size);
  }),
  instruction('pop', ['8F /0 Ev'], { d64: true, stack: true }, (s) => {
    const size = s.size;
    const { value, commit } = s.pop(size);
    if (!s.memory) {
      commit();
      s.write(0, value);
      return;
    }
    // the address is computed with the stack pointer already moved (SDM vol. 2, POP)
    s.atomicStack(() => {
      commit();
      s.write(0, value);
    });
  }),
  instruction('pusha', ['60'], { i64: true, stack: true, sized: true }, (s) => s.atomicStack(() => pusha(s))),
  instruction('popa', ['61'], { i64: true, stack: true, sized: true }, (s) => s.atomicStack(() => popa(s))),
  ...(
    [
      ['06', Seg.ES, true],
      ['0E', Seg.CS, true],
      ['16', Seg.SS, true],
      ['1E', Seg.DS, true],
      ['0F A0', Seg.FS, false],
      ['0F A8', Seg.GS, false],
    ] as const
  ).map(([code, seg, legacy]) =>
    instruction('push', [code], { stack: true, sized: true, d64: true, i64: legacy }, (s) => {
      const size = pushSize(s);
      // With a 32-bit operand size recent Intel cores write only the low word of the slot (SDM vol. 2, PUSH).
      const selector = s.let(s.selector(seg));
      s.pushSelector(selector, size);
    }),
  ),
  instruction('leave', ['C9'], { d64: true, stack: true, sized: true, hot: true }, (s) => {
    const size = pushSize(s);
    s.leave(size);
  }),
  instruction('xlat', ['D7'], {}, (s) => {
    const v = s.load(s.xlatAddress(), 8);
    s.setReg(REG.AX, 8, v);
  }),
  instruction('lahf', ['9F'], {}, (s) => {
    const image = s.let(
      s
        .flag('cf')
        .or(2)
        .or(s.flag('pf').shl(2))
        .or(s.flag('af').shl(4))
        .or(s.flag('zf').shl(6))
        .or(s.flag('sf').shl(7)),
    );
    s.setReg(REG.AX, 16, s.reg(REG.AX, 8).or(image.shl(8)));
  }),
  instruction('sahf', ['9E'], {}, (s) => {
    const ah = s.let(s.reg(REG.AX, 16).shrU(8));
    s.setArithmeticFlags(s.let(ah.and(0xd5).or(s.flag('of').shl(11))));
  }),
  instruction('clc', ['F8'], {}, (s) => s.flagsCarryOverflow(i32(0), null)),
  instruction('stc', ['F9'], {}, (s) => s.flagsCarryOverflow(i32(1), null)),
  instruction('cmc', ['F5'], {}, (s) => s.flagsCarryOverflow(s.let(s.carry().xor(1)), null)),
  instruction('cld', ['FC'], { hot: true }, (s) => s.setState('eflags', s.eflags().and(~0x400))),
  instruction('std', ['FD'], {}, (s) => s.setState('eflags', s.eflags().or(0x400))),
  instruction('salc', ['D6'], { i64: true }, (s) => s.setReg(REG.AX, 8, i32(0).sub(s.carry()))),
];
