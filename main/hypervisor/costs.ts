// What leaving a guest and coming back costs it, in cycles of the nominal clock. The simulated CPU counts one cycle per
// instruction; these stand for the transitions that take a real one far longer, and for the work done meanwhile.

/** Each entry names where it comes from; "our estimate" means that nothing published was at hand that measures just that. */
export const COST = {
  /**
   * A VM exit and entry: measured on Sandy Bridge by Agesen, Mattson, Rugina and Sheldon, "Software Techniques for Avoiding
   * Hardware Virtualization Exits" (USENIX ATC 2012, table 1).
   */
  hvmExit: 784,
  /** A PV hypercall by SYSCALL: the round trip with a register save. Our estimate. */
  pvHypercall: 250,
  /** An exception of a PV guest that the hypervisor takes, with the decoding or table walk it needs. Our estimate. */
  pvException: 500,
  /** A PV hypercall or trap by INT n: as pvHypercall, with the dearer entry through the IDT. Our estimate. */
  pvSoftInt: 400,
  /**
   * The first write to a page after the dirty log was read: an exit or page fault (hvmExit or pvException), the walk that finds the
   * page, one bit set and the entry made writable again. Our estimate.
   */
  logDirtyWrite: 1500,
} as const;
