// REP STOS in bulk: every element size, any alignment, across pages, and nothing beyond the last element.

import { describe, expect, it } from 'vitest';
import { CpuCore } from '../../../../main/machine/cpu/core.ts';
import { HostMemory } from '../../../../main/machine/cpu/host-memory.ts';
import { F, STATE, Seg } from '../../../../main/machine/cpu/layout.ts';
import { Random } from './side-by-side.ts';

const CODE = 0x1000;
const DATA = 0x4000;
const DATA_BYTES = 0x6000;

describe('REP STOS', () => {
  it.each([
    ['stosb', 1, [0xf3, 0xaa]],
    ['stosw', 2, [0x66, 0xf3, 0xab]],
    ['stosd', 4, [0xf3, 0xab]],
  ] as const)('%s fills its elements and no more', (_name, bytes, code) => {
    const mem = new HostMemory(256 * 1024);
    const core = new CpuCore(mem);
    const vcpu = core.createVcpu();
    core.select(vcpu);
    const { state } = core.system;
    mem.u32[(STATE + F.cr0) >> 2] = 0x11;
    state.setSegment(Seg.CS, 8, 0, 0xffff_ffff, 0xc09b);
    for (const s of [Seg.ES, Seg.SS, Seg.DS]) state.setSegment(s, 0x10, 0, 0xffff_ffff, 0xc093);
    core.system.recomputeMode();
    mem.copyIn(CODE, Uint8Array.of(...code, 0x90, 0xf4));
    const r = new Random(bytes * 77);
    for (let n = 0; n < 60; n++) {
      mem.fill(DATA, 0x55, DATA_BYTES);
      const at = DATA + 16 + r.below(4096);
      const count = r.below(n % 2 ? 40 : 4000 / bytes) + (r.once(4) ? 4096 / bytes : 0);
      const value = r.word();
      state.rip = CODE;
      state.setReg32(0, value);
      state.setReg32(1, count);
      state.setReg32(7, at);
      const wanted = new Uint8Array(DATA_BYTES).fill(0x55);
      for (let k = 0; k < count * bytes; k++) wanted[at - DATA + k] = value >>> (8 * (k % bytes));
      for (let turn = 0; state.rip !== CODE + code.length && turn < 100; turn++) core.run(vcpu, 1);
      expect([state.regLo(1), state.regLo(7)]).toEqual([0, at + count * bytes]);
      expect(Buffer.compare(mem.copyOut(DATA, DATA_BYTES), wanted)).toBe(0);
    }
  });
});
