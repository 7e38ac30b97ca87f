// Column: v86 (npm), with its translator or (second argument "nojit") without. Prints the column as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Marks, cpuMs } from './marks.ts';

interface Emulator {
  add_listener(event: string, listener: (byte: number) => void): void;
}
const folder = path.dirname(createRequire(import.meta.url).resolve('v86/build/libv86.mjs'));
const { V86 } = (await import(path.join(folder, 'libv86.mjs'))) as { V86: new (options: object) => Emulator };
const file = (f: string): { buffer: ArrayBuffer } => {
  const b = readFileSync(f);
  return { buffer: b.buffer.slice(b.byteOffset, b.byteOffset + b.length) as ArrayBuffer };
};
const marks = new Marks(cpuMs);
const emulator = new V86({
  wasm_path: path.join(folder, 'v86.wasm'),
  bios: file('/usr/share/seabios/bios.bin'),
  vga_bios: file('/usr/share/seabios/vgabios-stdvga.bin'),
  multiboot: file(process.argv[2]!),
  memory_size: 128 * 1024 * 1024,
  vga_memory_size: 8 * 1024 * 1024,
  autostart: true,
  disable_jit: process.argv[3] === 'nojit',
  disable_speaker: true,
});
emulator.add_listener('serial0-output-byte', (byte) => {
  marks.put(String.fromCharCode(byte));
  if (!marks.done) return;
  console.log(JSON.stringify(marks.column));
  process.exit(0);
});
