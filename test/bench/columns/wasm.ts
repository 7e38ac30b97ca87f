// Column: the same C straight to WebAssembly, under the Node that also runs our simulator: the limit of any translator to WebAssembly.
import { readFileSync } from 'node:fs';
import { answer, readJob } from '../job.ts';
import { addSample, now, type Column } from '../marks.ts';

interface Kernels {
  readonly memory: WebAssembly.Memory;
  name(k: number): number;
  run(k: number): number;
}
const job = readJob();
const words = new Map(job.commandLine.split(' ').map((word) => word.split('=', 2) as [string, string]));
const only = words.get('only')?.split(',');
const { instance } = await WebAssembly.instantiate(readFileSync(job.image));
const kernels = instance.exports as unknown as Kernels;
const text = (at: number): string => {
  const bytes = new Uint8Array(kernels.memory.buffer, at);
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
};
const column: Column = {};
for (let k = 0; kernels.name(k) !== 0; k++) {
  const name = text(kernels.name(k));
  if (only && !only.includes(name)) continue;
  for (let n = 0; n < Number(words.get('repeat') ?? 3); n++) {
    const begin = now();
    const sum = kernels.run(k) >>> 0;
    addSample(column, name, sum.toString(16).padStart(8, '0'), begin, now());
    // what V8 compiles meanwhile can take its place between two repetitions, as it can in an emulator that returns to its loop
    await new Promise((next) => setImmediate(next));
  }
}
answer({ column });
