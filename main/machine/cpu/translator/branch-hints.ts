// Switches branch hints on where V8 still has them behind a flag (before 13.7, so Node 24; later ones, and so Electron's, take them as they are).
// Without them the optimising tier spills registers on the way of a TLB hit for the sake of the call on the way of a miss.
// Invariant: a hint changes the layout of machine code, never what it computes.

import v8 from 'node:v8';

const [major = 0, minor = 0] = process.versions.v8.split('.').map(Number);

/** V8 has the proposal, and it is not on by itself. */
export const NEEDS_FLAG = (major === 12 || major === 13) && (major < 13 || minor < 7);

if (NEEDS_FLAG) v8.setFlagsFromString('--experimental-wasm-branch-hinting');
