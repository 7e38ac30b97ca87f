// Guests that the user brought along, as the shelf shows them and the lab file keeps them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ImportedGuests } from '../../../main/engine/imported-guests.ts';
import { DomainSpec } from '../../../shared/model.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'imported-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const kernel = (name: string): string => {
  const file = join(folder, name);
  writeFileSync(file, name);
  return file;
};
const spec = (file: string, more: object = {}): DomainSpec =>
  DomainSpec.parse({ name: 'one', mode: 'pv', kernel: file, memoryMiB: 64, ...more });

it('offers each kernel once, in the modes it was started in, the latest first, without what belongs to one domain', () => {
  const guests = new ImportedGuests();
  const [linux, mirage] = [kernel('vmlinuz-6.1'), kernel('mirage.xen')];
  guests.note(
    spec(linux, { nics: [{ bridge: 'br1', mac: '00:16:3e:00:00:01' }], disks: [{ path: '/d', vdev: 'xvda' }] }),
  );
  guests.note(spec(mirage));
  guests.note(spec(linux, { mode: 'pvh', cmdline: 'console=hvc0' }));
  guests.note(spec(linux, { mode: 'pvh', cmdline: 'console=hvc0 quiet', memoryMiB: 128 }));
  const [first, second, ...rest] = guests.templates();
  expect(rest).toEqual([]);
  expect(second).toMatchObject({ title: 'mirage.xen', unavailable: null });
  expect(first!.title).toBe('vmlinuz-6.1');
  expect(first!.offers.map((o) => [o.label, o.spec])).toEqual([
    ['PV', { mode: 'pv', kernel: linux, cmdline: '', memoryMiB: 64, vcpus: 1, nics: [{ bridge: 'br1' }] }],
    ['PVH', { mode: 'pvh', kernel: linux, cmdline: 'console=hvc0 quiet', memoryMiB: 128, vcpus: 1, nics: [] }],
  ]);
  for (const offer of first!.offers) expect(() => DomainSpec.parse({ name: 'again', ...offer.spec })).not.toThrow();
});

it('says of a kernel that is gone that it is, keeps a dozen, and comes back from the lab file', () => {
  const guests = new ImportedGuests();
  for (let n = 0; n < 14; n++) guests.note(spec(kernel(`k${n}`)));
  rmSync(join(folder, 'k13'));
  const again = new ImportedGuests();
  again.restore(guests.list);
  expect(again.templates().map((t) => t.title)).toEqual(Array.from({ length: 12 }, (_, n) => `k${13 - n}`));
  expect(again.templates()[0]!.unavailable).toContain('k13 is not there any more');
  expect(again.templates()[1]!.unavailable).toBeNull();
});
