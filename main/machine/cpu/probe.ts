// For measurements only (test/bench/profile.ts --count): shows each step of generated code from one piece to the next.
// Invariant: null, as it is unless a measurement sets it before the first module is generated, leaves no trace in generated code.

/**
 * `dispatched` is called with the address of each operation record that the main loop is about to execute (a region's first record too; ALONE: the
 * instruction that a region left to it), and with that address + 1 for one that a region goes on to. Slows the main loop several times.
 */
export const probe: { dispatched: ((record: number) => void) | null } = { dispatched: null };
