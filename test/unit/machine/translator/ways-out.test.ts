// What a way out costs: V8's time for a region goes with its bytes, and half of its instructions have a way out in front of them.

import { describe, expect, it } from 'vitest';
import { CODE, DATA, TwoTiers } from './two-tiers.ts';
import { translateRegions } from '../../../../main/machine/cpu/translator/translate.ts';
import { F, STATE } from '../../../../main/machine/cpu/layout.ts';

/** Bytes of the module of a program that sets flags once and loads `loads` times, each time from another page. */
function bytes(m: TwoTiers, setter: readonly number[], loads: number): number {
  const { mode } = m;
  const address = mode === 64 ? [0x04, 0x25] : [0x05];
  const load = (n: number): number[] => [0x8b, ...address, 0, (DATA >> 8) + 16 * n, 0, 0];
  m.load([...setter, ...Array.from({ length: loads }, (_, n) => load(n)).flat()], 20);
  const { mem } = m.translated;
  mem.u32[(STATE + F.codeFrame) >> 2] = CODE >> 12;
  return translateRegions(m.translated.core, mode, [m.translated.request()])!.bytes.length;
}

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  const m = new TwoTiers(mode);
  const each = (code: readonly number[]): number => (bytes(m, code, 8) - bytes(m, code, 2)) / 6;
  const nothing = each([0x89, 0xd8]);

  it.each([
    ['ADD', [0x01, 0xd8]],
    ['CMP', [0x39, 0xd8]],
    ['TEST', [0x85, 0xd8]],
    ['SHL', [0xc1, 0xe0, 0x03]],
    ['SHR', [0xc1, 0xe8, 0x03]],
    ['INC', [0xff, 0xc0]],
    ['DEC', [0xff, 0xc8]],
  ] as const)('behind %s a load is hardly longer than where flags are as the state has them', (_, setter) => {
    expect(each(setter) - nothing).toBeLessThan(4);
  });
});
