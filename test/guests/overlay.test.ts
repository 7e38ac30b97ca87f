// Real guests on disks that are copied on write: two share one image, which stays as it is; a clone, a migration and a saved domain have what was written.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { TwoHosts } from './two-hosts.ts';

const open: TwoHosts[] = [];
afterEach(async () => {
  for (const two of open.splice(0)) await two.close();
});
const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

it('keeps the image as it is, and what was written with the domain wherever it goes', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const { lab } = two;
  const base = two.disk('base.img', 512);
  const before = digest(base);
  const disks = [{ path: base, format: 'raw', vdev: 'xvda', readOnly: false, overlay: true }] as const;
  const guest = { mode: 'pv', kernel: 'builtin:dinghy-pv64' } as const;
  const a = await two.create('alder', { ...guest, name: 'a', disks: [...disks] });
  const b = await two.create('alder', {
    ...guest,
    mode: 'pvh',
    kernel: 'builtin:dinghy-hw64',
    name: 'b',
    disks: [...disks],
  });
  for (const uuid of [a, b]) await two.expect(uuid, /\$ /, 2000);

  /** CRC-32 of the disk as its guest reads it. */
  const sum = async (uuid: string): Promise<string> => {
    await two.type(uuid, 'sum /dev/xvda');
    return (await two.expect(uuid, /\n([0-9a-f]{8}) [^\n]*524288/, 20_000))[1]!;
  };
  const write = async (uuid: string, operations: number): Promise<void> => {
    await two.type(uuid, `db /dev/xvda ${operations} 512`);
    await two.expect(uuid, /result db /, 20_000);
  };
  const fresh = await sum(a);
  await write(a, 60);
  await write(b, 200);
  const [sumA, sumB] = [await sum(a), await sum(b)];
  expect(new Set([fresh, sumA, sumB]).size).toBe(3);
  expect(digest(base)).toBe(before);

  // a clone has its own copy, above the same base
  const cloning = lab.savings.clone(a, 'c');
  await lab.clock.advance(5e9, () => lab.findDomain('c') !== undefined);
  const c = await cloning;
  // past what its console has of before
  await two.expect(c, /[\s\S]*\$ $/, 2000);
  expect(await sum(c)).toBe(sumA);
  await write(c, 90);
  expect(await sum(c)).not.toBe(sumA);
  expect(await sum(a)).toBe(sumA);

  // shared by both hosts, its image goes on being used; what is written right before the move is there
  await two.type(a, 'db /dev/xvda 2000 512 &');
  await two.advance(20);
  const moved = await two.migrate(a, 'birch');
  expect(moved).toMatchObject({ state: 'done' });
  await two.expect(a, /result db [^\n]*reads=2000 /, 60_000);
  const image = lab.domain(a).spec.disks[0]!;
  expect(image).toMatchObject({ format: 'qcow2', base, overlay: true });

  // copied along it is one raw image with all that the guest sees, and needs no base any more
  expect(await two.migrate(b, 'birch', undefined, { xvda: 'copy' })).toMatchObject({ state: 'done' });
  const [copied] = lab.domain(b).spec.disks;
  expect(copied).toMatchObject({ format: 'raw', vdev: 'xvda' });
  expect(copied).not.toHaveProperty('base');
  expect(readFileSync(copied!.path)).toHaveLength(512 * 1024);
  expect(await sum(b)).toBe(sumB);

  // saved and removed: its image stays, and the domain that is restored has it
  await two.advance(20);
  const sumNow = await sum(a);
  const file = path.join(two.folder, 'a.save');
  const saving = lab.savings.save(a, file, false);
  await lab.clock.advance(5e9, () => !lab.findDomain('a'));
  await saving;
  expect(existsSync(image.path)).toBe(true);
  const restored = await lab.savings.restore({ host: 'alder', path: file });
  await two.expect(restored, /[\s\S]*\$ $/, 2000);
  expect(await sum(restored)).toBe(sumNow);
  expect(digest(base)).toBe(before);
}, 120_000);
