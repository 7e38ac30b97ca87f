// Which files a window may name, over the service itself; and what of the link's traffic is shown.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { Lab } from '../../../main/engine/lab.ts';
import { LinkTraffic } from '../../../main/engine/link-traffic.ts';
import { PathGrants } from '../../../main/engine/path-grants.ts';
import { RememberedFiles } from '../../../main/engine/remembered-files.ts';
import { LabServer } from '../../../main/engine/service.ts';
import { labService, type LabClient } from '../../../shared/lab-service.ts';
import { HostSpec } from '../../../shared/model.ts';
import { connect, fromNodePort } from '../../../shared/rpc.ts';

const open: { lab: Lab; client: LabClient }[] = [];
afterEach(async () => {
  for (const { lab, client } of open.splice(0)) {
    client.close();
    await lab.close();
  }
});
async function window(grants: PathGrants): Promise<{ lab: Lab; client: LabClient; exported: string[] }> {
  const lab = new Lab({
    name: 'test',
    path: '/nowhere',
    seed: 1,
    spawn: () => new Worker(new URL('./double-host-worker.ts', import.meta.url)),
    readKernel: () => Promise.resolve(new Uint8Array(4)),
  });
  const exported: string[] = [];
  const { port1, port2 } = new MessageChannel();
  const store = { savedUpTo: 0, bytes: 0, exportTo: (p: string) => Promise.resolve(void exported.push(p)) };
  new LabServer(lab, store, grants).attach(fromNodePort(port1));
  const client = connect(labService, fromNodePort(port2));
  open.push({ lab, client });
  await lab.addHost(HostSpec.parse({ name: 'alder', memoryMiB: 256 }));
  return { lab, client, exported };
}
const spec = (more: object): never => ({ name: 'a', mode: 'pv', memoryMiB: 64, ...more }) as never;

describe('a window', () => {
  it('names only files that were granted, in whatever call', async () => {
    const grants = new PathGrants([]);
    const { client, exported } = await window(grants);
    grants.grant(['/granted', '/copy.bulkhead']);
    const refused = [
      client.exportLab({ path: '/elsewhere' }),
      client.inspectFile({ path: '/etc/passwd' }),
      client.exportTrace({ path: '/elsewhere' }),
      client.createDomain({ host: 'alder', spec: spec({ kernel: '/etc/shadow' }) }),
      client.createDomain({ host: 'alder', spec: spec({ kernel: '/granted', ramdisk: '/etc/shadow' }) }),
      client.createDomain({
        host: 'alder',
        spec: spec({ kernel: '/granted', disks: [{ path: '/dev/sda', vdev: 'xvda', format: 'raw' }] }),
      }),
      client.createFromTemplate({ host: 'alder', template: 'dinghy', overrides: { kernel: '/etc/shadow' } }),
    ];
    for (const result of await Promise.allSettled(refused)) {
      expect(result.status).toBe('rejected');
      expect((result as PromiseRejectedResult).reason).toMatchObject({ code: 'not-possible-now' });
      expect(String((result as PromiseRejectedResult).reason)).toContain('was not opened');
    }
    await client.exportLab({ path: '/copy.bulkhead' });
    expect(exported).toEqual(['/copy.bulkhead']);
    await client.createDomain({ host: 'alder', spec: spec({ kernel: '/granted' }) });
    await client.createFromTemplate({ host: 'alder', template: 'dinghy', overrides: { memoryMiB: 32 } });
  });
  it('may read again what was saved or opened in an earlier session, as long as it is what it was, and write nothing there', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'grants-'));
    const file = path.join(folder, 'guest.cfg');
    writeFileSync(file, "name = 'guest'\nkernel = 'vmlinux'\nmemory = 64\n");
    const list = path.join(folder, 'known', 'files.json');
    const session = async (): Promise<Awaited<ReturnType<typeof window>>> =>
      window(new PathGrants([], new RememberedFiles(list)));
    const first = new PathGrants([], new RememberedFiles(list));
    first.grant([file]);
    await (await window(first)).client.inspectFile({ path: file });

    const { client } = await session();
    const { suggested } = await client.inspectFile({ path: file });
    await client.createDomain({ host: 'alder', spec: spec({ kernel: suggested.kernel }) });
    const writes = client.exportLab({ path: file });
    await expect(writes).rejects.toMatchObject({ code: 'not-possible-now' });

    writeFileSync(file, "name = 'guest'\nkernel = '/etc/shadow'\nmemory = 64\n");
    const changed = (await session()).client;
    await expect(changed.inspectFile({ path: file })).rejects.toThrow('It has changed since');
    // chosen again, it is known again as it is now
    const again = new PathGrants([], new RememberedFiles(list));
    again.grant([file]);
    await (await window(again)).client.inspectFile({ path: file });
    await (await session()).client.inspectFile({ path: file });

    // a list that makes no sense: everything is asked for
    writeFileSync(list, '{"version": 2}');
    await expect((await session()).client.inspectFile({ path: file })).rejects.toThrow('A window may only name files');
  });
  it('may be quicker than the grant, and may name what a granted xl.cfg names', async () => {
    const grants = new PathGrants([]);
    const { client } = await window(grants);
    const folder = mkdtempSync(path.join(tmpdir(), 'grants-'));
    const config = path.join(folder, 'guest.cfg');
    writeFileSync(config, "name = 'guest'\nkernel = 'vmlinux'\nmemory = 64\n");
    const report = client.inspectFile({ path: config });
    grants.grant([config]);
    const { suggested } = await report;
    expect(suggested.kernel).toBe(path.join(folder, 'vmlinux'));
    await client.createDomain({ host: 'alder', spec: spec({ kernel: suggested.kernel }) });
  });
});

describe('the traffic shown', () => {
  it('is that of the last second of lab time, by host and use', () => {
    const t = new LinkTraffic();
    t.note('alder', 'guests', 1000);
    expect(t.rates(0.5e9)).toEqual([{ from: 'alder', guestBytesPerSecond: 1000, migrationBytesPerSecond: 0 }]);
    t.note('alder', 'migrations', 500);
    expect(t.rates(1e9)).toEqual([{ from: 'alder', guestBytesPerSecond: 1000, migrationBytesPerSecond: 500 }]);
    expect(t.rates(1.5e9)).toEqual([{ from: 'alder', guestBytesPerSecond: 0, migrationBytesPerSecond: 500 }]);
    expect(t.rates(4e9)[0]).toMatchObject({ guestBytesPerSecond: 0, migrationBytesPerSecond: 0 });
  });
});
