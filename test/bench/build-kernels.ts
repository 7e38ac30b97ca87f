// Builds the benchmark's guest image with gcc into the cache. Returns its path, or a sentence that says why it cannot.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('./kernels/', import.meta.url));

export function buildKernels(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const image = path.join(folder, 'kernels32.elf');
  const flags =
    '-m32 -march=i686 -mno-sse -O2 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -fcf-protection=none -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-N';
  const sources = ['entry.S', 'main.c', 'computing.c', 'systemic.c'].map((f) => path.join(here, f));
  const done = spawnSync('gcc', [...flags.split(' '), '-T', path.join(here, 'link.ld'), '-o', image, ...sources], {
    encoding: 'utf8',
  });
  if (done.error) throw new Error(`The benchmark needs gcc to build its kernels: ${done.error.message}`);
  if (done.status !== 0) throw new Error(`gcc could not build the kernels:\n${done.stderr}`);
  return image;
}
