// Images that the lab makes for what is copied on write: where they lie, what may share a base, and when they are deleted.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDisks } from '../../../main/engine/disk-files.ts';
import { Lab } from '../../../main/engine/lab.ts';
import { Overlays } from '../../../main/engine/overlays.ts';
import { type DiskSpec, DomainSpec, HostSpec } from '../../../shared/model.ts';

const MiB = 2 ** 20;
let folder: string;
let base: string;
const labs: Lab[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'overlays-'));
  base = path.join(folder, 'base.img');
  writeFileSync(base, Buffer.alloc(MiB, 'base'));
});
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
  rmSync(folder, { recursive: true });
});
const spec = (name: string, more: Partial<DiskSpec> = {}): DomainSpec =>
  DomainSpec.parse({
    name,
    mode: 'pv',
    kernel: 'k',
    memoryMiB: 64,
    disks: [{ path: base, vdev: 'xvda', overlay: true, ...more }],
  });
async function newLab(name = 'one'): Promise<Lab> {
  const lab = new Lab({
    name,
    path: path.join(folder, `${name}.bulkhead`),
    seed: 1,
    spawn: () => new Worker(new URL('./double-host-worker.ts', import.meta.url)),
    readKernel: (kernel) => Promise.resolve(new Uint8Array(kernel === 'empty' ? 0 : 4)),
  });
  labs.push(lab);
  await lab.addHost(HostSpec.parse({ name: 'alder', memoryMiB: 512 }));
  return lab;
}
const images = (): string[] =>
  existsSync(path.join(folder, 'one.disks')) ? readdirSync(path.join(folder, 'one.disks')) : [];
const diskOf = (lab: Lab, uuid: string): DiskSpec => lab.domain(uuid).spec.disks[0]!;

describe('an image above a base', () => {
  it('takes what is written; the base stays, also when a guest has made it begin like another format', () => {
    // as a guest with the raw image might write it, to be let into a file of the host
    writeFileSync(base, Buffer.concat([Buffer.from('514649fb00000003', 'hex'), Buffer.alloc(MiB - 8, 'base')]));
    const before = readFileSync(base);
    const overlays = new Overlays(path.join(folder, 'one.disks'));
    const [made] = overlays.resolve(spec('a')).disks;
    expect(made).toMatchObject({ format: 'qcow2', overlay: true, base, vdev: 'xvda' });
    const [disk] = openDisks([made!]);
    expect(disk!.bytes).toBe(MiB);
    disk!.write(4096, Buffer.from('mine'));
    expect(Buffer.from(disk!.read(4096, 8)).toString()).toBe('minebase');
    expect(Buffer.from(disk!.read(0, 4)).toString('hex')).toBe('514649fb');
    disk!.close();
    expect(readFileSync(base).equals(before)).toBe(true);
    // a second one over the first, which is qcow2
    const [second] = overlays.resolve(spec('b', { path: made!.path, format: 'qcow2' })).disks;
    const [above] = openDisks([second!]);
    expect(Buffer.from(above!.read(4096, 8)).toString()).toBe('minebase');
    above!.close();
  });

  it('is refused for what is never written, and for a base that is not there', () => {
    const overlays = new Overlays(path.join(folder, 'one.disks'));
    expect(() => overlays.resolve(spec('a', { readOnly: true }))).toThrow('attached read-only');
    expect(() => overlays.resolve(spec('a', { format: 'iso' }))).toThrow('attached read-only');
    expect(() => overlays.resolve(spec('a', { path: path.join(folder, 'no.img') }))).toThrow('cannot be opened');
    expect(() => overlays.resolve(spec('a', { format: 'qcow2' }))).toThrow('cannot be attached as qcow2');
    expect(images()).toEqual([]);
  });
});

describe('domains', () => {
  it('share one base when each copies on write; nobody writes to it meanwhile', async () => {
    const lab = await newLab();
    const a = await lab.createDomain('alder', spec('a'));
    const b = await lab.createDomain('alder', spec('b'));
    expect(diskOf(lab, a).path).not.toBe(diskOf(lab, b).path);
    expect(images()).toHaveLength(2);
    await lab.createDomain('alder', spec('reader', { overlay: false, readOnly: true }));
    await expect(lab.createDomain('alder', spec('writer', { overlay: false }))).rejects.toMatchObject({
      code: 'disk-in-use',
      sentences: { why: `Its disk xvda (${base}) is in use by a, and this one would write to it.` },
    });
    await lab.destroyDomain(a);
    // it cannot be created: no image stays
    await expect(lab.createDomain('alder', { ...spec('broken'), kernel: 'empty' })).rejects.toMatchObject({
      code: 'kernel-corrupt',
    });
    expect(images()).toHaveLength(2);
  });

  it('keep theirs when they start again or come back, until they are forgotten', async () => {
    const lab = await newLab();
    const uuid = await lab.createDomain('alder', spec('a'));
    const { path: image } = diskOf(lab, uuid);
    await lab.restartDomain(uuid);
    expect(diskOf(lab, uuid).path).toBe(image);
    await lab.destroyDomain(uuid);
    await lab.undo();
    expect(diskOf(lab, uuid).path).toBe(image);
    await lab.destroyDomain(uuid);
    expect(existsSync(image)).toBe(true);
    const other = await lab.createDomain('alder', { ...spec('other'), disks: [] });
    for (let n = 0; n < 20; n++) lab.renameDomain(other, `other-${n}`);
    await expect.poll(() => existsSync(image)).toBe(false);
    expect(existsSync(base)).toBe(true);
  });

  it('leave them behind when they were saved, and when the lab was closed before they were forgotten until it is opened again', async () => {
    const lab = await newLab();
    const [saved, gone, stays] = [
      await lab.createDomain('alder', spec('saved')),
      await lab.createDomain('alder', spec('gone')),
      await lab.createDomain('alder', spec('stays')),
    ].map((uuid) => diskOf(lab, uuid).path);
    lab.overlays.noteSaved(lab.findDomain('saved')!.spec);
    for (const name of ['saved', 'gone']) await lab.destroyDomain(lab.findDomain(name)!.uuid);
    const kept = lab.toSaved();
    expect(images()).toHaveLength(3);
    // a copy of the lab under another name owns none of them
    const copy = await newLab('copy');
    await copy.restore({ lab: { ...kept, hosts: [], domains: [] }, events: [], consoles: new Map() });
    expect(images()).toHaveLength(3);
    const again = await newLab('one');
    await again.restore({ lab: { ...kept, hosts: [] }, events: [], consoles: new Map() });
    expect([saved, gone, stays].map((file) => existsSync(file!))).toEqual([true, false, true]);
  });
});
