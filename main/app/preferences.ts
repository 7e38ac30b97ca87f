/**
 * What is remembered per user (not per lab): theme, window bounds, the last lab.
 *
 * Invariant: the file on disk is always a whole document: it is written beside and renamed over. A file that does not
 * fit the schema is set aside under another name, never silently overwritten, and the defaults apply.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

const boundsSchema = z.object({
  x: z.int().optional(),
  y: z.int().optional(),
  width: z.int().min(200).max(32768),
  height: z.int().min(200).max(32768),
});

const preferencesSchema = z.object({
  version: z.literal(1),
  theme: z.enum(['system', 'light', 'dark']).default('system'),
  window: z
    .object({ bounds: boundsSchema, display: z.enum(['normal', 'maximized', 'fullscreen']) })
    .nullable()
    .default(null),
  lastLab: z.string().nullable().default(null),
});

export type Preferences = z.infer<typeof preferencesSchema>;
export type WindowBounds = z.infer<typeof boundsSchema>;

const defaults: Preferences = { version: 1, theme: 'system', window: null, lastLab: null };

export class PreferencesFile {
  readonly #file: string;
  #current: Preferences;

  /** @param folder made when it does not exist. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#file = path.join(folder, 'preferences.json');
    this.#current = this.#read();
  }

  get current(): Preferences {
    return this.#current;
  }

  /** Changes the named preferences and writes the file. A failure to write is reported on stderr: the app goes on. */
  update(change: Partial<Omit<Preferences, 'version'>>): void {
    this.#current = { ...this.#current, ...change };
    const temporary = `${this.#file}.${process.pid}.new`;
    try {
      writeFileSync(temporary, `${JSON.stringify(this.#current, null, 2)}\n`, { mode: 0o600 });
      renameSync(temporary, this.#file);
    } catch (error) {
      console.error(`Preferences were not saved to ${this.#file}: ${(error as Error).message}`);
    }
  }

  #read(): Preferences {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch {
      return defaults;
    }
    try {
      return preferencesSchema.parse(JSON.parse(text));
    } catch (error) {
      const aside = `${this.#file}.unreadable`;
      try {
        renameSync(this.#file, aside);
      } catch {
        // Nothing to set aside any more.
      }
      console.error(`${this.#file} could not be read and was renamed to ${aside}: ${(error as Error).message}`);
      return defaults;
    }
  }
}
