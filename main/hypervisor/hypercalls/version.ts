// xen_version: what this hypervisor says it is.

import { Errno } from '../abi/errno.ts';
import { COMPAT_M2P_VIRT_START } from '../abi/constants.ts';
import { XEN_MAJOR, XEN_MINOR } from '../cpuid.ts';
import { copyOut, copyOutView, NativeStruct, viewIn } from '../guest-memory.ts';
import { type Call, type Result, u32 } from './call.ts';

const Feature = {
  writable_page_tables: 0,
  auto_translated_physmap: 2,
  pae_pgdir_above_4gb: 4,
  mmu_pt_update_preserve_ad: 5,
  highmem_assist: 6,
  gnttab_map_avail_bits: 7,
  hvm_callback_vector: 8,
  hvm_safe_pvclock: 9,
  memory_op_vnode_supported: 13,
} as const;

function text(c: Call, value: string, size: number): number {
  const bytes = new Uint8Array(size);
  new TextEncoder().encodeInto(value.slice(0, size - 1), bytes);
  return copyOut(c.v, c.args[1], bytes) ? 0 : -Errno.EFAULT;
}

/** xen_version(command, buffer). */
export function xenVersion(c: Call): Result {
  switch (u32(c.args[0])) {
    case 0:
      return (XEN_MAJOR << 16) | XEN_MINOR;
    case 1:
      return text(c, '.0-bulkhead', 16);
    case 2: {
      const info = new Uint8Array(144);
      const put = (value: string, at: number, size: number) =>
        info.set(new TextEncoder().encode(value).subarray(0, size - 1), at);
      put('TypeScript and WebAssembly', 0, 64);
      put('bulkhead', 64, 16);
      put('localdomain', 80, 32);
      put('1970-01-01', 112, 32);
      return copyOut(c.v, c.args[1], info) ? 0 : -Errno.EFAULT;
    }
    case 3:
      return text(c, 'xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64', 1024);
    case 4:
      return text(c, 'bulkhead', 64);
    case 5: {
      const s = new NativeStruct(new DataView(new ArrayBuffer(c.wide ? 8 : 4)), c.wide);
      s.setLong(0, !c.d.isPv ? 0n : c.wide ? 0xffff_8000_0000_0000n : BigInt(COMPAT_M2P_VIRT_START));
      return copyOutView(c.v, c.args[1], s.view) ? 0 : -Errno.EFAULT;
    }
    case 6: {
      const view = viewIn(c.v, c.args[1], 8);
      if (!view) return -Errno.EFAULT;
      view.setUint32(4, view.getUint32(0, true) === 0 ? features(c) : 0, true);
      return copyOutView(c.v, c.args[1], view) ? 0 : -Errno.EFAULT;
    }
    case 7:
      return 4096;
    case 8:
      return copyOut(c.v, c.args[1], c.d.uuid) ? 0 : -Errno.EFAULT;
    case 9:
      return text(c, '', 1024);
    case 10:
      return -Errno.ENODATA;
    default:
      return -Errno.ENOSYS;
  }
}

function features(c: Call): number {
  const bits: number[] = c.d.isPv
    ? [
        Feature.pae_pgdir_above_4gb,
        Feature.mmu_pt_update_preserve_ad,
        Feature.highmem_assist,
        Feature.gnttab_map_avail_bits,
      ]
    : [
        Feature.writable_page_tables,
        Feature.auto_translated_physmap,
        Feature.hvm_callback_vector,
        Feature.hvm_safe_pvclock,
      ];
  return bits.reduce((sum, bit) => sum | (1 << bit), 0) | (1 << Feature.memory_op_vnode_supported);
}
