// Page types: what may become a page table, what stays writable, and that nothing is left over.

import { beforeEach, describe, expect, it } from 'vitest';
import { HostMemory } from '../../../main/machine/cpu/host-memory.ts';
import { Errno } from '../../../main/hypervisor/abi/errno.ts';
import { FrameFlag, FrameTable, FrameType, OWNER_NONE } from '../../../main/hypervisor/memory/frame-table.ts';
import { frameAddress } from '../../../main/hypervisor/memory/frames.ts';
import { checkDescriptor, PageTypes, type PagingDomain } from '../../../main/hypervisor/memory/page-types.ts';
import { updateEntry } from '../../../main/hypervisor/memory/page-table-update.ts';

const DOM = 7;
let mem: HostMemory;
let frames: FrameTable;
let types: PageTypes;
let d: PagingDomain;

function pte(mfn: number, index: number, target: number, flags: number): void {
  const at = (frameAddress(mfn) >>> 2) + index * 2;
  mem.u32[at] = ((target << 12) | flags) >>> 0;
  mem.u32[at + 1] = 0;
}
const read = (mfn: number, index: number) => mem.u32[(frameAddress(mfn) >>> 2) + index * 2];
const page = () => frames.allocate(DOM);

beforeEach(() => {
  mem = new HostMemory(4 * 2 ** 20);
  frames = new FrameTable(mem, 16);
  d = { domid: DOM, is32: false };
  types = new PageTypes(frames, (domid) => (domid === DOM ? d : undefined));
});

describe('L1 tables', () => {
  it('take writable type references for RW entries and general ones for read-only entries', () => {
    const [l1, a, b] = [page(), page(), page()];
    pte(l1, 0, a, 3);
    pte(l1, 1, b, 1);
    expect(types.getPageAndType(l1, DOM, FrameType.L1)).toBe(0);
    expect(frames.type[a]).toBe(FrameType.Writable);
    expect(frames.typeCount[a]).toBe(1);
    expect(frames.refs[b]).toBe(2);
    expect(frames.typeCount[b]).toBe(0);
    types.putPageAndType(l1);
    expect([frames.refs[a], frames.typeCount[a], frames.refs[b]]).toEqual([1, 0, 1]);
  });

  it('refuse a writable mapping of a page table, and leave nothing behind', () => {
    const [l1, other, a] = [page(), page(), page()];
    expect(types.getPageAndType(other, DOM, FrameType.L1)).toBe(0);
    pte(l1, 0, a, 3);
    pte(l1, 1, other, 3);
    expect(types.getPageAndType(l1, DOM, FrameType.L1)).toBe(-Errno.EBUSY);
    expect([frames.refs[l1], frames.typeCount[l1], frames.refs[a], frames.typeCount[a]]).toEqual([1, 0, 1, 0]);
  });

  it('refuse to map themselves writable', () => {
    const l1 = page();
    pte(l1, 5, l1, 3);
    expect(types.getPageAndType(l1, DOM, FrameType.L1)).not.toBe(0);
    expect(frames.refs[l1]).toBe(1);
  });

  it('refuse frames of other domains and frames that do not exist', () => {
    const [l1, l1b] = [page(), page()];
    const foreign = frames.allocate(8);
    pte(l1, 0, foreign, 1);
    expect(types.getPageAndType(l1, DOM, FrameType.L1)).toBe(-Errno.EINVAL);
    pte(l1b, 0, 0xfffff, 1);
    expect(types.getPageAndType(l1b, DOM, FrameType.L1)).toBe(-Errno.EINVAL);
    const l1c = page();
    pte(l1c, 0, foreign, 1);
    mem.u32[(frameAddress(l1c) >>> 2) + 1] = 1; // an address beyond 4 GiB
    expect(types.getPageAndType(l1c, DOM, FrameType.L1)).toBe(-Errno.EINVAL);
  });

  it('mark a 64-bit kernel page as one and make every entry a user entry', () => {
    const [l1, a, b] = [page(), page(), page()];
    pte(l1, 0, a, 3);
    pte(l1, 1, b, 7);
    expect(types.getPageAndType(l1, DOM, FrameType.L1)).toBe(0);
    expect(read(l1, 0) & 0x104).toBe(4);
    expect(mem.u32[(frameAddress(l1) >>> 2) + 1]).toBe(0x0010_0000);
    expect(read(l1, 1) & 0x104).toBe(0x104);
  });
});

describe('upper tables', () => {
  it('refuse their own level, so that no table maps a table of its kind', () => {
    const [l4, l4b] = [page(), page()];
    expect(types.getPageAndType(l4b, DOM, FrameType.L4)).toBe(0);
    pte(l4, 0, l4b, 1);
    expect(types.getPageAndType(l4, DOM, FrameType.L4)).toBe(-Errno.EINVAL);
    const self = page();
    pte(self, 3, self, 1);
    expect(types.getPageAndType(self, DOM, FrameType.L4)).toBe(-Errno.EINVAL);
    expect(frames.typeCount[self]).toBe(0);
  });

  it('refuse superpages', () => {
    const l2 = page();
    pte(l2, 0, page(), 0x83);
    expect(types.getPageAndType(l2, DOM, FrameType.L2)).toBe(-Errno.EINVAL);
  });

  it("ignore what stands in the hypervisor's slots and clear it when the table is given up", () => {
    const l4 = page();
    pte(l4, 256, 0xfffff, 7);
    expect(types.getPageAndType(l4, DOM, FrameType.L4)).toBe(0);
    types.putPageAndType(l4);
    expect(read(l4, 256)).toBe(0);
  });

  it('validate a tree from the top and give it all back', () => {
    const [l4, l3, l2, l1, a] = [page(), page(), page(), page(), page()];
    pte(l1, 9, a, 3);
    pte(l2, 8, l1, 7);
    pte(l3, 7, l2, 7);
    pte(l4, 6, l3, 7);
    expect(types.getPageAndType(l4, DOM, FrameType.L4)).toBe(0);
    expect([l3, l2, l1].map((f) => frames.typeCount[f])).toEqual([1, 1, 1]);
    types.putPageAndType(l4);
    expect([l4, l3, l2, l1, a].map((f) => frames.typeCount[f] + frames.refs[f])).toEqual([1, 1, 1, 1, 1]);
  });

  it('need a fourth entry in a 32-bit top table', () => {
    d = { domid: DOM, is32: true };
    const l3 = page();
    expect(types.getPageAndType(l3, DOM, FrameType.L3)).toBe(-Errno.EINVAL);
    pte(l3, 3, page(), 1);
    expect(types.getPageAndType(l3, DOM, FrameType.L3)).toBe(0);
  });
});

describe('updates', () => {
  it('swap references', () => {
    const [l1, a, b] = [page(), page(), page()];
    pte(l1, 0, a, 3);
    types.getPageAndType(l1, DOM, FrameType.L1);
    expect(updateEntry(types, FrameType.L1, l1 * 4096, ((b << 12) | 3) >>> 0, 0, d, false)).toBe(0);
    expect([frames.refs[a], frames.typeCount[a], frames.refs[b], frames.typeCount[b]]).toEqual([1, 0, 2, 1]);
    expect(updateEntry(types, FrameType.L1, l1 * 4096, 0, 0, d, false)).toBe(0);
    expect([frames.refs[b], frames.typeCount[b]]).toEqual([1, 0]);
  });

  it('change nothing when they are refused', () => {
    const [l1, a, table] = [page(), page(), page()];
    pte(l1, 0, a, 3);
    types.getPageAndType(l1, DOM, FrameType.L1);
    types.getPageAndType(table, DOM, FrameType.L1);
    const before = read(l1, 0);
    expect(updateEntry(types, FrameType.L1, l1 * 4096, ((table << 12) | 3) >>> 0, 0, d, false)).toBe(-Errno.EBUSY);
    expect(read(l1, 0)).toBe(before);
    expect([frames.refs[a], frames.typeCount[a]]).toEqual([2, 1]);
  });

  it('keep write access and its type in step when only RW changes', () => {
    const [l1, a] = [page(), page()];
    pte(l1, 0, a, 1);
    types.getPageAndType(l1, DOM, FrameType.L1);
    updateEntry(types, FrameType.L1, l1 * 4096, ((a << 12) | 3) >>> 0, 0, d, false);
    expect([frames.refs[a], frames.typeCount[a]]).toEqual([2, 1]);
    updateEntry(types, FrameType.L1, l1 * 4096, ((a << 12) | 1) >>> 0, 0, d, false);
    expect([frames.refs[a], frames.typeCount[a]]).toEqual([2, 0]);
  });

  it("keep out of the hypervisor's slots", () => {
    const l4 = page();
    types.getPageAndType(l4, DOM, FrameType.L4);
    expect(updateEntry(types, FrameType.L4, l4 * 4096 + 260 * 8, 0, 0, d, false)).toBe(-Errno.EPERM);
  });

  it('preserve accessed and dirty bits when asked', () => {
    const [l1, a] = [page(), page()];
    pte(l1, 0, a, 0x63);
    types.getPageAndType(l1, DOM, FrameType.L1);
    updateEntry(types, FrameType.L1, l1 * 4096, ((a << 12) | 3) >>> 0, 0, d, true);
    expect(read(l1, 0) & 0x60).toBe(0x60);
    updateEntry(types, FrameType.L1, l1 * 4096, ((a << 12) | 3) >>> 0, 0, d, false);
    expect(read(l1, 0) & 0x60).toBe(0);
  });
});

describe('frames', () => {
  it('that the hypervisor shares never become tables', () => {
    const shared = frames.allocateShared(DOM);
    expect(types.getPageAndType(shared, DOM, FrameType.L1)).not.toBe(0);
    expect(types.getPageAndType(shared, DOM, FrameType.Writable)).toBe(0);
  });

  it('stay owned while a mapping holds them, and are zeroed before someone else gets them', () => {
    const [l1, a] = [page(), page()];
    pte(l1, 0, a, 3);
    types.getPageAndType(l1, DOM, FrameType.L1);
    mem.write32(a * 4096, 0x1234);
    frames.release(a);
    expect(frames.owner[a]).toBe(DOM);
    updateEntry(types, FrameType.L1, l1 * 4096, 0, 0, d, false);
    expect(frames.owner[a]).toBe(OWNER_NONE);
    expect(frames.allocate(9)).toBe(a);
    expect(mem.read32(a * 4096)).toBe(0);
  });

  it('in use as descriptor tables are checked and never writable', () => {
    const gdt = page();
    mem.u32[(frameAddress(gdt) >>> 2) + 3] = 0x00cf9200; // ring 0 data segment
    expect(types.getPageAndType(gdt, DOM, FrameType.SegDesc)).toBe(0);
    expect((mem.u32[(frameAddress(gdt) >>> 2) + 3] >>> 13) & 3).toBe(3);
    expect(types.getPageAndType(gdt, DOM, FrameType.Writable)).toBe(-Errno.EBUSY);
    expect(frames.flags[gdt] & FrameFlag.Validated).not.toBe(0);
  });
});

describe('descriptors', () => {
  it('refuse gates, and 64-bit code for 32-bit guests', () => {
    expect(checkDescriptor(0, 0x8c00, true)).toBeNull(); // call gate
    expect(checkDescriptor(0xffff, 0x00af9b00, true)).toBeNull(); // L
    expect(checkDescriptor(0xffff, 0x00af9b00, false)).not.toBeNull();
    expect(checkDescriptor(0xffff, 0x00ef9b00, false)).toBeNull(); // L and D
    expect(checkDescriptor(0, 0, false)).toBe(0);
  });
});
