// What a file is that a person wants to bring into the lab: kernel, xl.cfg, lab. Reads, never guesses beyond what it checked.

import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainMode, FileReport } from '../../shared/model.ts';
import { inspectKernel } from '../toolstack/inspect-kernel.ts';

const LARGEST = 256 * 1024 * 1024;

export async function inspectFile(file: string): Promise<FileReport> {
  let bytes: Uint8Array;
  try {
    const size = (await stat(file)).size;
    if (size > LARGEST)
      throw new BulkheadError({
        code: 'file-unreadable',
        what: `${path.basename(file)} is too large to be a kernel.`,
        why: `It has ${Math.round(size / 1048576)} MiB; kernels have at most ${LARGEST / 1048576} MiB.`,
        action: 'Attach it as a disk instead.',
      });
    bytes = new Uint8Array(await readFile(file));
  } catch (e) {
    if (e instanceof BulkheadError) throw e;
    throw new BulkheadError({
      code: 'file-missing',
      what: `${file} cannot be read.`,
      why: (e as Error).message,
      action: 'Check the path and its permissions.',
    });
  }
  const base = { path: file, ignored: [] as string[], suggested: {} as Record<string, unknown> };
  const checked: FileReport['checked'] = [];
  const look = (text: string, found: boolean): boolean => {
    checked.push({ text, found });
    return found;
  };
  const sqlite = new TextDecoder().decode(bytes.subarray(0, 15)) === 'SQLite format 3';
  if (look('a Bulkhead lab file', sqlite && file.endsWith('.bulkhead')))
    return { ...base, kind: 'lab', summary: 'A lab file.', modes: [], bits: null, facts: [], checked };
  const kernel = inspectKernel(bytes);
  for (const c of kernel.checked) look(c.text, c.found);
  if (kernel.modes.length)
    return {
      ...base,
      kind: 'kernel',
      summary: kernel.summary,
      modes: kernel.modes as DomainMode[],
      bits: kernel.bits,
      facts: kernel.facts,
      checked,
      suggested: {
        kernel: file,
        name: safeName(path.basename(file)),
        memoryMiB: kernel.memoryMiB,
        mode: kernel.modes[0],
      },
    };
  return { ...base, kind: 'unknown', summary: kernel.summary, modes: [], bits: null, facts: kernel.facts, checked };
}

const safeName = (s: string): string =>
  s
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 30) || 'guest';
