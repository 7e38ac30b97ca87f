// qcow2 images: what is written is read again, the base is never touched, and qemu-img finds the file in order.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createQcow2,
  type ImageFile,
  qcow2Backing,
  Qcow2Error,
  Qcow2Image,
} from '../../../main/backends/block/qcow2.ts';

/** A file in memory that grows. */
class MemoryFile implements ImageFile {
  data = new Uint8Array(0);
  flushed = 0;
  constructor(data = new Uint8Array(0)) {
    this.data = data;
  }
  get bytes(): number {
    return this.data.length;
  }
  read(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    out.set(this.data.subarray(offset, offset + length));
    return out;
  }
  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.data.length) {
      const larger = new Uint8Array(offset + bytes.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data.set(bytes, offset);
  }
  flush(): void {
    this.flushed++;
  }
}

const MiB = 2 ** 20;
const made = (bytes: number, backing: { name: string; format: 'raw' } | null = null): MemoryFile => {
  const file = new MemoryFile();
  createQcow2(file, bytes, backing);
  return file;
};
const pattern = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 13) & 0xff);

describe('a qcow2 image', () => {
  it('reads zeros, then what was written, across clusters and after it is opened again', () => {
    const file = made(8 * MiB);
    const image = new Qcow2Image(file, null);
    expect(image.bytes).toBe(8 * MiB);
    expect(image.read(MiB, 512)).toEqual(new Uint8Array(512));
    const empty = file.bytes;
    image.write(65_536 - 512, pattern(1536, 1));
    image.write(8 * MiB - 512, pattern(512, 2));
    image.write(65_536, pattern(512, 3)); // a second time, in place
    const grown = file.bytes - empty;
    expect(grown).toBe(4 * 65_536); // three clusters of data and a table
    const again = new Qcow2Image(new MemoryFile(file.data), null);
    const expected = pattern(1536, 1);
    expected.set(pattern(512, 3), 512);
    expect(again.read(65_536 - 512, 1536)).toEqual(expected);
    expect(again.read(8 * MiB - 512, 512)).toEqual(pattern(512, 2));
    expect(again.read(4 * MiB, 512)).toEqual(new Uint8Array(512));
  });

  it('is a copy-on-write layer over a base that nothing changes, also when the base is smaller', () => {
    const base = new MemoryFile(pattern(MiB + 1024, 5));
    const before = base.data.slice();
    const file = made(4 * MiB, { name: 'base.img', format: 'raw' });
    expect(qcow2Backing(file)).toEqual({ name: 'base.img', format: 'raw' });
    const image = new Qcow2Image(file, base);
    expect(image.read(700, 100)).toEqual(before.slice(700, 800));
    image.write(512, pattern(512, 9));
    expect(image.read(0, 512)).toEqual(before.slice(0, 512));
    expect(image.read(512, 512)).toEqual(pattern(512, 9));
    expect(image.read(1024, 512)).toEqual(before.slice(1024, 1536));
    const end = new Uint8Array(2048);
    end.set(before.slice(MiB));
    expect(image.read(MiB, 2048)).toEqual(end);
    expect(base.data).toEqual(before);
  });

  it('is refused with a sentence when it is damaged or of a kind that is not read', () => {
    const bad = (change: (view: DataView) => void) => {
      const file = made(MiB);
      change(new DataView(file.data.buffer));
      return () => new Qcow2Image(file, null);
    };
    expect(() => new Qcow2Image(new MemoryFile(new Uint8Array(10)), null)).toThrow(Qcow2Error);
    expect(bad((v) => v.setUint32(0, 1))).toThrow('does not begin like');
    expect(bad((v) => v.setUint32(4, 9))).toThrow('version 9');
    expect(bad((v) => v.setUint32(20, 40))).toThrow('clusters');
    expect(bad((v) => v.setUint32(32, 1))).toThrow('encrypted');
    expect(bad((v) => v.setBigUint64(72, 4n))).toThrow('features');
    expect(bad((v) => v.setBigUint64(40, 1n << 40n))).toThrow('first-level');
    expect(bad((v) => v.setBigUint64(24, 1n << 50n))).toThrow('first-level');
    const snapshots = bad((v) => v.setUint32(60, 1))();
    expect(() => snapshots.write(0, new Uint8Array(512))).toThrow('snapshots');
  });
});

const missing = spawnSync('qemu-img', ['--version']).error !== undefined;
describe.skipIf(missing)(`beside qemu-img${missing ? ' (not installed)' : ''}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bulkhead-qcow2-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const qemuImg = (...args: string[]): void => {
    const run = spawnSync('qemu-img', args, { encoding: 'utf8', cwd: folder });
    expect(`${args.join(' ')}: ${run.status} ${run.stdout}${run.stderr}`).toContain(': 0 ');
  };

  it.each([[[]], [['-o', 'compat=0.10']], [['-o', 'cluster_size=4k']]])(
    'reads what it makes and writes what it finds in order, with %j',
    (options) => {
      const raw = pattern(3 * MiB, 1);
      writeFileSync(join(folder, 'in.raw'), raw);
      qemuImg('convert', '-O', 'qcow2', ...options, 'in.raw', 'made.qcow2');
      const file = new MemoryFile(readFileSync(join(folder, 'made.qcow2')));
      const image = new Qcow2Image(file, null);
      expect(Buffer.from(image.read(0, raw.length)).equals(Buffer.from(raw))).toBe(true);
      image.write(MiB - 100, pattern(5000, 4));
      raw.set(pattern(5000, 4), MiB - 100);
      writeFileSync(join(folder, 'changed.qcow2'), file.data);
      qemuImg('check', 'changed.qcow2');
      qemuImg('convert', '-O', 'raw', 'changed.qcow2', 'out.raw');
      expect(readFileSync(join(folder, 'out.raw')).equals(Buffer.from(raw))).toBe(true);
    },
  );

  it('reads compressed clusters, and writes over them', () => {
    const raw = pattern(MiB, 3);
    writeFileSync(join(folder, 'in.raw'), raw);
    qemuImg('convert', '-c', '-O', 'qcow2', 'in.raw', 'small.qcow2');
    const file = new MemoryFile(readFileSync(join(folder, 'small.qcow2')));
    expect(file.bytes).toBeLessThan(MiB / 2);
    const image = new Qcow2Image(file, null);
    expect(Buffer.from(image.read(0, raw.length)).equals(Buffer.from(raw))).toBe(true);
    image.write(70_000, pattern(100, 8));
    raw.set(pattern(100, 8), 70_000);
    expect(Buffer.from(image.read(0, raw.length)).equals(Buffer.from(raw))).toBe(true);
  });

  it('makes images that it finds in order, with a base', () => {
    const raw = pattern(2 * MiB, 6);
    writeFileSync(join(folder, 'base.raw'), raw);
    const file = made(2 * MiB, { name: 'base.raw', format: 'raw' });
    const image = new Qcow2Image(file, new MemoryFile(raw.slice()));
    image.write(100_000, pattern(200_000, 7));
    raw.set(pattern(200_000, 7), 100_000);
    writeFileSync(join(folder, 'layer.qcow2'), file.data);
    qemuImg('check', 'layer.qcow2');
    qemuImg('convert', '-O', 'raw', 'layer.qcow2', 'whole.raw');
    expect(readFileSync(join(folder, 'whole.raw')).equals(Buffer.from(raw))).toBe(true);
  });
});
