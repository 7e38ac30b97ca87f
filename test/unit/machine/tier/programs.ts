// Random programs with control flow: functions that call each other directly and through registers, counted loops, conditions, in several pages.
// Counters and saved stack pointers live in memory, so that the instructions between may change any register.

import { DATA, DATA_PAGES } from '../translator/two-tiers.ts';
import { straightLine, type Random } from '../translator/programs.ts';
import { CODE } from './machine.ts';

const SLOTS = DATA + (DATA_PAGES - 1) * 4096;
const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];

/** Machine code for CODE that ends in UD2; it retires some thousands of instructions. */
export function program(r: Random, mode: 32 | 64): number[] {
  const absolute = (digit: number, address: number): number[] =>
    mode === 64 ? [(digit << 3) | 4, 0x25, ...word32(address)] : [(digit << 3) | 5, ...word32(address)];
  const wide = mode === 64 ? [0x48] : [];
  let slot = SLOTS;
  const out: number[] = [];
  const functions: number[] = [];
  const body = (depth: number, stack: number): void => {
    for (let n = 1 + r.below(3); n > 0; n--) {
      out.push(...straightLine(r, mode, 1 + r.below(8), 6, false).code);
      switch (r.below(depth > 2 ? 3 : 5)) {
        case 0: {
          // Jcc over some instructions
          const inside = straightLine(r, mode, 1 + r.below(6), 6, false).code;
          if (inside.length < 128 && r.once(2)) out.push(0x70 | r.below(16), inside.length, ...inside);
          else out.push(0x0f, 0x80 | r.below(16), ...word32(inside.length), ...inside);
          break;
        }
        case 1:
          if (functions.length > 0) {
            const target = r.pick(functions);
            if (r.once(2)) out.push(0xe8, ...word32(target - (out.length + 5)));
            else out.push(0xb8, ...word32(CODE + target), 0xff, 0xd0);
          }
          break;
        case 2:
          // a jump into the next page now and then
          if (r.once(8)) {
            const gap = 4096 - ((out.length + 5) & 4095);
            out.push(0xe9, ...word32(gap), ...Array<number>(gap).fill(0xcc));
          }
          break;
        default: {
          const counter = (slot += 8);
          out.push(0xc7, ...absolute(0, counter), ...word32(1 + r.below(depth === 0 ? 40 : 6)));
          const head = out.length;
          body(depth + 1, stack);
          out.push(...wide, 0x8b, ...absolute(4, stack)); // what was pushed is dropped
          out.push(0xff, ...absolute(1, counter));
          out.push(0x0f, 0x85, ...word32(head - (out.length + 6)));
        }
      }
    }
  };
  const define = (): void => {
    const at = out.length;
    const stack = (slot += 8);
    out.push(...wide, 0x89, ...absolute(4, stack));
    body(functions.length === 0 ? 1 : 0, stack);
    out.push(...wide, 0x8b, ...absolute(4, stack));
    functions.push(at);
  };
  out.push(0xe9, 0, 0, 0, 0);
  for (let n = 1 + r.below(4); n > 0; n--) {
    define();
    out.push(0xc3);
    // callers in another page
    if (r.once(2)) out.push(...Array<number>(4096 - (out.length & 4095)).fill(0xcc));
  }
  out.splice(1, 4, ...word32(out.length - 5));
  define();
  out.push(0x0f, 0x0b);
  return out;
}
