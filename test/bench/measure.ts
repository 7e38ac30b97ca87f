/** Runs the processes of a plan, round after round, so that what happens to the computer meanwhile meets every column. */
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Answer } from './job.ts';
import type { Run } from './plan.ts';
import { Gathered } from './results.ts';

/** The slowest of them takes two minutes on a quiet computer. */
const TIMEOUT_MS = 12 * 60_000;

/** The last words of a process that gave no answer. */
function lastWords(stderr: string, status: number | null, signal: string | null): string {
  const line =
    stderr.split('\n').find((l) => /error|refused|cannot/i.test(l)) ?? stderr.trim().split('\n').at(-1) ?? '';
  return `it ended with ${signal ?? `status ${status}`}${line ? `: ${line.trim()}` : ''}`;
}

/** @returns the answer, or a sentence that says why there is none */
function measure(run: Run): Answer | string {
  const script = fileURLToPath(new URL(`columns/${run.script}`, import.meta.url));
  const done = spawnSync(process.execPath, [script, JSON.stringify(run.job)], {
    ...{ encoding: 'utf8', maxBuffer: 1 << 26, timeout: TIMEOUT_MS },
    // only the column that is about it gets an archive of translations
    env: { ...process.env, BULKHEAD_TRANSLATIONS: undefined, ...run.environment },
  });
  const line = done.stdout?.split('\n').find((l) => l.startsWith('{'));
  if (!line) return lastWords(done.stderr ?? '', done.status, done.signal);
  const answer = JSON.parse(line) as Answer;
  return Object.keys(answer.column).length > 0 ? answer : 'its guest printed no mark';
}

/**
 * A column that failed is not tried again; what it had measured before stays.
 * @param after called with what has been measured when a round is over
 */
export function measureAll(
  runs: readonly Run[],
  rounds: number,
  say: (line: string) => void,
  after: (gathered: Gathered) => void,
): Gathered {
  const gathered = new Gathered();
  const failed = new Set<Run>();
  for (let round = 0; round < rounds; round++) {
    for (const run of runs) {
      if (round >= run.rounds || failed.has(run)) continue;
      if (round === 0 && run.prepared) measure(run);
      const began = performance.now();
      const answer = measure(run);
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      process.stderr.write(
        `round ${round + 1}, ${run.title}, ${run.column}: ${seconds} s, load ${os.loadavg()[0]!.toFixed(1)}\n`,
      );
      if (typeof answer === 'string') {
        failed.add(run);
        say(`${run.title}, ${run.column}: no result, ${answer}.`);
      } else gathered.add(run, answer);
    }
    after(gathered);
  }
  return gathered;
}
