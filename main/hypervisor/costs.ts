// What leaving a guest and coming back costs it, in cycles of the nominal clock. The simulated CPU counts one cycle per
// instruction; these stand for the transitions that take a real one far longer, and for the work done meanwhile.

/**
 * HVM exits: the round trip measured on Sandy Bridge by Agesen, Mattson, Rugina and Sheldon, "Software Techniques for
 * Avoiding Hardware Virtualization Exits" (USENIX ATC 2012, table 1). The rest are our own estimates for PV: a SYSCALL or
 * INT round trip with a register save, and an exception with the decoding or table walk that it needs.
 */
export const COST = {
  hvmExit: 784,
  pvHypercall: 250,
  pvException: 500,
  pvSoftInt: 400,
} as const;
