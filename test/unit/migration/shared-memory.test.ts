// A domain that shares memory with another guest can be neither saved nor moved, and says with whom it shares.

import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Domain } from '../../../main/hypervisor/domain.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';

const image = (name: string) => readFileSync(new URL(`../../../main/guests/dinghy/images/${name}`, import.meta.url));
const KERNELS = { pv: image('dinghy-pv64'), pvh: image('dinghy-hw64') };
const REF = 100;

describe.each(['pv', 'pvh'] as const)('%s', (mode) => {
  let xen: XenHost;
  let owner: Domain;
  let user: Domain;

  function boot(name: string): Domain {
    const spec = { name, mode, kernel: 'dinghy', cmdline: '', vcpus: 1, disks: [], nics: [], weight: 256, cap: 0 };
    const domid = xen.createDomain({ ...spec, memoryMiB: 6 }, { kernel: KERNELS[mode], disks: [] });
    xen.advance(xen.host.now() + 30_000_000);
    return xen.host.domain(domid)!;
  }
  const read = (d: Domain): unknown => xen.domainSource(d.domid).headerRecords();

  /** `user` maps a page of `owner`, as GNTTABOP_map_grant_ref does. @returns what unmaps it */
  function share(): () => void {
    const frame = owner.hvm ? 6 * 256 - 8 : xen.domainSource(owner.domid).mfnOf(6 * 256 - 8);
    owner.grants.permit(REF, user.domid, frame);
    const active = owner.grants.acquire(REF, user.domid, true);
    if (typeof active === 'number') throw new Error(`the grant was refused: ${active}`);
    const mapping = { domid: owner.domid, ref: REF, readonly: false, mfn: active.mfn, host: true, device: false };
    const handle = user.grants.track(mapping);
    return () => user.grants.untrack(handle);
  }

  beforeEach(() => {
    xen = new XenHost({ name: 'alder', pcpus: 1, memoryMiB: 32, clockMHz: 100 }, 1, {
      console: () => {},
      stateChanged: () => {},
    });
    owner = boot('owner');
    user = boot('user');
  });

  it('is refused at both ends of a mapping, and only while there is one', () => {
    expect(read(owner)).toBeTruthy();
    expect(read(user)).toBeTruthy();
    const unmap = share();
    expect(() => read(owner)).toThrow(/owner cannot be saved or moved.*user has memory of it mapped/s);
    expect(() => read(user)).toThrow(/user cannot be saved or moved.*It has memory of owner mapped/s);
    unmap();
    expect(read(owner)).toBeTruthy();
    expect(read(user)).toBeTruthy();
  });

  it('is refused at the end as well, when the sharing began on the way, and runs on', () => {
    const source = xen.domainSource(owner.domid);
    source.headerRecords();
    let asked: unknown = 'not yet';
    source.suspend((refusal) => (asked = refusal));
    xen.advance(xen.host.now() + 100_000_000);
    expect(asked).toBeNull();
    const unmap = share();
    expect(() => source.stateRecords()).toThrow(/user has memory of it mapped/);
    source.resumeHere();
    expect(owner.shutdownReason).toBeNull();
    unmap();
  });
});
