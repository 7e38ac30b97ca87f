// Column: the same C as a program of this computer. It takes its times itself, in CPU time.
import { spawnSync } from 'node:child_process';
import { answer, readJob } from '../job.ts';
import { addSample, type Column } from '../marks.ts';

const job = readJob();
const done = spawnSync(job.image, [job.commandLine], { encoding: 'utf8' });
if (done.status !== 0) throw new Error(`The native program ended with ${done.status ?? done.signal}.`);
const column: Column = {};
for (const line of done.stdout.trim().split('\n')) {
  const [name, checksum, microseconds] = line.split(' ') as [string, string, string];
  const ms = Number(microseconds) / 1000;
  addSample(column, name, checksum, { cpu: 0, wall: 0 }, { cpu: ms, wall: ms });
}
answer({ column });
