// Builds the native runner and sends it cases.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASE_BYTES, Case } from './case.ts';

const SOURCE = join(import.meta.dirname, 'runner.c');

/** True where the runner can be built and run: an x86-64 Linux with gcc. */
export function nativeAvailable(): boolean {
  return process.platform === 'linux' && process.arch === 'x64' && spawnSync('gcc', ['--version']).status === 0;
}

let built: string | null = null;
/** Path of the runner, built once per process into a temporary folder. */
function runner(): string {
  if (built && existsSync(built) && statSync(built).size > 0) return built;
  built = join(mkdtempSync(join(tmpdir(), 'bulkhead-silicon-')), 'runner');
  execFileSync('gcc', ['-O1', '-mno-red-zone', '-o', built, SOURCE]);
  return built;
}

/** Results of all cases, in order. Throws when the runner died. */
export function runNative(cases: readonly Case[]): Case[] {
  const input = Buffer.alloc(cases.length * CASE_BYTES);
  cases.forEach((c, n) => input.set(c.bytes, n * CASE_BYTES));
  const r = spawnSync(runner(), [], { input, maxBuffer: input.length + 65536, timeout: 60_000 });
  const count = Math.floor((r.stdout?.length ?? 0) / CASE_BYTES);
  if (r.status !== 0 || count !== cases.length) {
    const bad = cases[count];
    throw new Error(
      `The native runner ended with ${r.status ?? r.signal} after ${count} of ${cases.length} cases, at ${bad ? Buffer.from(bad.code).toString('hex') : 'the end'}.`,
    );
  }
  return cases.map(
    (_, n) => new Case(new Uint8Array(r.stdout.buffer, r.stdout.byteOffset + n * CASE_BYTES, CASE_BYTES)),
  );
}
