// What can be undone and redone: the destroying of domains, for so many later commands.
// Invariant: a command other than undo and redo empties what can be redone.

import { BulkheadError } from '../../shared/errors.ts';
import type { DomainSpec } from '../../shared/model.ts';
import type { FileHashes } from './file-hashes.ts';
import type { LabDomain } from './lab-domain.ts';

/** Destroyed domains that can be brought back: for so many later commands. */
const UNDO_COMMANDS = 20;

/** A destroyed domain, enough to create it again as it was. */
export interface Destroyed {
  spec: DomainSpec;
  host: string;
  uuid: string;
  colour: number;
  hashes?: FileHashes;
  /** Its host still has it as it was, under this key, unless it had to make room. */
  kept?: { key: string; domain: LabDomain };
}

export class UndoList {
  #destroyed: (Destroyed & { commands: number })[] = [];
  readonly #forget: (d: Destroyed) => void;
  #redo: { uuid: string; name: string }[] = [];
  /** Set while an undo or redo carries out commands of its own. */
  #replaying = false;

  /** @param forget told of every domain that cannot be brought back any more */
  constructor(forget: (d: Destroyed) => void) {
    this.#forget = forget;
  }

  /** Counts a command of the user. */
  command(): void {
    if (this.#replaying) return;
    this.#redo = [];
    for (const d of this.#destroyed) d.commands++;
    const old = (d: { commands: number }): boolean => d.commands > UNDO_COMMANDS;
    const forgotten = this.#destroyed.filter(old);
    this.#destroyed = this.#destroyed.filter((d) => !old(d));
    forgotten.forEach((d) => this.#forget(d));
  }
  noteDestroyed(d: Destroyed): void {
    this.#destroyed.push({ ...d, commands: 0 });
  }

  /** What can be brought back. */
  get specs(): DomainSpec[] {
    return this.#destroyed.map((d) => d.spec);
  }

  /** Name of the domain that undo would bring back, or that redo would destroy again; null when there is none. */
  get undoable(): string | null {
    return this.#destroyed.at(-1)?.spec.name ?? null;
  }
  get redoable(): string | null {
    return this.#redo.at(-1)?.name ?? null;
  }

  /** Brings the domain destroyed last back with `create`, which resolves with its uuid. What fails stays undoable. */
  async undo(create: (d: Destroyed) => Promise<string>): Promise<string> {
    const last = this.#destroyed.pop();
    if (!last)
      throw nothing(
        'undo',
        'No domain was destroyed, or too many commands have followed.',
        'Create the domain again from the shelf.',
      );
    this.#replaying = true;
    try {
      const uuid = await create(last);
      this.#redo.push({ uuid, name: last.spec.name });
      return uuid;
    } catch (e) {
      this.#destroyed.push(last);
      throw e;
    } finally {
      this.#replaying = false;
    }
  }

  /** Destroys the domain brought back last again with `destroy`, which notes it as destroyed. */
  async redo(destroy: (uuid: string) => Promise<void>): Promise<string> {
    const last = this.#redo.pop();
    if (!last)
      throw nothing('redo', 'Nothing was undone, or another command has followed.', 'Repeat the command itself.');
    this.#replaying = true;
    try {
      await destroy(last.uuid);
      return last.uuid;
    } catch (e) {
      this.#redo.push(last);
      throw e;
    } finally {
      this.#replaying = false;
    }
  }
}

function nothing(verb: string, why: string, action: string): BulkheadError {
  return new BulkheadError({ code: 'not-possible-now', what: `There is nothing to ${verb}.`, why, action });
}
