// When the person last did something: what costs much to draw lets the answer to it go first.

/** Two frames and a little: the answer to a key is on screen by then. */
const ANSWERED_MS = 50;
let last = -Infinity;

if (typeof window !== 'undefined')
  for (const type of ['keydown', 'pointerdown', 'wheel'] as const)
    window.addEventListener(type, () => (last = performance.now()), { capture: true, passive: true });

/** The time (of performance.now) from which on the window is the engine's again. */
export const answeredAt = (): number => last + ANSWERED_MS;
