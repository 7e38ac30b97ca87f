// Column: QEMU's software emulation (TCG), wall-clock times between marks. Prints the column as JSON.
import { spawn } from 'node:child_process';
import { Marks } from './marks.ts';

const marks = new Marks(() => performance.now());
const arguments_ = [
  '-accel',
  'tcg',
  '-m',
  '128',
  '-kernel',
  process.argv[2]!,
  ...(process.argv[3] ? ['-append', process.argv[3]] : []),
  '-serial',
  'stdio',
  '-display',
  'none',
  '-monitor',
  'none',
  '-net',
  'none',
];
const qemu = spawn('qemu-system-i386', arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
qemu.stdout.setEncoding('latin1');
qemu.stdout.on('data', (text: string) => {
  for (const c of text) marks.put(c);
  if (!marks.done) return;
  qemu.kill();
  console.log(JSON.stringify(marks.column));
});
