// Prints millions of instructions per CPU second of small loops, interpreted and translated (README of main/machine/cpu/translator).
import { CpuCore } from '../../main/machine/cpu/core.ts';
import { HostMemory } from '../../main/machine/cpu/host-memory.ts';
import { F, RAM_BASE, Seg } from '../../main/machine/cpu/layout.ts';

const CODE = 0x1000;
const BATCH = 1_000_000;
const MILLISECONDS = 500;

/** Loop for ever; ESI and EDI point at 16 KiB of data, ESP at a stack. */
const LOOPS = {
  // mov ebx, eax; shl ebx, 13; xor eax, ebx; mov ebx, eax; shr ebx, 17; xor eax, ebx; mov ebx, eax; shl ebx, 5; xor eax, ebx; dec ecx; jmp
  'xorshift in registers': [
    ...[0x89, 0xc3, 0xc1, 0xe3, 13, 0x31, 0xd8, 0x89, 0xc3, 0xc1, 0xeb, 17, 0x31, 0xd8, 0x89, 0xc3, 0xc1, 0xe3, 5],
    ...[0x31, 0xd8, 0x83, 0xe9, 1, 0xeb, 0xe6],
  ],
  // mov eax, [esi + ecx * 4]; mov [edi + ecx * 4], eax; inc ecx; and ecx, 0x7ff; jmp
  'copy of words': [0x8b, 0x04, 0x8e, 0x89, 0x04, 0x8f, 0x83, 0xc1, 1, 0x81, 0xe1, 0xff, 0x07, 0, 0, 0xeb, 0xef],
  // movzx eax, byte [esi + ecx]; add edx, eax; cmp eax, 0x80; setb bl; add ecx, 1; and ecx, 0x1fff; test ecx, ecx; jns
  'sum of bytes with conditions': [
    ...[0x0f, 0xb6, 0x04, 0x0e, 0x01, 0xc2, 0x3d, 0x80, 0, 0, 0, 0x0f, 0x92, 0xc3, 0x83, 0xc1, 1],
    ...[0x81, 0xe1, 0xff, 0x1f, 0, 0, 0x85, 0xc9, 0x79, 0xe5],
  ],
  // l: call f; jmp l; f: add eax, 1; ret
  'call and return': [0xe8, 2, 0, 0, 0, 0xeb, 0xf9, 0x83, 0xc0, 1, 0xc3],
  // l: test al, 1; jz a; add edx, 3; jmp b; a: sub edx, 1; b: add eax, 1; jmp l
  'if and else': [0xa8, 1, 0x74, 5, 0x83, 0xc2, 3, 0xeb, 3, 0x83, 0xea, 1, 0x83, 0xc0, 1, 0xeb, 0xef],
};

function rate(step: () => number): number {
  for (let n = 0; n < 20; n++) step();
  const start = process.cpuUsage();
  const end = performance.now() + MILLISECONDS;
  let retired = 0;
  while (performance.now() < end) retired += step();
  const used = process.cpuUsage(start);
  return retired / (used.user + used.system);
}

function measure(mode: 32 | 64, code: readonly number[], tier: 'interpreter' | 'translator'): number {
  const mem = new HostMemory(1 << 20);
  const core = new CpuCore(mem, undefined, { tier });
  const v = core.createVcpu();
  core.select(v);
  // identity map of 2 MiB by large pages; the same tables serve 64-bit mode and, from 0x4000, 32-bit mode
  mem.write32(0x4000, 0xe3);
  mem.write32(0x5000, 0x6023);
  mem.write32(0x6000, 0x7023);
  mem.write32(0x7000, 0xe3);
  v.set32(F.cr4, mode === 64 ? 0x20 : 0x10);
  v.set32(F.efer, mode === 64 ? 0x500 : 0);
  v.set64(F.cr3, mode === 64 ? 0x5000n : 0x4000n);
  v.set32(F.cr0, 0x8001_0011);
  for (const s of [Seg.ES, Seg.SS, Seg.DS])
    v.setSegment(s, { selector: 0x10, base: 0n, limit: 0xffff_ffff, attr: 0xc093 });
  v.setSegment(Seg.CS, { selector: 8, base: 0n, limit: 0xffff_ffff, attr: mode === 64 ? 0xa09b : 0xc09b });
  core.system.recomputeMode();
  mem.copyIn(CODE, Uint8Array.from(code));
  for (let n = 0; n < 16384; n++) mem.u8[RAM_BASE + 0x10000 + n] = n * 7;
  for (const [register, value] of [
    [0, 0x1234567n],
    [1, 0n],
    [4, 0x30000n],
    [6, 0x10000n],
    [7, 0x20000n],
  ] as const)
    v.setReg(register, value);
  v.rip = BigInt(CODE);
  const result = rate(() => core.run(v, BATCH).retired);
  if (tier === 'translator' && core.tier!.statistics().made === 0) throw new Error('Nothing was translated.');
  return result;
}

for (const mode of [32, 64] as const)
  for (const [name, code] of Object.entries(LOOPS)) {
    const interpreted = measure(mode, code, 'interpreter');
    const translated = measure(mode, code, 'translator');
    const times = (translated / interpreted).toFixed(1);
    console.log(
      `${mode}-bit ${name}: interpreted ${interpreted.toFixed(0)}, translated ${translated.toFixed(0)} million/s, ${times}x`,
    );
  }
