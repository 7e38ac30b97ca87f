// Column: v86 (npm): v86.ts IMAGE COMMAND-LINE [jit|nojit] [RAMDISK]. IMAGE is a multiboot kernel with marks or, when there is a RAMDISK, a
// bzImage, whose boot to the shell is the measurement. Prints the column as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Marks, SHELL_READY, cpuMs } from './marks.ts';

interface Emulator {
  add_listener(event: string, listener: (byte: number) => void): void;
}
const [image, commandLine, jit, ramdisk] = process.argv.slice(2) as [string, string, string?, string?];
const folder = path.dirname(createRequire(import.meta.url).resolve('v86/build/libv86.mjs'));
const { V86 } = (await import(path.join(folder, 'libv86.mjs'))) as { V86: new (options: object) => Emulator };
const file = (f: string): { buffer: ArrayBuffer } => {
  const b = readFileSync(f);
  return { buffer: b.buffer.slice(b.byteOffset, b.byteOffset + b.length) as ArrayBuffer };
};
const marks = new Marks(cpuMs);
const begin = cpuMs();
const emulator = new V86({
  wasm_path: path.join(folder, 'v86.wasm'),
  bios: file('/usr/share/seabios/bios.bin'),
  vga_bios: file('/usr/share/seabios/vgabios-stdvga.bin'),
  ...(ramdisk === undefined ? { multiboot: file(image) } : { bzimage: file(image), initrd: file(ramdisk) }),
  cmdline: commandLine,
  memory_size: 128 * 1024 * 1024,
  vga_memory_size: 8 * 1024 * 1024,
  autostart: true,
  disable_jit: jit === 'nojit',
  disable_speaker: true,
});
let output = '';
emulator.add_listener('serial0-output-byte', (byte) => {
  const c = String.fromCharCode(byte);
  if (ramdisk !== undefined) {
    output = (output + c).slice(-100);
    if (!output.includes(SHELL_READY)) return;
    marks.column.linux686 = { checksum: 'shell', ms: [cpuMs() - begin] };
  } else {
    marks.put(c);
    if (!marks.done) return;
  }
  console.log(JSON.stringify(marks.column));
  process.exit(0);
});
