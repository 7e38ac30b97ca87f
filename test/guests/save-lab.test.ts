// Save, restore and clone in a lab of two hosts, as the window and scenarios ask for it: files, identities, what is refused, what fails.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BulkheadError } from '../../shared/errors.ts';
import { TwoHosts } from './two-hosts.ts';

let two: TwoHosts;
beforeEach(async () => {
  two = await TwoHosts.make();
});
afterEach(() => two.close());

const PV = { mode: 'pv', kernel: 'builtin:dinghy-pv64' } as const;
const PVH = { mode: 'pvh', kernel: 'builtin:dinghy-hw64' } as const;
const file = (name: string): string => join(two.folder, name);

/** Runs the lab until work that waits for a guest is over. */
async function until<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve));
  while (!two.lab.savings.active) {
    const over = await Promise.race([work.then(() => true), new Promise<false>((r) => setTimeout(r, 1, false))]).catch(
      () => true,
    );
    if (over) return work;
  }
  await two.lab.clock.advance(70e9, () => !two.lab.savings.active);
  return work;
}
async function refused(work: Promise<unknown>): Promise<string> {
  try {
    await until(work);
  } catch (e) {
    expect(e).toBeInstanceOf(BulkheadError);
    const { code, what, why, action } = (e as BulkheadError).sentences;
    return `${code}: ${what} ${why} ${action}`;
  }
  return 'accepted';
}
async function shell(uuid: string): Promise<void> {
  await two.expect(uuid, /dinghy\$ /, 1_000);
}
/** It answers, with this name in its store. */
async function answers(uuid: string, name: string): Promise<void> {
  await two.type(uuid, 'xenstore read name');
  await two.expect(uuid, new RegExp(`\\n${name}\\r`), 1_000);
}

it('saves to a file and restores on the other host: work, console and devices go on under another identity', async () => {
  const one = await two.create('alder', { name: 'one', ...PV, nics: [{ bridge: 'br0' }] });
  await shell(one);
  await two.type(one, 'echo before; burn 100');
  await two.advance(30);
  const path = file('one.save');
  writeFileSync(path, 'an older file of this name');
  const saved = await until(two.lab.savings.save(one, path, false));
  expect(saved).toEqual({ path, bytes: statSync(path).size });
  expect(two.lab.findDomain('one')).toBeUndefined();
  expect(await two.owners()).toEqual({ alder: 0, birch: 0 });
  expect(readdirSync(two.folder).filter((f) => f.endsWith('.part'))).toEqual([]);

  await two.advance(200);
  const again = await two.lab.savings.restore({ host: 'birch', path });
  const other = await two.lab.savings.restore({ host: 'birch', path, name: 'other', paused: true });
  expect(new Set([one, again, other]).size).toBe(3);
  expect(two.lab.domain(again)).toMatchObject({ host: 'birch', spec: { name: 'one' }, status: { state: 'running' } });
  expect(two.lab.domain(other)).toMatchObject({ host: 'birch', spec: { name: 'other' }, status: { state: 'paused' } });
  await two.expect(again, /\nbefore[^]*result burn .* check=/, 2_000);
  await answers(again, 'one');
  // the paused one has done nothing yet
  expect(two.console(other)).not.toContain('result burn');
  await two.lab.unpauseDomain(other);
  await two.expect(other, /\nbefore[^]*result burn .* check=/, 2_000);
  await answers(other, 'other');
  const kinds = two.lab.events.map((e) => e.kind).filter((k) => k === 'domain-saved' || k === 'domain-restored');
  expect(kinds).toEqual(['domain-saved', 'domain-restored', 'domain-restored']);
});

it('saves without ending the domain, and clones with copies of what can be written', async () => {
  const disk = two.disk('data.img', 64);
  writeFileSync(disk, new Uint8Array(65536).fill(7));
  const one = await two.create('alder', {
    name: 'one',
    ...PVH,
    disks: [{ path: disk, format: 'raw', vdev: 'xvda', readOnly: false }],
  });
  await shell(one);
  const path = file('one.save');
  await until(two.lab.savings.save(one, path, true));
  await answers(one, 'one');
  // its disk is in use: a second writer would ruin it
  expect(await refused(two.lab.savings.restore({ host: 'birch', path }))).toMatch(
    /^disk-in-use: .*data\.img\) is in use by one, and both would write/,
  );
  const twin = await until(two.lab.savings.clone(one, 'twin'));
  await answers(twin, 'twin');
  await answers(one, 'one');
  expect(readFileSync(`${disk}.twin`)).toEqual(readFileSync(disk));
  expect(two.lab.domain(twin).spec.disks[0]!.path).toBe(`${disk}.twin`);
  await two.type(twin, 'sum /dev/xvda');
  await two.expect(twin, /[0-9a-f]{8} 65536 \/dev\/xvda/, 1_000);
  expect(await refused(two.lab.savings.clone(one, 'twin'))).toMatch(/^disk-in-use: .*data\.img\.twin, which exists/);
  // gone, its disk is free
  await two.lab.destroyDomain(one);
  const back = await two.lab.savings.restore({ host: 'birch', path, name: 'back' });
  await answers(back, 'back');
});

it('takes a stream without anything of ours, as Xen makes them', async () => {
  for (const kind of [
    { name: 'pv', mode: 'pv', kernel: 'builtin:dinghy-pv32' },
    { name: 'pvh', mode: 'pvh', kernel: 'builtin:dinghy-hw64', vcpus: 2 },
  ] as const) {
    const uuid = await two.create('alder', kind);
    await shell(uuid);
    await until(two.lab.savings.save(uuid, file('ours.save'), false));
    const ours = readFileSync(file('ours.save'));
    // the libxl stream behind the header of xl, without our checksum
    writeFileSync(file(`xen ${kind.name}.save`), ours.subarray(48 + ours.readUInt32LE(44), ours.length - 8));
    const again = await two.lab.savings.restore({ host: 'birch', path: file(`xen ${kind.name}.save`) });
    expect(two.lab.domain(again).spec).toMatchObject({ name: `xen-${kind.name}`, mode: kind.mode });
    await two.type(again, 'cpu');
    await two.expect(again, new RegExp(`machine ${kind.mode}[^]*vcpus ${kind.name === 'pvh' ? 2 : 1}`), 1_000);
    await two.lab.destroyDomain(again);
  }
});

it('refuses what cannot be saved or restored, with what would help, and changes nothing', async () => {
  const one = await two.create('alder', { name: 'one', ...PV });
  await shell(one);
  await two.lab.pauseDomain(one);
  expect(await refused(two.lab.savings.save(one, file('x'), false))).toMatch(/It is paused.*Unpause it first/);
  await two.lab.unpauseDomain(one);
  expect(await refused(two.lab.savings.restore({ host: 'birch', path: file('none') }))).toMatch(/^file-missing: /);
  await until(two.lab.savings.save(one, file('one.save'), true));
  const whole = readFileSync(file('one.save'));
  writeFileSync(file('half.save'), whole.subarray(0, whole.length / 2));
  expect(await refused(two.lab.savings.restore({ host: 'birch', path: file('half.save') }))).toMatch(
    /^stream-corrupt: .*cut off after \d+ whole records/,
  );
  const harmed = Buffer.from(whole);
  harmed[whole.length - 9000]! ^= 1;
  writeFileSync(file('harmed.save'), harmed);
  expect(await refused(two.lab.savings.restore({ host: 'birch', path: file('harmed.save') }))).toMatch(
    /^stream-corrupt: .*(checksum|Record)/,
  );
  expect(await refused(two.lab.savings.restore({ host: 'birch', path: file('one.save'), name: 'one' }))).toMatch(
    /^name-taken: /,
  );
  expect(await refused(two.lab.savings.restore({ host: 'cedar', path: file('one.save') }))).toMatch(/^not-found: /);
  expect(await two.owners()).toEqual({ alder: 1, birch: 0 });
  expect(two.lab.domains.size).toBe(1);
  await answers(one, 'one');
  const native = await two.create('birch', { name: 'bare', mode: 'native', kernel: 'builtin:dinghy-hw64' });
  expect(await refused(two.lab.savings.save(native, file('n.save'), false))).toMatch(/^not-supported: .*native kernel/);
});

it('lets the domain go on where it is when the file cannot be written or the user changes their mind', async () => {
  const one = await two.create('alder', { name: 'one', ...PV });
  await shell(one);
  mkdirSync(file('folder.save'));
  for (const path of [file('no/such/folder.save'), file('folder.save')]) {
    expect(await refused(two.lab.savings.save(one, path, false))).toMatch(/^file-unreadable: .*could not be written/);
    await answers(one, 'one');
  }
  expect(readdirSync(two.folder).filter((f) => f.endsWith('.part'))).toEqual([]);
  // the clock stands still: the guest is asked and cannot answer
  const work = two.lab.savings.save(one, file('one.save'), false);
  work.catch(() => {});
  while (!two.lab.savings.active) await new Promise((resolve) => setTimeout(resolve, 1));
  const task = two.lab.tasks.list.at(-1)!;
  expect(task).toMatchObject({ state: 'running', cancellable: true, phase: 'waiting for the guest to suspend' });
  two.lab.tasks.cancel(task.id);
  expect(await refused(work)).toMatch(/^cancelled: /);
  expect(task.state).toBe('cancelled');
  expect(existsSync(file('one.save'))).toBe(false);
  await two.advance(50);
  await answers(one, 'one');
  // and it can be saved after all
  await until(two.lab.savings.save(one, file('one.save'), false));
  expect(await two.owners()).toEqual({ alder: 0, birch: 0 });
});
