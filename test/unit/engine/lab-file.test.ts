// The lab file: what is written is read back; what it does not know, or what is damaged, is refused and left as it was.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LAB_FILE_VERSION, LabFile, type SavedLab } from '../../../main/engine/lab-file.ts';
import { BulkheadError } from '../../../shared/errors.ts';
import { DomainSpec, HostSpec, type LabEvent } from '../../../shared/model.ts';

const KEPT = 1024;
let folder: string;
let file: string;
let open: LabFile[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-lab-file-'));
  file = path.join(folder, 'study.bulkhead');
});
afterEach(() => {
  for (const f of open) f.close();
  open = [];
  rmSync(folder, { recursive: true, force: true });
});

const labFile = (at = file, keep = KEPT): LabFile => {
  const f = new LabFile(at, keep);
  open.push(f);
  return f;
};
const closed = (f: LabFile): void => {
  open = open.filter((o) => o !== f);
  f.close();
};
const lab = (more: Partial<SavedLab> = {}): SavedLab => ({
  name: 'study',
  seed: 24301,
  now: 5_000_000,
  link: { bandwidthMbit: 1000, latencyUs: 400, loss: 0.01 },
  hosts: [HostSpec.parse({ name: 'alder' }), HostSpec.parse({ name: 'birch', pcpus: 2 })],
  domains: [
    {
      uuid: 'a',
      spec: DomainSpec.parse({ name: 'web-01', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 16 }),
      host: 'birch',
      colour: 3,
      createdAt: 1000,
      state: 'running',
      reason: null,
    },
  ],
  ...more,
});
const event = (id: number): LabEvent => ({ id, at: id * 1000, kind: 'domain-created', text: `event ${id}`, uuid: 'a' });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const refused = (act: () => unknown): BulkheadError => {
  try {
    act();
  } catch (e) {
    expect(e).toBeInstanceOf(BulkheadError);
    return e as BulkheadError;
  }
  return expect.fail('nothing was refused');
};

describe('what was saved', () => {
  it('is read back: lab, tape and consoles', () => {
    const first = labFile();
    expect(first.read()).toBeNull();
    first.addJournal({ at: 1000, kind: 'event', data: event(1) });
    first.addJournal({ at: 1500, kind: 'type', data: { uuid: 'a', bytes: 'bHMK' } });
    first.addConsole('a', 0, bytes('boot'));
    first.addConsole('a', 4, bytes('ed\n'));
    first.save(lab());
    first.addJournal({ at: 2000, kind: 'event', data: event(2) });
    first.addConsole('a', 7, bytes('# '));
    first.save(lab({ now: 9_000_000 }));
    closed(first);

    const again = labFile().read()!;
    expect(again.lab).toEqual(lab({ now: 9_000_000 }));
    expect(again.events).toEqual([event(1), event(2)]);
    const console = again.consoles.get('a')!;
    expect(new TextDecoder().decode(console.bytes)).toBe('booted\n# ');
    expect(console.end).toBe(9);
  });

  it('knows whether something waits to be saved', () => {
    const f = labFile();
    expect(f.hasUnsaved).toBe(false);
    f.addConsole('a', 0, bytes('x'));
    expect(f.hasUnsaved).toBe(true);
    f.save(lab());
    expect(f.hasUnsaved).toBe(false);
  });

  it('loses nothing that was given but could not be written', () => {
    const f = labFile();
    f.addJournal({ at: 1, kind: 'event', data: event(1) });
    f.addConsole('a', 0, bytes('kept'));
    expect(() => f.save({ ...lab(), seed: 1n as never })).toThrow();
    expect(f.hasUnsaved).toBe(true);
    f.save(lab());
    expect(f.read()!.events).toEqual([event(1)]);
    expect(f.read()!.consoles.get('a')!.end).toBe(4);
  });

  it('keeps the end of a long console only, and the position of its end', () => {
    const f = labFile();
    for (let i = 0; i < 64; i++) {
      f.addConsole('a', i * 64, bytes(String.fromCharCode(33 + i).repeat(64)));
      f.save(lab());
    }
    const { bytes: kept, end } = f.read()!.consoles.get('a')!;
    expect(end).toBe(4096);
    expect(kept.length).toBeGreaterThanOrEqual(KEPT);
    expect(kept.length).toBeLessThan(2 * KEPT);
    expect(kept.at(-1)).toBe(33 + 63);
  });

  it('is there after the process that wrote it is gone without closing', () => {
    const f = labFile();
    f.addJournal({ at: 1, kind: 'event', data: event(1) });
    f.save(lab());
    // what a kill leaves: the files as they are, write-ahead log and all
    const left = path.join(folder, 'left.bulkhead');
    for (const end of ['', '-wal']) if (existsSync(file + end)) copyFileSync(file + end, left + end);
    expect(labFile(left).read()!.events).toEqual([event(1)]);
  });
});

describe('a file that is refused', () => {
  const untouched = (act: () => void): void => {
    const before = readFileSync(file);
    act();
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(folder).filter((n) => n.endsWith('-wal') || n.endsWith('-journal'))).toEqual([]);
  };
  const withDatabase = (sql: string): void => {
    const db = new DatabaseSync(file);
    db.exec(sql);
    db.close();
  };

  it('is one of a later format: the sentence names both versions', () => {
    const f = labFile();
    f.save(lab());
    closed(f);
    withDatabase(`PRAGMA user_version = ${LAB_FILE_VERSION + 6}`);
    untouched(() => {
      const e = refused(() => labFile());
      expect(e.code).toBe('lab-file-unknown');
      expect(e.sentences.why).toContain(`format ${LAB_FILE_VERSION + 6}`);
      expect(e.sentences.why).toContain(`format ${LAB_FILE_VERSION}`);
    });
  });
  it('is a database of something else', () => {
    withDatabase('CREATE TABLE bookmarks (url TEXT)');
    untouched(() => expect(refused(() => labFile()).code).toBe('lab-file-unknown'));
  });
  it('is no database', () => {
    writeFileSync(file, '# my shopping list\n'.repeat(100));
    untouched(() => expect(refused(() => labFile()).code).toBe('lab-file-corrupt'));
  });
  it('is a lab of which half is missing', () => {
    const f = labFile();
    f.addConsole('a', 0, new Uint8Array(20_000));
    f.save(lab());
    closed(f);
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, 4096 + 100));
    expect(refused(() => labFile().read()).code).toBe('lab-file-corrupt');
  });
  it('has a state that does not match its checksum', () => {
    const f = labFile();
    f.save(lab());
    closed(f);
    withDatabase(`UPDATE state SET json = replace(json, 'alder', 'elder')`);
    const e = refused(() => labFile().read());
    expect(e.code).toBe('lab-file-corrupt');
    expect(e.sentences.why).toContain('checksum');
  });
  it('is open in another Bulkhead', () => {
    labFile();
    const e = refused(() => labFile());
    expect(e.code).toBe('lab-file-in-use');
    expect(e.sentences.action).toMatch(/close/);
  });
  it('lies where nothing can be made', () => {
    writeFileSync(path.join(folder, 'occupied'), '');
    expect(refused(() => labFile(path.join(folder, 'occupied', 'x.bulkhead'))).code).toBe('file-unreadable');
    expect(refused(() => labFile(folder)).code).toBe('file-unreadable');
  });
});

describe('a damaged row of the tape', () => {
  it('costs that event, not the lab', () => {
    const f = labFile();
    for (const id of [1, 2, 3]) f.addJournal({ at: id, kind: 'event', data: event(id) });
    f.save(lab());
    closed(f);
    const db = new DatabaseSync(file);
    db.exec(`UPDATE journal SET json = '{"id":2' WHERE json LIKE '%event 2%'`);
    db.close();
    expect(
      labFile()
        .read()!
        .events.map((e) => e.id),
    ).toEqual([1, 3]);
  });
});

describe('a copy', () => {
  it('is a whole lab that opens beside the first', () => {
    const f = labFile();
    f.addJournal({ at: 1, kind: 'event', data: event(1) });
    f.save(lab());
    const copy = path.join(folder, 'copy.bulkhead');
    writeFileSync(copy, 'what was there before');
    f.exportTo(copy);
    expect(labFile(copy).read()).toEqual(f.read());
    expect(readdirSync(folder).filter((n) => n.includes('.part'))).toEqual([]);
  });
  it('leaves what was there when it cannot be written', () => {
    const f = labFile();
    f.save(lab());
    const target = path.join(folder, 'missing', 'copy.bulkhead');
    expect(refused(() => f.exportTo(target)).code).toBe('file-unreadable');
    expect(existsSync(target)).toBe(false);
  });
  it('does not replace the open lab by itself', () => {
    const f = labFile();
    f.save(lab());
    expect(refused(() => f.exportTo(path.join(folder, '.', 'study.bulkhead'))).code).toBe('not-possible-now');
    f.save(lab({ now: 77 }));
    closed(f);
    expect(labFile().read()!.lab.now).toBe(77);
  });
});
