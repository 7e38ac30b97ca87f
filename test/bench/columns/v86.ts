// Column: v86 (npm). V86=nojit in the environment runs it without its translator.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { answer, MEMORY_MIB, readJob } from '../job.ts';
import { Marks, now, untilIdle } from '../marks.ts';

interface Emulator {
  add_listener(event: string, listener: (byte: number) => void): void;
  serial0_send(text: string): void;
}
const job = readJob();
const folder = path.dirname(createRequire(import.meta.url).resolve('v86/build/libv86.mjs'));
const { V86 } = (await import(path.join(folder, 'libv86.mjs'))) as { V86: new (options: object) => Emulator };
const file = (f: string): { buffer: ArrayBuffer } => {
  const b = readFileSync(f);
  return { buffer: b.buffer.slice(b.byteOffset, b.byteOffset + b.length) as ArrayBuffer };
};
const start = now();
const emulator = new V86({
  wasm_path: path.join(folder, 'v86.wasm'),
  bios: file('/usr/share/seabios/bios.bin'),
  vga_bios: file('/usr/share/seabios/vgabios-stdvga.bin'),
  ...(job.ramdisk === null ? { multiboot: file(job.image) } : { bzimage: file(job.image), initrd: file(job.ramdisk) }),
  cmdline: job.commandLine,
  memory_size: MEMORY_MIB * 1024 * 1024,
  vga_memory_size: 8 * 1024 * 1024,
  autostart: true,
  disable_jit: process.env.V86 === 'nojit',
  disable_speaker: true,
});
const marks = new Marks({
  ...{ start, clock: now, linux: job.ramdisk !== null, command: job.command },
  settle: untilIdle,
  // from outside of its own output
  type: (text) => void setTimeout(() => emulator.serial0_send(text), 0),
});
let said = false;
emulator.add_listener('serial0-output-byte', (byte) => {
  marks.put(String.fromCharCode(byte));
  if (!marks.done || said) return;
  said = true;
  answer({ column: marks.column });
});
