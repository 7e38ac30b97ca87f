// What the translator makes of a kernel: node test/bench/regions.ts [--bits 64] [--image FILE] KERNEL[,...] [FOLDER]. Runs it and writes each region
// that can be entered at the end, translated alone, as ADDRESS.wasm (wasm2wat reads it) and its instructions as ADDRESS.txt; prints a line for each.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CodePage } from '../../main/machine/cpu/code-cache.ts';
import { FIRST_REGION, OP, PAGE_CODE, RAM_BASE } from '../../main/machine/cpu/layout.ts';
import { translateRegions } from '../../main/machine/cpu/translator/translate.ts';
import { disassemble } from '../../main/machine/isa/disassemble.ts';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { buildKernels } from './build-kernels.ts';
import { Marks, now } from './marks.ts';

const RAM = 128 * 1024 * 1024;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bits: { type: 'string' }, image: { type: 'string' } },
});
const [names = '', folder = path.join('out', 'bench', 'regions')] = positionals;
const marks = new Marks({ start: now(), clock: now, linux: false, command: null, type: () => {} });
const machine = new PcMachine({
  ...{ ramBytes: RAM, vcpus: 1, clockMHz: 1000, epochSeconds: 0 },
  onSerial: (byte) => marks.put(String.fromCharCode(byte)),
  core: { tier: 'translator', translator: { background: false } },
});
const built = buildKernels(path.join('.cache', 'bench'), values.bits === '64' ? 64 : 32);
if ('missing' in built) throw new Error(built.missing);
machine.load({ kernel: readFileSync(values.image ?? built.file), ramdisk: null, commandLine: `only=${names}` });
for (let until = 1e7; !marks.done && machine.stop === null; until += 1e7) machine.runUntil(until);

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const mem = machine.memory;
for (let frame = 0; frame < RAM >> 12; frame++) {
  const map = mem.u32[(PAGE_CODE >> 2) + frame]!;
  if (map === 0) continue;
  const key = mem.u32[(map + CodePage.key) >> 2]!;
  for (let offset = 0; offset < 4096; offset++) {
    const record = mem.u32[(map >> 2) + offset]!;
    if (record === 0 || mem.u16[(record + OP.handler) >> 1]! < FIRST_REGION) continue;
    const request = { record, frame, key, second: frame + 1, alone: true, careful: [] };
    const made = translateRegions(machine.core, (key & 2) !== 0 ? 64 : 32, [request]);
    if (!made) continue;
    const { offsets } = made.functions[0]!;
    const file = path.join(folder, (frame * 4096 + offset).toString(16));
    const lines = offsets.map((o) => {
      // kernels lie in memory as they are linked
      const at = RAM_BASE + frame * 4096 + o;
      const text = disassemble(mem.u8.subarray(at, at + 15), 0, (key & 2) !== 0 ? 64 : 32)?.text;
      return `${(frame * 4096 + o).toString(16)} ${text ?? '?'}`;
    });
    writeFileSync(`${file}.wasm`, made.bytes);
    writeFileSync(`${file}.txt`, `${lines.join('\n')}\n`);
    console.log(`${path.basename(file)}: ${offsets.length} instructions, ${made.bytes.length} bytes`);
  }
}
for (const [name, { cpu }] of Object.entries(marks.column))
  console.log(`${name}: ${cpu.map((v) => v.toFixed(1)).join(' ')} ms`);
console.log(JSON.stringify(machine.core.tier!.statistics()));
