// Code that earlier runs translated, as a thread with cores sees it: an index by place and pattern, modules read when they are first wanted.
// Invariant: a module is handed out only if its bytes are those that were written; one that cannot be read is as good as not there.

import { openSync } from 'node:fs';
import { nameOf, readModule, type ArchivedFunction, type ArchivedModule, type ArchiveIndex } from './archive-file.ts';
import { firstByte, matches, placeOf } from './code-pattern.ts';
import type { HostMemory } from '../host-memory.ts';
import type { RegionPlace } from './interface.ts';

interface Entry {
  readonly module: ArchivedModule;
  /** Null once it could not be read. */
  code: { readonly module: WebAssembly.Module; readonly bytes: number } | null | undefined;
}
/** A module with code for a place. */
export interface KnownCode {
  readonly mode: 32 | 64;
  readonly module: WebAssembly.Module;
  readonly codeBytes: number;
  readonly functions: readonly ArchivedFunction[];
}

export class Archive {
  /** Kept open: the file is replaced while it is in use, by this process too. */
  readonly #file: number | null;
  readonly #index: ArchiveIndex;
  readonly #places = new Map<number, { readonly entry: Entry; readonly made: ArchivedFunction }[]>();
  readonly #used: (name: string) => void;

  /** @param used is told the name of each module when it is first used */
  constructor(file: string, index: ArchiveIndex, used: (name: string) => void) {
    this.#file = opened(file);
    this.#index = index;
    this.#used = used;
    for (const module of index.modules) {
      const entry: Entry = { module, code: undefined };
      for (const made of module.functions) {
        const { key, entry: offset } = made.pattern;
        const place = placeOf(key, offset, firstByte(made.pattern));
        const there = this.#places.get(place);
        if (there) there.push({ entry, made });
        else this.#places.set(place, [{ entry, made }]);
      }
    }
  }

  /** Code for what lies at a page offset of a place; null if none is known. @param first the byte there */
  find(mem: HostMemory, place: RegionPlace, offset: number, first: number): KnownCode | null {
    for (const { entry, made } of this.#places.get(placeOf(place.key, offset, first)) ?? []) {
      if (entry.code === null || !matches(mem, place, made.pattern)) continue;
      const code = this.#load(entry);
      if (!code) continue;
      const { mode, functions } = entry.module;
      return { mode, module: code.module, codeBytes: code.bytes, functions };
    }
    return null;
  }
  #load(entry: Entry): Entry['code'] {
    if (entry.code !== undefined) return entry.code;
    const bytes = this.#file === null ? null : readModule(this.#file, this.#index, entry.module);
    if (bytes) {
      try {
        entry.code = { module: new WebAssembly.Module(bytes), bytes: bytes.length };
        this.#used(nameOf(entry.module));
        return entry.code;
      } catch {
        // not WebAssembly of this engine: left alone from now on
      }
    }
    return (entry.code = null);
  }
}

function opened(file: string): number | null {
  try {
    return openSync(file, 'r');
  } catch {
    return null;
  }
}
