// The translating thread's side of the archive: collects what it has translated and writes it from time to time.
// Invariant: nothing a guest does waits for it, and nothing depends on whether a write succeeds.

import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  archiveFile,
  readIndex,
  versionOf,
  writeArchive,
  type ArchivedFunction,
  type ArchiveIndex,
  type NewModule,
} from './archive-file.ts';

/** Bytes of WebAssembly in the file at most: some tens of thousands of regions. */
const LIMIT = 64 * 1024 * 1024;
/** ms between the first translation and the first write, and between two writes. */
const FIRST_WRITE = 3000;
const WRITES = 20_000;

/** The program's files that translation depends on: the bundle beside this one, or the sources of the machine. */
function programFiles(): string[] {
  const here = fileURLToPath(import.meta.url);
  const folder = here.endsWith('.ts') ? path.resolve(path.dirname(here), '..', '..') : path.dirname(here);
  const wanted = path.extname(here);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.extname(name) === wanted)
    .toSorted()
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile());
  // whatever a packed folder lists: without this file the version would say nothing
  return [here, ...files];
}

export class ArchiveKeeper {
  readonly file: string;
  readonly #version: string;
  /** What was made and is not yet known to be wanted, by order. */
  readonly #made = new Map<number, { mode: 32 | 64; bytes: Uint8Array }>();
  #added: NewModule[] = [];
  readonly #used = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #wait = FIRST_WRITE;

  constructor(folder: string) {
    this.file = archiveFile(folder);
    this.#version = versionOf(programFiles());
  }

  index(): ArchiveIndex | null {
    return readIndex(this.file, this.#version);
  }

  made(order: number, mode: 32 | 64, bytes: Uint8Array): void {
    this.#made.set(order, { mode, bytes });
  }
  /** What became of an order: the functions that are in use. */
  keep(order: number, functions: readonly ArchivedFunction[]): void {
    const made = this.#made.get(order);
    this.#made.delete(order);
    if (!made || functions.length === 0) return;
    this.#added.push({ ...made, functions });
    if (this.#timer) return;
    this.#timer = setTimeout(() => this.write(), this.#wait);
    this.#wait = WRITES;
  }
  used(name: string): void {
    this.#used.add(name);
  }

  /** Writes what has been added. Returns what went wrong, or null. */
  write(): string | null {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#added.length === 0) return null;
    const added = this.#added;
    this.#added = [];
    try {
      writeArchive(this.file, this.#version, added, this.#used, LIMIT);
      return null;
    } catch (e) {
      // a full disk or a folder that cannot be written: the next run translates again
      return String(e);
    }
  }
}
