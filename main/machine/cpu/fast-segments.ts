// MOV from a register and POP to DS, ES, FS and GS in the everyday cases, as WebAssembly: 32-bit code, a data segment of the GDT that has been
// accessed before, or null for FS and GS; DS and ES stay flat.
// Invariant: as in fast-events.ts.

import { E, i32, i64, select } from '../wasm/expr.ts';
import { UNUSUAL } from './fast-calls.ts';
import { type Fast, state } from './fast.ts';
import { F, GPR, Next, OP, OpFlag, STATE, Seg, SegAttr } from './layout.ts';

const RSP = 4;
/** Second word of a descriptor: present, code or data, data, not expand-down, accessed. */
const DATA_MASK = 0x9d00;
const DATA = 0x9100;
/** The same of one that is flat and can be written; DPL and AVL are free. */
const FLAT_MASK = ~0x10_6000;
const FLAT = 0x00cf_9300;

/** Checks that a selector can be loaded, runs `commit`, loads it and ends the instruction (SDM vol. 3, 5.4 to 5.6). */
function load(s: Fast, segment: E, selector: E, commit: () => void): void {
  const { f } = s;
  const put = (base: E, limit: E, attr: E): void => {
    const at = f.let(segment.shl(2).add(STATE));
    commit();
    f.st32(at, F.selector, selector);
    f.st32(at, F.segAttr, attr);
    f.st32(at, F.segLimit, limit);
    f.st64(f.let(segment.shl(3).add(STATE)), F.segBase, base);
    f.return(i32(Next.Sequential));
  };
  const flat = f.let(segment.ltU(Seg.FS));
  f.if(selector.and(0xfffc).eqz(), () => {
    s.no(flat);
    put(i64(0), i32(0), selector.and(3).shl(SegAttr.DplShift).or(SegAttr.Unusable));
  });
  const { lo, hi } = s.anyDescriptor(selector);
  s.no(hi.and(DATA_MASK).ne(DATA));
  s.no(flat.and(hi.and(FLAT_MASK).ne(FLAT).or(lo.ne(0xffff))));
  const dpl = f.let(hi.shrU(13).and(3));
  s.no(selector.and(3).gtU(dpl).or(state(F.cpl).gtU(dpl)));
  const raw = f.let(lo.and(0xffff).or(hi.and(0xf_0000)));
  const base = lo
    .shrU(16)
    .or(hi.and(0xff).shl(16))
    .or(hi.and(0xff00_0000 | 0));
  put(base.zx(), select(hi.and(0x80_0000), raw.shl(12).or(0xfff), raw), hi.shrU(8).and(0xf0ff));
}

function movToSegment(s: Fast, op: E): void {
  const { f } = s;
  if (s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  const modrm = f.let(op.ld8u(OP.bytes));
  s.no(modrm.ltU(0xc0));
  const segment = f.let(modrm.shrU(3).and(7));
  s.no(segment.eq(Seg.CS).or(segment.eq(Seg.SS)).or(segment.gtU(Seg.GS)));
  const selector = f.let(
    modrm
      .and(7)
      .shl(3)
      .ld16u(STATE + GPR),
  );
  load(s, segment, selector, () => {});
}
function popSegment(s: Fast, op: E): void {
  const { f } = s;
  if (s.long) return f.return(i32(UNUSUAL));
  s.usualMode();
  s.no(op.ld8u(OP.flags).and(OpFlag.OpSize16));
  const segment = f.let(
    op
      .ld8u(OP.bytes + 1)
      .shrU(3)
      .and(7),
  );
  s.no(segment.eq(Seg.SS));
  const sp = s.rsp;
  // two bytes are read, but four must lie within the limit
  const selector = f.let(s.at(sp, 4, false, state(F.cpl).eq(3)).ld16u());
  load(s, segment, selector, () => s.set64(GPR + RSP * 8, sp.add(4).zx()));
}

/** By the name of the system routine. */
export const FAST_SEGMENTS: Readonly<Record<string, (s: Fast, op: E) => void>> = {
  mov_to_sreg: movToSegment,
  pop_sreg: popSegment,
};
