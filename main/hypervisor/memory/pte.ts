// Page-table entries as two u32 halves. Machine memory here is below 4 GiB, so a legal frame number lies in the low half.

export const Pte = {
  P: 1,
  RW: 2,
  US: 4,
  PWT: 8,
  PCD: 0x10,
  A: 0x20,
  D: 0x40,
  /** PSE in L2/L3, PAT in L1. */
  PSE: 0x80,
  G: 0x100,
  AVAIL: 0xe00,
} as const;
/** Bits of the high half. */
export const PTE_NX_HI = 0x8000_0000;
/** Bit 52: the hypervisor's mark of a 64-bit guest kernel's page (_PAGE_GUEST_KERNEL). */
export const PTE_GUEST_KERNEL_HI = 0x0010_0000;
/** High-half bits a guest may never set: address bits 32..51 and the reserved-for-software bits 53..62. */
export const PTE_BAD_HI = 0x7fef_ffff;

/** Frame number of an entry, or -1 when its address is beyond any machine memory. */
export function pteMfn(lo: number, hi: number): number {
  return hi & 0x000f_ffff ? -1 : lo >>> 12;
}
