// The lab file: an SQLite database (node:sqlite) that follows the lab within a second.
// Invariant: every save is one transaction, so the file always holds one consistent moment; a killed process loses at most what came after
// the last save. Rows that are read back carry a CRC-32; a file of an unknown kind or version is refused and left untouched.

import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { BulkheadError } from '../../shared/errors.ts';
import { DomainSpec, DomainState, HostSpec, LabEvent, LinkSpec } from '../../shared/model.ts';
import { ImportedGuest } from './imported-guests.ts';
import { OverlayFile } from './overlays.ts';

/** Schema version (PRAGMA user_version). */
export const LAB_FILE_VERSION = 1;
/** "BLKH" (PRAGMA application_id). */
const APPLICATION_ID = 0x424c4b48;

export const SavedLab = z.strictObject({
  name: z.string(),
  seed: z.number(),
  now: z.number(),
  link: LinkSpec,
  /** Absent in files of earlier versions. */
  pauseOnCrash: z.boolean().optional(),
  slowMigrations: z.boolean().optional(),
  /** Absent in files of earlier versions. */
  imported: z.array(ImportedGuest).optional(),
  /** Absent in files of earlier versions. */
  overlays: z.array(OverlayFile).optional(),
  hosts: z.array(HostSpec),
  domains: z.array(
    z.strictObject({
      uuid: z.string(),
      spec: DomainSpec,
      host: z.string(),
      colour: z.int(),
      createdAt: z.number(),
      state: DomainState,
      reason: z.string().nullable(),
      /** SHA-256 of the files it was last started from, by path; absent in files of earlier versions. */
      hashes: z.record(z.string(), z.string()).optional(),
    }),
  ),
});
export type SavedLab = z.output<typeof SavedLab>;

export interface JournalEntry {
  at: number;
  kind: string;
  data: unknown;
}
export interface OpenedLab {
  lab: SavedLab;
  events: LabEvent[];
  /** Kept output per domain and the position behind it. */
  consoles: Map<string, { bytes: Uint8Array; end: number }>;
}

const fileError = (
  code: 'file-unreadable' | 'lab-file-unknown' | 'lab-file-corrupt' | 'lab-file-in-use',
  file: string,
  why: string,
  action: string,
): BulkheadError =>
  new BulkheadError({
    code,
    what: `The lab ${path.basename(file)} cannot be opened.`,
    why,
    action,
    field: 'lab',
    details: file,
  });

export class LabFile {
  readonly path: string;
  readonly #db: DatabaseSync;
  /** Console bytes kept per domain. */
  readonly #keep: number;
  #journal: JournalEntry[] = [];
  #console: { uuid: string; start: number; bytes: Uint8Array }[] = [];

  /** Opens or makes a lab file. Throws BulkheadError `lab-file-*` and changes nothing when it cannot. */
  constructor(file: string, keepConsoleBytes: number) {
    this.path = file;
    this.#keep = keepConsoleBytes;
    let db: DatabaseSync;
    let isNew: boolean;
    try {
      mkdirSync(path.dirname(file), { recursive: true });
      isNew = !existsSync(file) || statSync(file).size === 0;
      db = new DatabaseSync(file);
    } catch (e) {
      throw fileError(
        'file-unreadable',
        file,
        (e as Error).message,
        'Choose another folder, or check its permissions.',
      );
    }
    this.#db = db;
    try {
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0;');
      if (isNew) this.#create();
      this.#check();
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE; COMMIT;');
    } catch (e) {
      db.close();
      if (e instanceof BulkheadError) throw e;
      const message = (e as Error).message;
      if (/locked|busy/i.test(message))
        throw fileError(
          'lab-file-in-use',
          file,
          'Another Bulkhead has it open.',
          'Use that window, or close it first.',
        );
      throw fileError(
        'lab-file-corrupt',
        file,
        `It is not a whole lab file (${message}).`,
        'Open another lab, or a copy of this one.',
      );
    }
  }

  #create(): void {
    this.#db.exec(`
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = ${LAB_FILE_VERSION};
      CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), json TEXT NOT NULL, crc INTEGER NOT NULL);
      CREATE TABLE journal (id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL, crc INTEGER NOT NULL);
      CREATE TABLE console (uuid TEXT NOT NULL, start INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (uuid, start));
    `);
  }

  #pragma(name: string): number {
    return Number(Object.values(this.#db.prepare(`PRAGMA ${name}`).get() as Record<string, unknown>)[0]);
  }
  #check(): void {
    if (this.#pragma('application_id') !== APPLICATION_ID)
      throw fileError(
        'lab-file-unknown',
        this.path,
        'It is a database, but not a Bulkhead lab.',
        'Choose a .bulkhead file.',
      );
    const version = this.#pragma('user_version');
    if (version !== LAB_FILE_VERSION)
      throw fileError(
        'lab-file-unknown',
        this.path,
        `It has format ${version}; this Bulkhead reads format ${LAB_FILE_VERSION}.`,
        'Open it with the version of Bulkhead that wrote it.',
      );
  }

  /** What the file holds, or null when it is new. */
  read(): OpenedLab | null {
    const row = this.#db.prepare('SELECT json, crc FROM state').get() as { json: string; crc: number } | undefined;
    if (!row) return null;
    const corrupt = (why: string) =>
      fileError('lab-file-corrupt', this.path, why, 'Open another lab, or a copy of this one.');
    if (crc32(row.json) !== row.crc) throw corrupt('Its checksum does not match: the file was damaged.');
    const lab = SavedLab.safeParse(JSON.parse(row.json));
    if (!lab.success) throw corrupt(`Its contents make no sense (${lab.error.issues[0]!.path.join('.')}).`);
    const events: LabEvent[] = [];
    for (const r of this.#db.prepare("SELECT json, crc FROM journal WHERE kind = 'event' ORDER BY id").iterate()) {
      const { json, crc } = r as { json: string; crc: number };
      const parsed = crc32(json) === crc ? LabEvent.safeParse(JSON.parse(json)) : undefined;
      if (parsed?.success) events.push(parsed.data);
    }
    const consoles = new Map<string, { bytes: Uint8Array; end: number }>();
    for (const d of lab.data.domains) {
      const parts = this.#db.prepare('SELECT start, bytes FROM console WHERE uuid = ? ORDER BY start').all(d.uuid) as {
        start: number;
        bytes: Uint8Array;
      }[];
      const last = parts.at(-1);
      if (last)
        consoles.set(d.uuid, { bytes: Buffer.concat(parts.map((p) => p.bytes)), end: last.start + last.bytes.length });
    }
    return { lab: lab.data, events, consoles };
  }

  addJournal(entry: JournalEntry): void {
    this.#journal.push(entry);
  }
  addConsole(uuid: string, start: number, bytes: Uint8Array): void {
    this.#console.push({ uuid, start, bytes });
  }
  get hasUnsaved(): boolean {
    return this.#journal.length > 0 || this.#console.length > 0;
  }

  /** Writes everything up to now in one transaction. */
  save(lab: SavedLab): void {
    const journal = this.#journal;
    const console = this.#console;
    this.#journal = [];
    this.#console = [];
    const db = this.#db;
    db.exec('BEGIN IMMEDIATE');
    try {
      const json = JSON.stringify(lab);
      db.prepare('INSERT OR REPLACE INTO state (id, json, crc) VALUES (1, ?, ?)').run(json, crc32(json));
      const addEntry = db.prepare('INSERT INTO journal (at, kind, json, crc) VALUES (?, ?, ?, ?)');
      for (const e of journal) {
        const data = JSON.stringify(e.data);
        addEntry.run(e.at, e.kind, data, crc32(data));
      }
      const addChunk = db.prepare('INSERT OR REPLACE INTO console (uuid, start, bytes) VALUES (?, ?, ?)');
      const drop = db.prepare('DELETE FROM console WHERE uuid = ? AND start < ?');
      for (const c of joinChunks(console)) {
        addChunk.run(c.uuid, c.start, c.bytes);
        drop.run(c.uuid, c.start + c.bytes.length - this.#keep);
      }
      db.exec('COMMIT');
    } catch (e) {
      db.exec('ROLLBACK');
      this.#journal = [...journal, ...this.#journal];
      this.#console = [...console, ...this.#console];
      throw e;
    }
  }

  get bytes(): number {
    return existsSync(this.path)
      ? statSync(this.path).size + (existsSync(`${this.path}-wal`) ? statSync(`${this.path}-wal`).size : 0)
      : 0;
  }

  /** Writes a copy; an existing file is replaced only when the copy is whole. */
  exportTo(target: string): void {
    if (path.resolve(target) === path.resolve(this.path))
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `The copy ${target} was not written.`,
        why: 'That is the lab that is open; it is saved all the time.',
        action: 'Choose another name for the copy.',
        field: 'path',
      });
    const part = `${target}.part`;
    rmSync(part, { force: true });
    try {
      this.#db.prepare('VACUUM INTO ?').run(part);
      renameSync(part, target);
    } catch (e) {
      rmSync(part, { force: true });
      throw new BulkheadError({
        code: 'file-unreadable',
        what: `The copy ${target} could not be written.`,
        why: (e as Error).message,
        action: 'Choose another folder.',
        field: 'path',
      });
    }
  }

  close(): void {
    this.#db.close();
  }
}

/** Neighbouring pieces of one console as one row. */
function joinChunks(pieces: { uuid: string; start: number; bytes: Uint8Array }[]): typeof pieces {
  const byDomain = new Map<string, { uuid: string; start: number; parts: Uint8Array[] }>();
  for (const p of pieces) {
    const d = byDomain.get(p.uuid);
    if (d) d.parts.push(p.bytes);
    else byDomain.set(p.uuid, { uuid: p.uuid, start: p.start, parts: [p.bytes] });
  }
  return [...byDomain.values()].map((d) => ({ uuid: d.uuid, start: d.start, bytes: Buffer.concat(d.parts) }));
}
