// Writes recorded/expectations.br: what hardware made of a fixed sample of cases, so that the comparison also runs where there is none.
// For each encoding and mode: its key, a checksum of the generated inputs, and for each case the bytes that the instruction changed.
// node test/silicon/record.ts   (needs gcc and an x86-64 Linux)

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, crc32 } from 'node:zlib';
import { At, CASE_BYTES, Case } from './case.ts';
import { isApproximate, makeCases, subjects, type Subject } from './generator.ts';
import { runNative } from './native.ts';

export const RECORDED = join(import.meta.dirname, 'recorded', 'expectations.br');
/** Cases for each encoding and mode. */
export const COUNT = 10;
const SEED = 20;

export const keyOf = (s: Subject): string => `${s.instruction.name} ${s.encoding.text} ${s.mode}`;
/** What the recorded sample covers: exact results, and transfers whose target is always in the code pages. */
export const recordable = (): Subject[] =>
  subjects().filter((s) => !isApproximate(s.instruction.name) && !/^FF \/[24] Ev$/.test(s.encoding.text));
export const sample = (s: Subject): Case[] => makeCases(s, COUNT, SEED);
export const checksum = (cases: readonly Case[]): number => cases.reduce((sum, c) => crc32(c.bytes, sum), 0);

/** Bytes of a result that are compared: not the x87 pointers, nor what the kernel keeps behind the registers. */
function isCompared(offset: number): boolean {
  if (offset < At.fx || offset >= At.window) return true;
  const fx = offset - At.fx;
  return fx < 5 || (fx >= 24 && fx < 28) || (fx >= 32 && fx < 416);
}

export interface Recording {
  key: string;
  checksum: number;
  /** For each case: [offset, byte] pairs of what changed, flattened. */
  changes: number[][];
}
export function readRecording(): Map<string, Recording> {
  const list = JSON.parse(brotliDecompressSync(readFileSync(RECORDED)).toString()) as Recording[];
  return new Map(list.map((r) => [r.key, r]));
}
/** A case's recorded result. */
export function expectedOf(input: Case, changes: readonly number[]): Case {
  const out = input.clone();
  for (let n = 0; n < changes.length; n += 2) out.bytes[changes[n]!] = changes[n + 1]!;
  return out;
}

if (process.argv[1] === import.meta.filename) {
  const list = recordable();
  const recordings: Recording[] = [];
  for (let at = 0; at < list.length; at += 100) {
    const part = list.slice(at, at + 100).map((s) => ({ s, cases: sample(s) }));
    const all = part.flatMap((p) => p.cases);
    all.forEach((c, n) => c.set(At.id, n));
    const results = runNative(all);
    let next = 0;
    for (const { s, cases } of part) {
      cases.forEach((c, n) => c.set(At.id, n));
      const changes = cases.map((input) => {
        const result = results[next++]!;
        const out: number[] = [];
        for (let k = 4; k < CASE_BYTES; k++)
          if (isCompared(k) && result.bytes[k] !== input.bytes[k]) out.push(k, result.bytes[k]!);
        return out;
      });
      recordings.push({ key: keyOf(s), checksum: checksum(cases), changes });
    }
  }
  mkdirSync(dirname(RECORDED), { recursive: true });
  writeFileSync(RECORDED, brotliCompressSync(JSON.stringify(recordings)));
  console.log(`${recordings.length} encodings, ${recordings.length * COUNT} cases`);
}
