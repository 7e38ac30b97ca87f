// How fast the clock goes while domains move, in a lab that a person looks at: so slow that a round can be seen, on the user's clock.
// Invariant: the pace says when epochs run on the user's clock and nothing else; the lab's history is the same at every pace.

import type { SenderReport } from '../toolstack/simulated-host.ts';

/** A round, or stop-and-copy, takes at least so long on the user's clock, seconds. */
const ROUND_SECONDS = 2;

/**
 * The speed (virtual seconds per second) at which what goes on takes two seconds. What takes longer than it was expected to gets ever faster,
 * so that a guest that is slow to suspend itself is not waited for at the pace of its last pages.
 * @param now lab time, ns
 * @param epochNs what happens in one epoch is seen at once, so nothing is slowed further than one epoch in that time
 * @returns null when nothing is known of it yet
 */
export function paceOf(stage: SenderReport['stage'] | null, now: number, epochNs: number): number | null {
  if (!stage || stage.expectedNs <= 0) return null;
  return Math.max(stage.expectedNs, now - stage.startedAt, epochNs) / (ROUND_SECONDS * 1e9);
}
