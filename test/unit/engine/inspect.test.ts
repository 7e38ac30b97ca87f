// What a dropped file is: said from its bytes, with what was looked for; never a guess, never an error for mere content.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectFile } from '../../../main/engine/inspect.ts';
import { LabFile } from '../../../main/engine/lab-file.ts';
import { builtinImages, builtinImagePath } from '../../../main/guests/templates.ts';
import { DomainSpec } from '../../../shared/model.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'bulkhead-inspect-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, content: string | Uint8Array): string => {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
};

/** An ELF header that names a processor. */
function elf(machine: number): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.set([2, 0, machine, 0, 1], 16);
  return bytes;
}
function arm64Image(): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set([0x41, 0x52, 0x4d, 0x64], 0x38);
  return bytes;
}

describe('a kernel', () => {
  it.each(builtinImages().map((i) => [i.image, i] as const))(
    '%s offers the modes it is built for',
    async (name, image) => {
      const file = builtinImagePath(name)!;
      const r = await inspectFile(file);
      expect(r.kind).toBe('kernel');
      expect(r.bits).toBe(image.bits);
      for (const mode of image.modes) expect(r.modes).toContain(mode);
      expect(r.modes).not.toContain(image.modes.includes('pv') ? 'pvh' : 'pv');
      expect(DomainSpec.safeParse(r.suggested).error?.issues).toBeUndefined();
    },
  );
});

describe('an xl configuration', () => {
  it('becomes a spec with absolute paths; what is not honoured is listed', async () => {
    write('kernel', '');
    write('disk.img', '');
    const r = await inspectFile(
      write('web.cfg', 'type = "pvh"\nkernel = "kernel"\nmemory = 32\ndisk = ["disk.img,raw,xvda,w"]\nvnc = 1\n'),
    );
    expect(r).toMatchObject({ kind: 'xl-config', modes: ['pvh'], ignored: ['vnc'], summary: 'An xl configuration.' });
    expect(r.suggested).toMatchObject({ name: 'web', kernel: path.join(folder, 'kernel'), memoryMiB: 32 });
    expect(DomainSpec.parse(r.suggested).disks[0]!.path).toBe(path.join(folder, 'disk.img'));
  });
  it('says which of its files are missing', async () => {
    const r = await inspectFile(write('web.cfg', 'kernel = "boot/vmlinuz"\n'));
    expect(r.kind).toBe('xl-config');
    expect(r.summary).toContain(path.join(folder, 'boot/vmlinuz'));
    expect(r.checked).toContainEqual({ text: path.join(folder, 'boot/vmlinuz'), found: false });
  });
  it('is known by what it says, whatever its name', async () => {
    expect((await inspectFile(write('web', '# a guest\nkernel = "k"\n'))).kind).toBe('xl-config');
  });
  it('names the line that is wrong', async () => {
    const r = await inspectFile(write('web.cfg', 'kernel = "k"\nmemory is 12\n'));
    expect(r.kind).toBe('unknown');
    expect(r.summary).toMatch(/line 2/);
  });
});

describe('other files', () => {
  it('knows a lab', async () => {
    const file = path.join(folder, 'study.bulkhead');
    new LabFile(file, 1024).close();
    expect((await inspectFile(file)).kind).toBe('lab');
  });
  it.each([
    ['nothing', ''],
    ['words', 'Dear diary,\nnothing boots here.\n'],
    ['a picture', new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13])],
    [
      'an image for another CPU',
      Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, ...Array(9).fill(0), 2, 0, 0xb7, 0, 1]),
    ],
  ])('says what was looked for in %s', async (_what, content) => {
    const r = await inspectFile(write('file', content));
    expect(r.kind).toBe('unknown');
    expect(r.summary).not.toBe('');
    expect(r.modes).toEqual([]);
    expect(r.checked.length).toBeGreaterThan(1);
    expect(r.checked.every((c) => !c.found)).toBe(true);
  });
  it.each([
    ['AArch64', elf(183)],
    ['RISC-V', elf(243)],
    ['AArch64', arm64Image()],
  ])('says that an image is for %s', async (processor, content) => {
    const r = await inspectFile(write('vmlinuz', content));
    expect(r.kind).toBe('unknown');
    expect(r.summary).toContain(`built for ${processor}`);
    expect(r.modes).toEqual([]);
  });
  it('refuses what cannot be read', async () => {
    await expect(inspectFile(path.join(folder, 'none'))).rejects.toMatchObject({ code: 'file-missing' });
    await expect(inspectFile(folder)).rejects.toMatchObject({ code: 'file-missing' });
  });
});
