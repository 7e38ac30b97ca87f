// What makes a place hot: jumps to it, not that control comes by.

import { describe, expect, it } from 'vitest';
import { CODE, TierMachine } from './machine.ts';

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it('a long loop is one region: going on where a trace of records ends is no jump', () => {
    const m = new TierMachine(mode, {
      tier: 'translator',
      translator: { threshold: 300, batch: 1, background: false },
    });
    // 200 times add eax, ecx; dec ecx; jnz back
    const body = Array.from({ length: 200 }, () => [0x01, 0xc8]).flat();
    const back = -(body.length + 2 + 6);
    m.mem.copyIn(
      CODE,
      Uint8Array.from([...body, 0xff, 0xc9, 0x0f, 0x85, back & 255, (back >> 8) & 255, 255, 255, 0x0f, 0x0b]),
    );
    m.vcpu.setReg(1, 2000n);
    m.runUntil(2000 * 202);
    expect(m.vcpu.getReg(1)).toBe(0n);
    expect(m.core.tier!.statistics()).toMatchObject({ made: 1, regions: 1 });
  });

  it.each([
    ['behind what a region leaves to the interpreter another region may begin: REP LODS', 0xac, 2],
    ['a region goes on behind REP STOS', 0xaa, 1],
    ['a region goes on behind REP MOVS', 0xa4, 1],
  ])('%s', (_name, opcode, regions) => {
    const m = new TierMachine(mode, {
      tier: 'translator',
      translator: { threshold: 300, batch: 1, background: false },
    });
    // add eax, ecx; add eax, edx; rep lodsb, stosb or movsb; add edx, eax; dec esi; jnz back
    const code = [0x01, 0xc8, 0x01, 0xd0, 0xf3, opcode, 0x01, 0xc2, 0xff, 0xce, 0x75, 0xf4, 0x0f, 0x0b];
    m.mem.copyIn(CODE, Uint8Array.from(code));
    m.vcpu.setReg(1, 0n);
    m.vcpu.setReg(6, 5000n);
    m.vcpu.setReg(7, 0x1000n);
    m.runUntil(5000 * 6);
    expect(m.vcpu.getReg(6)).toBe(0n);
    expect(m.core.tier!.statistics()).toMatchObject({ made: regions, regions });
  });

  it('a place inside a region gets its own only if control still comes there after as many jumps again', () => {
    const m = new TierMachine(mode, {
      tier: 'translator',
      translator: { threshold: 300, batch: 4, background: false },
    });
    // both ways of a branch in a loop are as hot as the loop: test cl, 1; jz +2; add eax, ecx; add edx, ecx; dec ecx; jnz back; ud2
    const code = [0xf6, 0xc1, 1, 0x74, 2, 0x01, 0xc8, 0x01, 0xca, 0xff, 0xc9, 0x75, -13 & 255, 0x0f, 0x0b];
    m.mem.copyIn(CODE, Uint8Array.from(code));
    const loop = (from: number, passes: number): void => {
      m.vcpu.rip = BigInt(CODE + from);
      m.vcpu.setReg(1, BigInt(passes));
      m.core.run(m.vcpu, 1_000_000);
    };
    loop(0, 5000);
    expect(m.core.tier!.statistics()).toMatchObject({ made: 1, regions: 1, refused: 0 });
    // entered in its middle
    for (let n = 0; n < 500; n++) loop(7, 1);
    expect(m.core.tier!.statistics()).toMatchObject({ made: 1 });
    for (let n = 0; n < 2000; n++) loop(7, 1);
    m.core.tier!.translateQueue();
    expect(m.core.tier!.statistics()).toMatchObject({ made: 2, regions: 2 });
  });
});
