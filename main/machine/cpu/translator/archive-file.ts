// The file in which translated code is kept between runs. Layout: magic, SHA-256 of the version, SHA-256 of the index, length of the index
// (u32, little endian), the index (v8.serialize), then the modules one behind the other, each with a CRC-32 in the index.
// Invariant: what is read is exactly what some run of this version wrote, or it is not used.

import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { CodePattern } from './code-pattern.ts';

export interface ArchivedFunction {
  /** Name it is exported under. */
  readonly name: string;
  readonly pattern: CodePattern;
}
export interface ArchivedModule {
  readonly mode: 32 | 64;
  /** Where its bytes lie behind the index, and how many. */
  readonly at: number;
  readonly length: number;
  readonly crc: number;
  /** Number of the run that used it last. */
  readonly used: number;
  readonly functions: readonly ArchivedFunction[];
}
export interface ArchiveIndex {
  /** Runs that have written this file. */
  readonly run: number;
  /** Where the modules begin in the file. */
  readonly base: number;
  readonly modules: readonly ArchivedModule[];
}

const MAGIC = Buffer.from('bulkreg1');
const HEADER = MAGIC.length + 32 + 32 + 4;
const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest();

export const archiveFile = (folder: string): string => path.join(folder, 'translations.bin');

/** The index of a file written by this version; null if there is none, or it is another's or damaged. */
export function readIndex(file: string, version: string): ArchiveIndex | null {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return null;
  }
  try {
    const header = Buffer.alloc(HEADER);
    if (readSync(fd, header, 0, HEADER, 0) !== HEADER || !header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
    const at = MAGIC.length;
    if (!header.subarray(at, at + 32).equals(sha256(version))) return null;
    const length = header.readUInt32LE(at + 64);
    if (length > MOST_INDEX_BYTES) return null;
    const bytes = Buffer.alloc(length);
    if (readSync(fd, bytes, 0, length, HEADER) !== length) return null;
    if (!sha256(bytes).equals(header.subarray(at + 32, at + 64))) return null;
    return { ...(deserialize(bytes) as Omit<ArchiveIndex, 'base'>), base: HEADER + length };
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}
const MOST_INDEX_BYTES = 256 * 1024 * 1024;

/** The bytes of a module of an open file; null if they are not those that were written. */
export function readModule(fd: number, index: ArchiveIndex, module: ArchivedModule): Buffer<ArrayBuffer> | null {
  try {
    const bytes = Buffer.alloc(module.length);
    const read = readSync(fd, bytes, 0, module.length, index.base + module.at);
    return read === module.length && crc32(bytes) === module.crc ? bytes : null;
  } catch {
    return null;
  }
}

/** A module to be written. */
export interface NewModule {
  readonly mode: 32 | 64;
  readonly bytes: Uint8Array;
  readonly functions: readonly ArchivedFunction[];
}

/**
 * Writes the file anew: what it holds and `added`, at most `limit` bytes of code; what was not used for the longest time is left out.
 * @param used names (see nameOf) of the modules that this run has used
 * @throws what the file system says
 */
export function writeArchive(
  file: string,
  version: string,
  added: readonly NewModule[],
  used: ReadonlySet<string>,
  limit: number,
): void {
  const old = readIndex(file, version);
  const fd = old ? openSync(file, 'r') : -1;
  try {
    replaceArchive(file, version, added, used, limit, old, fd);
  } finally {
    if (old) closeSync(fd);
  }
}
function replaceArchive(
  file: string,
  version: string,
  added: readonly NewModule[],
  used: ReadonlySet<string>,
  limit: number,
  old: ArchiveIndex | null,
  oldFile: number,
): void {
  const run = (old?.run ?? 0) + 1;
  const all = new Map<string, { module: Omit<ArchivedModule, 'at'>; bytes: () => Uint8Array | null }>();
  for (const { mode, bytes, functions } of added) {
    const module = { mode, length: bytes.length, crc: crc32(bytes), used: run, functions };
    all.set(nameOf(module), { module, bytes: () => bytes });
  }
  for (const module of old?.modules ?? []) {
    const name = nameOf(module);
    if (!all.has(name))
      all.set(name, {
        module: { ...module, used: used.has(name) ? run : module.used },
        bytes: () => readModule(oldFile, old!, module),
      });
  }
  const kept: { module: ArchivedModule; bytes: Uint8Array }[] = [];
  let at = 0;
  for (const { module, bytes } of [...all.values()].toSorted((a, b) => b.module.used - a.module.used)) {
    const code = at + module.length <= limit ? bytes() : null;
    if (!code) continue;
    kept.push({ module: { ...module, at }, bytes: code });
    at += module.length;
  }
  const index = serialize({ run, modules: kept.map(({ module }) => module) });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(index.length);
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.${performance.now().toString(36).replace('.', '')}`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    const whole = Buffer.concat([MAGIC, sha256(version), sha256(index), length, index, ...kept.map((k) => k.bytes)]);
    writeSync(fd, whole);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, file);
  } catch (e) {
    rmSync(temporary, { force: true });
    throw e;
  }
}

/** What tells modules apart. */
export const nameOf = ({ mode, length, crc }: Pick<ArchivedModule, 'mode' | 'length' | 'crc'>): string =>
  `${mode} ${length} ${crc}`;

/** Changes with everything that translation depends on: the program's own text. @param files of the program, in a fixed order */
export function versionOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex');
}
