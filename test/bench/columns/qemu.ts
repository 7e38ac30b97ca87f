// Column: QEMU's software emulation (TCG). CPU time is that of all its threads as the system counts it (Linux; elsewhere the elapsed time
// stands in both places).
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { answer, MEMORY_MIB, readJob } from '../job.ts';
import { Marks, type Instant } from '../marks.ts';

const job = readJob();
const began = performance.now();
// prettier-ignore
const qemu = spawn(job.bits === 64 ? 'qemu-system-x86_64' : 'qemu-system-i386', [
  '-accel', 'tcg', '-m', String(MEMORY_MIB), '-kernel', job.image, ...(job.ramdisk === null ? [] : ['-initrd', job.ramdisk]),
  '-append', job.commandLine, '-no-reboot', '-serial', 'stdio', '-display', 'none', '-monitor', 'none', '-net', 'none',
], { stdio: ['pipe', 'pipe', 'inherit'] });

/** Of all its threads, ms: the first number of schedstat is ns on a processor (Linux Documentation/scheduler/sched-stats.rst). */
function cpuTime(): number | null {
  try {
    const tasks = `/proc/${qemu.pid}/task`;
    const times = readdirSync(tasks).map((task) =>
      Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]),
    );
    return times.reduce((sum, ns) => sum + ns, 0) / 1e6;
  } catch {
    return null;
  }
}
const clock = (): Instant => {
  const wall = performance.now() - began;
  return { cpu: cpuTime() ?? wall, wall };
};
const marks = new Marks({
  ...{ start: { cpu: 0, wall: 0 }, clock, linux: job.ramdisk !== null, command: job.command },
  type: (text) => void qemu.stdin.write(text),
});
let said = false;
const end = (): void => {
  if (said) return;
  said = true;
  qemu.kill();
  answer({ column: marks.column });
};
qemu.stdout.setEncoding('latin1');
qemu.stdout.on('data', (text: string) => {
  for (const c of text) marks.put(c);
  if (marks.done) end();
});
qemu.on('close', end);
// who waits no longer must not leave it behind
process.on('SIGTERM', () => {
  qemu.kill('SIGKILL');
  process.exit(1);
});
