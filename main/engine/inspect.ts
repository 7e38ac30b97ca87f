// What a file is that a person wants to bring into the lab: kernel, xl.cfg, lab. Reads, never guesses beyond what it checked.

import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainMode, FileReport } from '../../shared/model.ts';
import { inspectKernel } from '../toolstack/inspect-kernel.ts';
import { readXlConfig, xlPaths } from '../toolstack/xl-config.ts';

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
  if (look('an xl configuration (text with key = value lines)', looksLikeXlConfig(bytes, file)))
    return await inspectXlConfig(file, new TextDecoder().decode(bytes), checked);
  const kernel = await inspectKernel(bytes);
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

/** Longest text that is taken for an xl.cfg file. */
const LARGEST_CONFIG = 64 * 1024;

function looksLikeXlConfig(bytes: Uint8Array, file: string): boolean {
  if (bytes.length === 0 || bytes.length > LARGEST_CONFIG || bytes.includes(0)) return false;
  const named = /\.(cfg|xl|hvm)$/i.test(file);
  return named || /^\s*(kernel|name|builder|type|memory)\s*=/m.test(new TextDecoder().decode(bytes));
}

async function inspectXlConfig(file: string, text: string, checked: FileReport['checked']): Promise<FileReport> {
  const report: FileReport = {
    path: file,
    kind: 'unknown',
    summary: '',
    modes: [],
    bits: null,
    facts: [],
    checked,
    suggested: {},
    ignored: [],
  };
  try {
    const { spec, ignored } = readXlConfig(text, path.basename(file));
    const suggested = xlPaths(spec, path.dirname(file));
    const mode = spec.mode as DomainMode;
    checked.push({ text: 'a kernel that it names', found: suggested.kernel !== undefined });
    for (const p of [suggested.kernel, suggested.ramdisk, ...(suggested.disks ?? []).map((d) => d.path)])
      if (p !== undefined && !p.startsWith('builtin:')) checked.push({ text: p, found: existsSync(p) });
    const missing = checked.filter((c) => !c.found && path.isAbsolute(c.text)).map((c) => c.text);
    const bits =
      suggested.kernel && !missing.includes(suggested.kernel) && path.isAbsolute(suggested.kernel)
        ? (await inspectKernel(new Uint8Array(await readFile(suggested.kernel)))).bits
        : null;
    return {
      ...report,
      kind: 'xl-config',
      summary:
        suggested.kernel === undefined
          ? 'An xl configuration that names no kernel.'
          : missing.length
            ? `An xl configuration; ${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not exist.`
            : 'An xl configuration.',
      modes: [mode],
      bits,
      suggested: { name: safeName(path.basename(file).replace(/\.\w+$/, '')), ...suggested },
      ignored,
    };
  } catch (e) {
    if (!(e instanceof BulkheadError)) throw e;
    return { ...report, summary: `${e.sentences.what} ${e.sentences.why}` };
  }
}

const safeName = (s: string): string =>
  s
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 30) || 'guest';
