/**
 * Builds what the benchmark runs, with gcc and clang, into a folder of the cache. All forms are the same C at -O2. None is vectorised by its
 * compiler, so that every column runs the same operations, and the native programs are built as the guests are, so that both run the same
 * machine code.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export type Bits = 32 | 64;
/** A file, or a sentence that says why there is none. */
export type Built = { file: string } | { missing: string };

const here = fileURLToPath(new URL('./', import.meta.url));
const source = (name: string): string => path.join(here, 'kernels', name);

const GCC =
  '-O2 -ffreestanding -fno-tree-vectorize -fno-pic -fno-pie -no-pie -fno-stack-protector -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -fcf-protection=none -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack';
const WIDTH: Readonly<Record<Bits, string>> = {
  32: '-m32 -march=i686 -mno-sse',
  64: '-m64 -mno-red-zone -mcmodel=small',
};
const CLANG =
  '--target=wasm32 -O2 -ffreestanding -fno-vectorize -fno-slp-vectorize -fno-unroll-loops -fno-builtin -mbulk-memory -nostdlib -Wl,--no-entry -DHOSTED';

/** Runs a compiler on `args`; what stands in the way is a sentence. */
function compile(program: string, args: readonly string[], file: string): Built {
  const done = spawnSync(program, [...args, '-o', file], { encoding: 'utf8' });
  if (done.error) return { missing: `${program} is not there (${done.error.message})` };
  if (done.status !== 0)
    return { missing: `${program} ended with: ${done.stderr.trim().split('\n').slice(-3).join(' ')}` };
  return { file };
}
const gcc = (bits: Bits, more: readonly string[], file: string): Built =>
  compile('gcc', [...GCC.split(' '), ...WIDTH[bits].split(' '), ...more], file);

/** The multiboot image. In 64 bits its container says 32 bits, as multiboot loaders want it. */
export function buildKernels(folder: string, bits: Bits): Built {
  mkdirSync(folder, { recursive: true });
  const parts = bits === 32 ? ['entry.S', 'systemic.c'] : ['entry64.S'];
  const sources = [...parts, 'main.c', 'options.c', 'computing.c'].map(source);
  const image = path.join(folder, `kernels${bits}.elf`);
  const linked = bits === 32 ? image : path.join(folder, 'kernels64.elf64');
  const built = gcc(bits, ['-Wl,-N', '-T', source('link.ld'), ...sources], linked);
  if (bits === 32 || 'missing' in built) return built;
  const copied = spawnSync('objcopy', ['-O', 'elf32-i386', linked, image], { encoding: 'utf8' });
  return copied.status === 0
    ? { file: image }
    : { missing: `objcopy could not make it a 32-bit file: ${copied.error?.message ?? copied.stderr}` };
}

/** The computing kernels as a program of this computer. */
export function buildNative(folder: string, bits: Bits): Built {
  mkdirSync(folder, { recursive: true });
  const sources = ['native.c', 'options.c', 'computing.c'].map(source);
  return gcc(bits, ['-DHOSTED', ...sources], path.join(folder, `native${bits}`));
}

/** The computing kernels as WebAssembly. */
export function buildWasm(folder: string): Built {
  mkdirSync(folder, { recursive: true });
  const sources = ['wasm.c', 'computing.c'].map(source);
  return compile('clang', [...CLANG.split(' '), ...sources], path.join(folder, 'kernels.wasm'));
}

/** The program that runs inside Linux (inside/work.c). */
export function buildWork(folder: string, bits: Bits): Built {
  mkdirSync(folder, { recursive: true });
  return gcc(bits, [path.join(here, 'inside', 'work.c')], path.join(folder, `work${bits}`));
}
