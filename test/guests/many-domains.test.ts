// A hundred small domains of three kinds side by side on one host: each boots, answers on its own console, and leaves nothing behind.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { checkInvariants } from '../../main/hypervisor/memory/checker.ts';
import { Booted } from './booted.ts';

const image = (name: string) => readFileSync(new URL(`../../main/guests/dinghy/images/${name}`, import.meta.url));
const KINDS = [
  { mode: 'pv', kernel: image('dinghy-pv64') },
  { mode: 'pv', kernel: image('dinghy-pv32') },
  { mode: 'pvh', kernel: image('dinghy-hw64') },
  { mode: 'pvh', kernel: image('dinghy-hw32') },
] as const;
const DOMAINS = 100;

it('a hundred Dinghies of 8 MiB', async () => {
  const b = new Booted(1024, 2);
  // The first PV domain brings the hypervisor's own tables, which all of them share.
  b.xen.destroyDomain(await b.start({ spec: { mode: 'pv', memoryMiB: 8 }, kernel: KINDS[0].kernel }));
  const free = b.xen.host.frames.free;
  const domids: number[] = [];
  for (let n = 0; n < DOMAINS; n++) {
    const { mode, kernel } = KINDS[n % KINDS.length];
    domids.push(await b.start({ spec: { name: `dinghy${n}`, mode, memoryMiB: 8 }, kernel }));
  }
  for (const domid of domids) b.expect(domid, /\$ $/, 20_000);
  domids.forEach((domid, n) => b.type(domid, `echo "answer ${n}" "of ${domid}"`));
  domids.forEach((domid, n) => b.expect(domid, new RegExp(`\\nanswer ${n} of ${domid}\\r?\\n`), 5_000));
  expect(checkInvariants(b.xen.host)).toEqual([]);
  // Nobody works any more: the host has nothing to do but wait.
  b.advance(1000);
  expect(domids.map((domid) => b.xen.domainStatus(domid).state).filter((state) => state !== 'blocked')).toEqual([]);
  for (const domid of domids) b.xen.destroyDomain(domid);
  expect(b.xen.host.frames.free).toBe(free);
  expect(checkInvariants(b.xen.host)).toEqual([]);
});
