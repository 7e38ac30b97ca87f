// The schemas of a lab's parts: defaults, limits, and that nothing unknown slips through.
import { describe, expect, it } from 'vitest';
import { DomainSpec, HostSpec, LIMITS, LinkSpec } from '../../../shared/model.ts';

const domain = { name: 'web-01', mode: 'pvh', kernel: 'builtin:dinghy-hw64', memoryMiB: 16 };

describe('HostSpec', () => {
  it('fills in defaults', () => {
    expect(HostSpec.parse({ name: 'alder' })).toEqual({ name: 'alder', pcpus: 4, memoryMiB: 1024, clockMHz: 1000 });
  });
  it('keeps every number inside its limits', () => {
    const host = { name: 'alder', pcpus: 1, memoryMiB: 64, clockMHz: 100 };
    for (const [field, { min, max }] of Object.entries({
      pcpus: LIMITS.pcpus,
      memoryMiB: LIMITS.hostMemoryMiB,
      clockMHz: LIMITS.clockMHz,
    })) {
      for (const allowed of [min, max]) expect(HostSpec.safeParse({ ...host, [field]: allowed }).success).toBe(true);
      for (const refused of [min - 1, max + 1, min + 0.5, NaN, Infinity, `${min}`])
        expect(HostSpec.safeParse({ ...host, [field]: refused }).error?.issues[0]?.path).toEqual([field]);
    }
  });
  it.each(['', '-alder', 'a b', '../alder', 'ä', 'a'.repeat(41)])('refuses the name %j', (name) => {
    expect(HostSpec.safeParse({ name }).success).toBe(false);
  });
});

describe('LinkSpec', () => {
  it('fills in defaults and allows loss from none to all', () => {
    expect(LinkSpec.parse({})).toEqual({ bandwidthMbit: 1000, latencyUs: 400, loss: 0 });
    for (const loss of [0, 0.5, 1]) expect(LinkSpec.safeParse({ loss }).success).toBe(true);
    for (const loss of [-0.1, 1.1]) expect(LinkSpec.safeParse({ loss }).success).toBe(false);
  });
  it('refuses a link without bandwidth or latency: epochs are as long as the latency', () => {
    expect(LinkSpec.safeParse({ bandwidthMbit: 0 }).success).toBe(false);
    expect(LinkSpec.safeParse({ latencyUs: 0 }).success).toBe(false);
  });
});

describe('DomainSpec', () => {
  it('fills in defaults', () => {
    expect(DomainSpec.parse(domain)).toEqual({
      ...domain,
      cmdline: '',
      vcpus: 1,
      disks: [],
      nics: [],
      weight: 256,
      cap: 0,
    });
  });
  it('names a key it does not know', () => {
    const { error } = DomainSpec.safeParse({ ...domain, memory: 16 });
    expect(error?.issues[0]).toMatchObject({ code: 'unrecognized_keys', keys: ['memory'] });
  });
  it('refuses unknown modes, missing kernels, and disks and interfaces that are wrong', () => {
    for (const wrong of [
      { mode: 'qemu' },
      { kernel: '' },
      { kernel: undefined },
      { disks: [{ path: '/a.img' }] },
      { disks: [{ path: '/a.img', vdev: 'xvda', format: 'vmdk' }] },
      { nics: [{ mac: '00:16:3e:00:00' }] },
      { memoryMiB: LIMITS.domainMemoryMiB.max + 1 },
      { cmdline: 'x'.repeat(4097) },
    ])
      expect(DomainSpec.safeParse({ ...domain, ...wrong }).success, JSON.stringify(wrong)).toBe(false);
  });
  it('survives a trip over a port unchanged', () => {
    const spec = DomainSpec.parse({ ...domain, disks: [{ path: '/a.img', vdev: 'xvda' }], nics: [{}] });
    expect(DomainSpec.parse(structuredClone(spec))).toEqual(spec);
  });
});
