// Room from another domain's balloon: what is offered, and a real guest that gives its memory back so that another one can be created or come.
import { afterEach, expect, it } from 'vitest';
import { TwoHosts } from './two-hosts.ts';

const open: TwoHosts[] = [];
afterEach(async () => {
  for (const two of open.splice(0)) await two.close();
});
const small = { mode: 'pv', kernel: 'builtin:dinghy-pv64' } as const;

it('offers the balloon that suffices, and makes the room', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const { lab } = two;
  const { ballooning } = lab;
  const room = (host: string): number => lab.hosts.get(host).report!.freeMiB;
  const big = await two.create('alder', { ...small, name: 'big', memoryMiB: 24 });
  const little = await two.create('alder', { ...small, name: 'little', memoryMiB: 8 });
  const other = await two.create('birch', { ...small, name: 'other', memoryMiB: 6 });
  for (const uuid of [big, little, other]) await two.expect(uuid, /\$ /, 2000);
  await lab.refresh();
  const free = room('alder');
  expect(free).toBeLessThan(16);
  // there is room already; half of the largest does not suffice; memory is not what lacks
  expect(await ballooning.offer('alder', 'pv', free)).toBeNull();
  expect(await ballooning.offer('alder', 'pv', free + 12)).toBeNull();
  expect(await ballooning.offer('alder', 'native', 16)).toBeNull();

  const wanted = free + 6;
  const offer = (await ballooning.offer('alder', 'pv', wanted))!;
  expect(offer).toEqual({ uuid: big, name: 'big', host: 'alder', memoryMiB: 17, roomMiB: wanted + 1 });
  await expect(two.create('alder', { ...small, name: 'new', memoryMiB: wanted })).rejects.toMatchObject({
    code: 'not-enough-memory',
  });
  const made = ballooning.makeRoom(offer);
  await lab.clock.advance(500e6, () => lab.tasks.list.at(-1)!.state !== 'running');
  await made;
  expect(lab.tasks.list.at(-1)).toMatchObject({ title: 'Balloon big to 17 MiB', state: 'done' });
  expect(room('alder')).toBeGreaterThanOrEqual(wanted + 1);
  expect(lab.domain(big).status.memoryMiB).toBeLessThan(18);
  const fresh = await two.create('alder', { ...small, name: 'new', memoryMiB: wanted });
  await two.expect(fresh, /\$ /, 2000);
  await two.type(big, 'echo still here');
  await two.expect(big, /\nstill here/, 2000);
  await two.advance(20);

  // a domain that would come from the other host, too
  const refusal = lab.migrations.refusal(lab.domain(other), 'alder');
  expect(refusal!.code).toBe('not-enough-memory');
  const moving = lab.domain(other).spec;
  const second = await ballooning.offer('alder', moving.mode, moving.memoryMiB);
  expect(second).toMatchObject({ name: 'new' });
  const again = ballooning.makeRoom(second!);
  await lab.clock.advance(500e6, () => lab.tasks.list.at(-1)!.state !== 'running');
  await again;
  expect(await two.migrate(other, 'alder')).toMatchObject({ state: 'done' });
});

it('gives the memory back when it is called off or the guest has no more to give', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const { lab } = two;
  const a = await two.create('alder', { ...small, name: 'a', memoryMiB: 24 });
  await two.expect(a, /\$ /, 2000);
  // room that one balloon cannot make
  const failed = lab.ballooning.makeRoom({ uuid: a, memoryMiB: 20, roomMiB: 47 });
  const told = expect(failed).rejects.toMatchObject({
    code: 'guest-refused',
    sentences: { why: 'Its guest has given 4 MiB back, and no more for 10 s of lab time.' },
  });
  await lab.clock.advance(30e9, () => lab.tasks.list.at(-1)!.state !== 'running');
  await told;
  await two.advance(50);
  await lab.refresh();
  expect(lab.domain(a).status.memoryMiB).toBeGreaterThan(23.5);
  // cancelled while the clock stands still
  const waits = lab.ballooning.makeRoom({ uuid: a, memoryMiB: 16, roomMiB: 30 });
  const cancelled = expect(waits).rejects.toMatchObject({ code: 'cancelled' });
  await lab.atBoundary(() => Promise.resolve());
  lab.tasks.cancel(lab.tasks.list.at(-1)!.id);
  await cancelled;
  await two.advance(50);
  await lab.refresh();
  expect(lab.domain(a).status.memoryMiB).toBeGreaterThan(23.5);
});

it('is not offered by a guest without a balloon driver', async () => {
  const two = await TwoHosts.make();
  open.push(two);
  const early = await two.create('birch', { ...small, name: 'early', memoryMiB: 30 });
  // not booted yet: nobody watches the target
  expect(await two.lab.ballooning.offer('birch', 'pv', 20)).toBeNull();
  await two.expect(early, /\$ /, 2000);
  await two.advance(20);
  expect(await two.lab.ballooning.offer('birch', 'pv', 20)).toMatchObject({ name: 'early' });
});
