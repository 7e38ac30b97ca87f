// What leaving a guest and coming back costs it, in cycles of the nominal clock. The simulated CPU counts one cycle per
// instruction; these stand for the transitions that take a real one far longer, and for the work done meanwhile.

/**
 * HVM exits: the round trip measured on Sandy Bridge by Agesen, Mattson, Rugina and Sheldon, "Software Techniques for
 * Avoiding Hardware Virtualization Exits" (USENIX ATC 2012, table 1). The rest are our own estimates for PV: a SYSCALL or
 * INT round trip with a register save, and an exception with the decoding or table walk that it needs.
 * logDirtyWrite is the first write to a page after the dirty log was read: an exit or page fault (784 or 500 as above), the
 * walk that finds the page, one bit set and the entry made writable again; our own estimate.
 */
export const COST = {
  hvmExit: 784,
  pvHypercall: 250,
  pvException: 500,
  pvSoftInt: 400,
  logDirtyWrite: 1500,
} as const;
