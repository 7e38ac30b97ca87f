// Undo of a destroy with a real guest: the domain is back as it was, and what it held never stands in the way of others.
import { expect, it } from 'vitest';
import { TwoHosts } from './two-hosts.ts';

const DINGHY = { mode: 'pv', kernel: 'builtin:dinghy-pv64' } as const;

async function booted(two: TwoHosts, name: string, more: object = {}): Promise<string> {
  const uuid = await two.create('alder', { ...DINGHY, name, ...more });
  await two.advance(100);
  expect(two.console(uuid)).toContain('dinghy$ ');
  return uuid;
}

it('brings a destroyed domain back with its memory, processes and disk', async () => {
  const two = await TwoHosts.make();
  try {
    const disk = two.disk('data.img', 256);
    const uuid = await booted(two, 'db', { disks: [{ path: disk, format: 'raw', vdev: 'xvda', readOnly: false }] });
    await two.type(uuid, 'sleep 60 & xenstore write data/kept yes');
    await two.advance(100);
    const { freeMiB } = two.lab.hostStatuses()[0]!;
    await two.lab.destroyDomain(uuid);
    const alder = two.lab.hostStatuses()[0]!;
    expect(alder.freeMiB).toBeGreaterThanOrEqual(freeMiB + 5);
    expect(alder.memory.every((span) => span.owner === null || span.owner === 'hypervisor')).toBe(true);
    const before = two.console(await two.lab.undo());
    expect(two.lab.domain(uuid).status.state).toMatch(/running|blocked/);
    await two.type(uuid, 'ps; xenstore read data/kept; db /dev/xvda 10 128');
    await two.advance(500);
    const after = two.console(uuid).slice(before.length);
    expect(after).toMatch(/sleeping .* sleep/);
    expect(after).toContain('\nyes\r');
    expect(after).toMatch(/result db .* reads=10 /);
    expect(after).not.toContain('Welcome aboard');
  } finally {
    await two.close();
  }
});

it('lets a destroyed domain go when a new one needs its memory or its disk', async () => {
  const two = await TwoHosts.make();
  const refused = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'accepted',
      (e: { code: string }) => e.code,
    );
  try {
    const large = await booted(two, 'large', { memoryMiB: 24 });
    await two.lab.destroyDomain(large);
    const next = await booted(two, 'next', { memoryMiB: 24 });
    // its memory went to the next one
    expect(await refused(two.lab.undo())).toBe('not-enough-memory');
    await two.lab.restartDomain(next);

    const disks = [{ path: two.disk('data.img', 64), format: 'raw', vdev: 'xvda', readOnly: false }];
    const reader = await booted(two, 'reader', { disks });
    await two.lab.destroyDomain(reader);
    const writer = await booted(two, 'writer', { disks });
    expect(await refused(two.lab.undo())).toBe('disk-in-use');
    await two.lab.destroyDomain(writer);
    expect(await two.lab.undo()).toBe(writer);
    await two.lab.destroyDomain(writer);
    await two.lab.undo();
    await two.type(writer, 'uptime');
    await two.expect(writer, /up 0\.\d+ s/, 1_000);
  } finally {
    await two.close();
  }
});
