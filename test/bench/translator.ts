// Prints millions of instructions per CPU second of three small loops, interpreted and translated (README of main/machine/cpu/translator).
import { CpuCore } from '../../main/machine/cpu/core.ts';
import { HostMemory } from '../../main/machine/cpu/host-memory.ts';
import { F, PAGE_CODE, RAM_BASE, STATE, Seg } from '../../main/machine/cpu/layout.ts';
import { translateRegion } from '../../main/machine/cpu/translator/translate.ts';

const CODE = 0x1000;
const BATCH = 200_000;
const MILLISECONDS = 700;

/** Loops for ever; ESI and EDI point at 16 KiB of data. */
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

for (const mode of [32, 64] as const)
  for (const [name, code] of Object.entries(LOOPS)) {
    const mem = new HostMemory(1 << 20);
    const core = new CpuCore(mem);
    const v = core.createVcpu();
    core.select(v);
    // identity map of 2 MiB by large pages; the same tables serve 64-bit mode and, from 0x4000, 32-bit mode
    mem.write32(0x4000, 0x83);
    mem.write32(0x5000, 0x6003);
    mem.write32(0x6000, 0x7003);
    mem.write32(0x7000, 0x83);
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
      [6, 0x10000n],
      [7, 0x20000n],
    ] as const)
      v.setReg(register, value);
    v.rip = BigInt(CODE);
    const interpreted = rate(() => core.run(v, BATCH).retired);
    // back at the loop's head, whatever the budget ended at
    while (v.rip !== BigInt(CODE)) core.run(v, 1);
    const record = mem.u32[(mem.u32[(PAGE_CODE >> 2) + (CODE >> 12)]! >> 2) + (CODE & 4095)]!;
    const region = translateRegion(core, record);
    if (!region?.loops) throw new Error(`${name} was not translated as a loop.`);
    const fuel = (STATE + F.fuel) >> 2;
    const translated = rate(() => {
      mem.i32[fuel] = BATCH;
      region.enter();
      return BATCH - mem.i32[fuel]!;
    });
    const times = (translated / interpreted).toFixed(1);
    console.log(
      `${mode}-bit ${name}: interpreted ${interpreted.toFixed(0)}, translated ${translated.toFixed(0)} million/s, ${times}x`,
    );
  }
