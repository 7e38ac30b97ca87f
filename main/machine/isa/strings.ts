// String instructions. A repeated one executes in steps of at most STRING_STEP elements: after a step with work left the instruction
// is executed again (its address stays), so that interrupts come in between and time moves on; each step counts as one retired instruction.
// MOVS and STOS upwards through ordinary memory go as bulk copies and fills, at most to the end of a page in one go.

import { instruction, type Instruction, type Size } from './instruction.ts';
import { REG, i32, select, rawStore, type Semantics, type E } from './semantics.ts';
import { OpFlag } from '../cpu/layout.ts';

/** Elements per step. */
export const STRING_STEP = 1024;

type Body = (s: Semantics, delta: E) => E | null;
/**
 * Writes: as many of `n` elements (not 0) as can be done at once, upwards; all of them or none with `whole`. Returns how many, 0 = none.
 */
type Bulk = (s: Semantics, n: E, whole: boolean) => E;
/** Elements that are done at once at most. */
const MOST = 0xffff;

/** The repetition in translated code: done at once, which is one step and so one instruction, or left to the interpreter. */
function atOnce(s: Semantics, df: E, bulk: Bulk): void {
  const left = s.let(s.counter().value);
  s.f.block((done) => {
    s.f.brIf(done, left.eqz());
    const many = left.t === 'i64' ? left.gtU(BigInt(MOST)) : left.gtU(MOST);
    s.f.if(df.or(many), () => s.leaveWhole());
    const n = s.let(bulk(s, left.lo(), true));
    s.f.if(n.eqz(), () => s.leaveWhole());
    s.subtractCounter(n);
  });
}

/**
 * Writes the repetition around one element's work. `element` returns ZF as i32 when REPE/REPNE look at it.
 * `bulk`, when given, tries to do many elements at once; if it does none, one is done the ordinary way.
 */
function repeated(element: Body, bulk?: Bulk) {
  return (s: Semantics) => {
    const size = s.size;
    const bytes = size / 8;
    const df = s.let(s.eflags().and(0x400));
    const delta = s.let(select(df, i32(-bytes), bytes));
    const rep = s.value(s.prefix(OpFlag.Rep | OpFlag.Repne));
    s.if(
      rep.eqz(),
      () => {
        element(s, delta);
      },
      () => {
        if (s.wholeOnly) {
          atOnce(s, df, bulk!);
          return;
        }
        const steps = s.let(i32(STRING_STEP));
        const repne = s.let(s.prefix(OpFlag.Repne));
        s.f.block((done) => {
          s.f.loop((head) => {
            const c = s.counter();
            const left = s.let(c.value);
            s.f.brIf(done, left.t === 'i64' ? left.eqz() : left.eqz());
            if (bulk) {
              const limited = s.let(
                left.t === 'i64'
                  ? select(left.gtU(BigInt(MOST)), i32(MOST), left.lo())
                  : select(left.gtU(MOST), i32(MOST), left),
              );
              const n = s.let(i32(0));
              s.if(df.eqz(), () => s.f.set(n, bulk(s, limited, false)));
              s.if(n, () => {
                s.subtractCounter(n);
                s.f.set(steps, steps.sub(64));
                s.if(steps.leS(0), () => s.again());
                s.f.br(head);
              });
            }
            const z = element(s, delta);
            const rest = s.let(s.counter().decrement());
            if (z) {
              // REPE stops at ZF = 0, REPNE at ZF = 1
              const zf = s.let(z);
              s.f.brIf(done, select(repne, zf, zf.eqz()));
            }
            s.f.brIf(done, rest.eq(0));
            // a data breakpoint traps behind the iteration that touched it
            s.if(s.state('pendingDebug'), () => s.again());
            s.f.set(steps, steps.sub(1));
            s.f.brIf(head, steps);
            s.again();
          });
        });
      },
    );
  };
}

const advance = (s: Semantics, register: number, delta: E) => s.advanceIndex(register, delta);

const movs: Body = (s, delta) => {
  const size = s.size;
  const v = s.load(s.stringSource(size / 8), size);
  s.store(s.stringDestination(size / 8, true), size, v);
  advance(s, REG.SI, delta);
  advance(s, REG.DI, delta);
  return null;
};
const stos: Body = (s, delta) => {
  s.store(s.stringDestination(s.size / 8, true), s.size, s.reg(REG.AX, s.size));
  advance(s, REG.DI, delta);
  return null;
};
const lods: Body = (s, delta) => {
  const v = s.load(s.stringSource(s.size / 8), s.size);
  s.setReg(REG.AX, s.size, v);
  advance(s, REG.SI, delta);
  return null;
};
const cmps: Body = (s, delta) => {
  const size = s.size;
  const a = s.load(s.stringSource(size / 8), size);
  const b = s.load(s.stringDestination(size / 8, false), size);
  s.flags('Sub', size, s.let(a.sub(b)), a, b);
  advance(s, REG.SI, delta);
  advance(s, REG.DI, delta);
  return s.flag('zf');
};
const scas: Body = (s, delta) => {
  const size = s.size;
  const a = s.let(s.reg(REG.AX, size));
  const b = s.load(s.stringDestination(size / 8, false), size);
  s.flags('Sub', size, s.let(a.sub(b)), a, b);
  advance(s, REG.DI, delta);
  return s.flag('zf');
};

/** WebAssembly's i16x8.splat, i32x4.splat and i64x2.splat. */
const SPLAT = { 16: [0xfd, 0x10], 32: [0xfd, 0x11], 64: [0xfd, 0x12] };

/** Elements that fit from a WebAssembly address to the end of its page. */
const roomInPage = (h: E, log2: number): E => i32(4096).sub(h.and(4095)).shrU(log2);

function bulkMovs(s: Semantics, n: E, whole: boolean): E {
  const size = s.size;
  const log2 = Math.log2(size / 8);
  const result = s.let(i32(0));
  s.f.block((out) => {
    const src = s.stringSource(size / 8);
    const dst = s.stringDestination(size / 8, true);
    const from = s.let(s.peek(src, false));
    s.f.brIf(out, from.eqz());
    const to = s.let(s.peek(dst, true));
    s.f.brIf(out, to.eqz());
    const count = s.let(n);
    const a = s.let(roomInPage(from, log2));
    s.f.set(count, select(a.ltU(count), a, count));
    const b = s.let(roomInPage(to, log2));
    s.f.set(count, select(b.ltU(count), b, count));
    s.f.brIf(out, whole ? count.ne(n) : count.eqz());
    const length = s.let(count.shl(log2));
    // a destination just above the source repeats a pattern: element by element
    s.f.brIf(out, to.sub(from).ltU(length).and(to.ne(from)));
    s.f.copy(to, from, length);
    advance(s, REG.SI, length);
    advance(s, REG.DI, length);
    s.f.set(result, count);
  });
  return result;
}
function bulkStos(s: Semantics, n: E, whole: boolean): E {
  const size = s.size;
  const log2 = Math.log2(size / 8);
  const result = s.let(i32(0));
  s.f.block((out) => {
    const dst = s.stringDestination(size / 8, true);
    const to = s.let(s.peek(dst, true));
    s.f.brIf(out, to.eqz());
    const count = s.let(n);
    const b = s.let(roomInPage(to, log2));
    s.f.set(count, select(b.ltU(count), b, count));
    s.f.brIf(out, whole ? count.ne(n) : count.eqz());
    const length = s.let(count.shl(log2));
    const v = s.let(s.reg(REG.AX, size as Size));
    if (size === 8) s.f.fill(to, v, length);
    else {
      const at = s.let(to);
      const end = s.let(to.add(length));
      const pattern = s.let(v.op(SPLAT[size as 16 | 32 | 64], 'v128'));
      // 64 bytes at a time, then what is left
      s.f.block((few) => {
        s.f.loop((head) => {
          s.f.brIf(few, end.sub(at).ltU(64));
          for (let k = 0; k < 64; k += 16) s.f.stV128(at, k, pattern);
          s.f.set(at, at.add(64));
          s.f.br(head);
        });
      });
      s.f.block((done) => {
        s.f.loop((head) => {
          s.f.brIf(done, at.geU(end));
          rawStore(s.f, at, size as Size, v);
          s.f.set(at, at.add(size / 8));
          s.f.br(head);
        });
      });
    }
    advance(s, REG.DI, length);
    s.f.set(result, count);
  });
  return result;
}

// The operand names only carry the size here; the registers are implied.
export const strings: Instruction[] = [
  instruction('movs', ['A4 Xb', 'A5 Xv'], {}, repeated(movs, bulkMovs)),
  instruction('cmps', ['A6 Xb', 'A7 Xv'], {}, repeated(cmps)),
  instruction('stos', ['AA Xb', 'AB Xv'], {}, repeated(stos, bulkStos)),
  instruction('lods', ['AC Xb', 'AD Xv'], {}, repeated(lods)),
  instruction('scas', ['AE Xb', 'AF Xv'], {}, repeated(scas)),
];
