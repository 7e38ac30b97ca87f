// What a host reports of a domain's memory: every frame of its own is counted once, under the type it has, wherever its frames lie.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../../main/hypervisor/memory/frame-table.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../../shared/model.ts';

const kernel = new Uint8Array(readFileSync(new URL('../../../main/guests/dinghy/images/dinghy-pv64', import.meta.url)));

describe('figures of memory', () => {
  it('count the frames of each type, of domains whose frames lie in several runs', () => {
    const xen = new XenHost({ name: 'report', pcpus: 1, memoryMiB: 96, clockMHz: 1000 }, 1, {
      console: () => {},
      stateChanged: () => {},
    });
    const create = (name: string, memoryMiB: number): number =>
      xen.createDomain(DomainSpec.parse({ name, mode: 'pv', kernel: 'dinghy', memoryMiB }), { kernel, disks: [] });
    const [first, second] = [create('first', 8), create('second', 8)];
    xen.destroyDomain(first);
    // Larger than the gap that the first has left: its frames are in front of the second's and behind them.
    const third = create('third', 32);
    xen.advance(xen.host.now() + 50e6);

    const { owner, type, typeCount } = xen.host.frames;
    for (const domid of [second, third]) {
      const { pages } = xen.figures(domid);
      const own = [...owner.keys()].filter((mfn) => owner[mfn] === domid);
      const typed = (wanted: number): number => own.filter((mfn) => typeCount[mfn] && type[mfn] === wanted).length;
      expect(Object.values(pages).reduce((sum, n) => sum + n, 0)).toBe(own.length);
      expect(pages).toMatchObject({
        L1: typed(FrameType.L1),
        L4: typed(FrameType.L4),
        writable: typed(FrameType.Writable),
      });
      expect(pages['L4']).toBeGreaterThan(0);
    }
    const runs = [...owner.keys()].filter((mfn) => owner[mfn] === third && owner[mfn - 1] !== third).length;
    expect(runs).toBeGreaterThan(1);
  });
});
