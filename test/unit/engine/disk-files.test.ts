// Disk images as files: a qcow2 layer over a raw base, and what cannot be attached.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDisks } from '../../../main/engine/disk-files.ts';
import { createQcow2 } from '../../../main/toolstack/disk-image.ts';
import { DiskSpec } from '../../../shared/model.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bulkhead-disks-'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const MiB = 2 ** 20;
const disk = (name: string, format: string, readOnly = false) =>
  DiskSpec.parse({ path: join(folder, name), format, vdev: 'xvda', readOnly });

function writeLayer(name: string, base: string, format: 'raw' | 'qcow2' = 'raw'): void {
  const parts: Uint8Array[] = [];
  const file = {
    bytes: 0,
    read: () => new Uint8Array(0),
    write: (_offset: number, data: Uint8Array) => void parts.push(data),
    flush: () => {},
  };
  createQcow2(file, MiB, { name: base, format });
  writeFileSync(join(folder, name), Buffer.concat(parts));
}

it('a qcow2 layer keeps what is written, and its base as it was, through a second opening and a second layer', () => {
  writeFileSync(join(folder, 'base.img'), Buffer.alloc(MiB, 'base'));
  writeLayer('layer.qcow2', 'base.img');
  let [open] = openDisks([disk('layer.qcow2', 'qcow2')]);
  expect(open!.bytes).toBe(MiB);
  open!.write(4096, new TextEncoder().encode('mine'));
  open!.flush();
  open!.close();
  writeLayer('second.qcow2', 'layer.qcow2', 'qcow2');
  [open] = openDisks([disk('second.qcow2', 'qcow2')]);
  open!.write(8192, new TextEncoder().encode('also'));
  expect(Buffer.from(open!.read(4096, 8)).toString()).toBe('minebase');
  expect(Buffer.from(open!.read(8192, 8)).toString()).toBe('alsobase');
  open!.close();
  [open] = openDisks([disk('layer.qcow2', 'qcow2', true)]);
  expect(Buffer.from(open!.read(8192, 8)).toString()).toBe('basebase');
  open!.close();
  expect(readFileSync(join(folder, 'base.img')).equals(Buffer.alloc(MiB, 'base'))).toBe(true);
});

it('says what is wrong with one that cannot be attached', () => {
  writeFileSync(join(folder, 'raw.img'), Buffer.alloc(MiB));
  expect(() => openDisks([disk('raw.img', 'qcow2')])).toThrow('cannot be attached as qcow2');
  writeLayer('lost.qcow2', 'nowhere.img');
  expect(() => openDisks([disk('lost.qcow2', 'qcow2')])).toThrow('nowhere.img cannot be opened');
  writeLayer('self.qcow2', 'self.qcow2', 'qcow2');
  expect(() => openDisks([disk('self.qcow2', 'qcow2')])).toThrow('cannot be attached as qcow2');
});
