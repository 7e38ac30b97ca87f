// The shelf names only files that exist, and the committed images are the ones the manifest describes.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { builtinImagePath, builtinImages, templates } from '../../../main/guests/templates.ts';
import { DomainSpec, Template } from '../../../shared/model.ts';

const folders: string[] = [];
const emptyFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'guests-'));
  folders.push(folder);
  return folder;
};
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

describe('built-in images', () => {
  it.each(builtinImages().map((image) => [image.image, image] as const))(
    '%s is the file the manifest describes',
    (name, image) => {
      const path = builtinImagePath(`builtin:${name}`);
      expect(path).not.toBeNull();
      const bytes = readFileSync(path!);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(image.sha256);
      expect(bytes.length).toBe(image.bytes);
      expect(bytes.length).toBeLessThan(300 * 1024);
      expect([...bytes.subarray(0, 5)]).toEqual([0x7f, 0x45, 0x4c, 0x46, image.bits === 64 ? 2 : 1]);
    },
  );

  it('refuses names that lead elsewhere', () => {
    expect(builtinImagePath('builtin:../manifest.json')).toBeNull();
    expect(builtinImagePath('builtin:no-such')).toBeNull();
  });
});

describe('templates', () => {
  it('offers Dinghy in every mode, each a valid domain', () => {
    const [dinghy] = templates(emptyFolder());
    expect(dinghy!.unavailable).toBeNull();
    expect(dinghy!.offers.map(({ label }) => label)).toEqual([
      'PV 64',
      'PV 32',
      'PVH 64',
      'PVH 32',
      'Native 64',
      'Native 32',
    ]);
    for (const { spec } of dinghy!.offers) {
      const domain = DomainSpec.parse({ name: 'one', ...spec });
      const image = builtinImages().find(({ image }) => `builtin:${image}` === domain.kernel);
      expect(image?.modes).toContain(domain.mode);
    }
  });

  it('says how to get what is not there, and offers what is', () => {
    const folder = emptyFolder();
    expect(
      templates(folder)
        .slice(1)
        .every(({ unavailable, offers }) => unavailable !== null && offers.length === 0),
    ).toBe(true);
    mkdirSync(join(folder, 'linux-686'));
    writeFileSync(join(folder, 'linux-686/vmlinuz'), '');
    writeFileSync(join(folder, 'initramfs-i386.cpio.gz'), '');
    const linux = templates(folder).find(({ id }) => id === 'linux')!;
    expect(Template.parse(linux).unavailable).toBeNull();
    expect(linux.offers).toMatchObject([
      { label: 'Native 32', spec: { ramdisk: join(folder, 'initramfs-i386.cpio.gz') } },
    ]);
  });
});
