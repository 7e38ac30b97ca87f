// The file of translated code: what comes back is what was written, or nothing.

import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  archiveFile,
  nameOf,
  readIndex,
  readModule,
  writeArchive,
  type ArchiveIndex,
  type NewModule,
} from '../../../../main/machine/cpu/translator/archive-file.ts';

const VERSION = 'one';
let folder = '';
let file = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'archive-'));
  file = archiveFile(path.join(folder, 'made', 'when needed'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const pattern = (entry: number) => ({
  ...{ key: 45, entry, offsets: Uint16Array.of(entry, entry + 2) },
  ...{ runs: Uint16Array.of(entry, entry + 4), bytes: Uint8Array.of(1, 2, 3, entry) },
});
const module = (n: number, length = 1000): NewModule => ({
  ...{ mode: 32, bytes: new Uint8Array(length).fill(n) },
  functions: [{ name: `r${n}`, pattern: pattern(n) }],
});
const write = (added: readonly NewModule[], used: readonly string[] = [], limit = 1e6): void =>
  writeArchive(file, VERSION, added, new Set(used), limit);
function contents(index: ArchiveIndex): number[] {
  const fd = openSync(file, 'r');
  const first = index.modules.map((m) => readModule(fd, index, m)?.[0] ?? -1);
  closeSync(fd);
  return first.toSorted((a, b) => a - b);
}

it('comes back as it was written, and grows', () => {
  expect(readIndex(file, VERSION)).toBeNull();
  write([module(1), module(2)]);
  write([module(3), module(2)]);
  const index = readIndex(file, VERSION)!;
  expect(contents(index)).toEqual([1, 2, 3]);
  expect(index.modules.find((m) => m.functions[0]!.name === 'r3')!.functions).toEqual(module(3).functions);
  expect(readdirSync(path.dirname(file))).toEqual([path.basename(file)]);
});

it('is nothing to another version, which replaces it', () => {
  write([module(1)]);
  expect(readIndex(file, 'two')).toBeNull();
  writeArchive(file, 'two', [module(2)], new Set(), 1e6);
  expect(readIndex(file, VERSION)).toBeNull();
  expect(contents(readIndex(file, 'two')!)).toEqual([2]);
});

it('leaves out what was not used for the longest time when it is full', () => {
  write([module(1), module(2)]);
  write([module(3)], [nameOf(readIndex(file, VERSION)!.modules.find((m) => m.functions[0]!.name === 'r1')!)]);
  write([module(4)], [], 3000);
  expect(contents(readIndex(file, VERSION)!)).toEqual([1, 3, 4]);
});

it('a damaged byte of the index or the header is noticed, one of a module costs that module', () => {
  write([module(1), module(2)]);
  const whole = readFileSync(file);
  const { base } = readIndex(file, VERSION)!;
  for (let at = 0; at < base; at += 7) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x10;
    writeFileSync(file, bytes);
    expect(readIndex(file, VERSION), `byte ${at}`).toBeNull();
  }
  const bytes = Buffer.from(whole);
  bytes[base + 500]! ^= 1;
  writeFileSync(file, bytes);
  expect(contents(readIndex(file, VERSION)!).filter((n) => n >= 0)).toHaveLength(1);
});

it('a file that was cut off is noticed', () => {
  write([module(1), module(2)]);
  const { base } = readIndex(file, VERSION)!;
  truncateSync(file, base + 1500);
  expect(contents(readIndex(file, VERSION)!).filter((n) => n >= 0)).toHaveLength(1);
  truncateSync(file, base - 1);
  expect(readIndex(file, VERSION)).toBeNull();
  // and what is still whole is kept when the file is written again
  write([module(5)]);
  expect(contents(readIndex(file, VERSION)!)).toEqual([5]);
});
