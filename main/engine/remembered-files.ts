// Which files the person saved or opened in earlier sessions, so that a shelf of saved domains works again without a dialog. Kept per user.
// Invariant: a file is only known again while it is what it was: of the same size and last written at the same time.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

const Remembered = z.strictObject({
  version: z.literal(1),
  /** Latest first; `written` is the time of its last change, Unix ms. */
  files: z.array(z.strictObject({ path: z.string(), size: z.number(), written: z.number() })),
});
type File = z.output<typeof Remembered>['files'][number];

/** Files remembered; the one used longest ago gives way. */
const MOST = 100;

export class RememberedFiles {
  readonly #file: string;

  /** @param file where they are kept; it need not exist */
  constructor(file: string) {
    this.#file = file;
  }

  /** A list that does not make sense is an empty one: then every file is asked for again. */
  #read(): File[] {
    try {
      return Remembered.parse(JSON.parse(readFileSync(this.#file, 'utf8'))).files;
    } catch {
      return [];
    }
  }

  /** Whether a file was saved or opened before, and whether it still is what it was. */
  look(file: string): 'unknown' | 'changed' | 'same' {
    const known = this.#read().find((f) => f.path === file);
    if (!known) return 'unknown';
    const now = present(file);
    return now && now.size === known.size && now.written === known.written ? 'same' : 'changed';
  }

  /** Remembers a file as it is now. What cannot be kept is asked for again: nothing is lost by it. */
  remember(file: string): void {
    const now = present(file);
    if (!now) return;
    const files = [now, ...this.#read().filter((f) => f.path !== file)].slice(0, MOST);
    const beside = `${this.#file}.${process.pid}.new`;
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true });
      writeFileSync(beside, `${JSON.stringify({ version: 1, files }, null, 2)}\n`, { mode: 0o600 });
      renameSync(beside, this.#file);
    } catch (e) {
      console.error(`${this.#file} was not saved: ${(e as Error).message}`);
    }
  }
}

/** A regular file as it is now; null when there is none. */
function present(file: string): File | null {
  try {
    const now = statSync(file);
    return now.isFile() ? { path: file, size: now.size, written: now.mtimeMs } : null;
  } catch {
    return null;
  }
}
