// Finding verbs by a few typed words, in any order: "create pvh birch" finds "Create Demo guest as PVH on birch".
import type { Verb } from './command.ts';

const LETTER = /[\p{L}\p{N}]/u;

/** How well one typed word fits a text: 3 at its beginning, 2 at the beginning of a word, 1 inside, 0 not at all. */
function fit(text: string, word: string): number {
  const first = text.indexOf(word);
  if (first <= 0) return first < 0 ? 0 : 3;
  for (let at = first; at >= 0; at = text.indexOf(word, at + 1)) if (!LETTER.test(text[at - 1]!)) return 2;
  return 1;
}

/**
 * Verbs that contain every typed word, best first; equal ones keep their order. Verbs that cannot run now come after those
 * that can, and stay in the list so that their reason can be read.
 */
export function matchVerbs(verbs: readonly Verb[], query: string): Verb[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const scored: { verb: Verb; score: number; order: number }[] = [];
  verbs.forEach((verb, order) => {
    const title = verb.title.toLowerCase();
    const others = `${verb.group} ${verb.keywords ?? ''}`.toLowerCase();
    let score = 0;
    for (const word of words) {
      const best = Math.max(fit(title, word) * 2, fit(others, word));
      if (best === 0) return;
      score += best;
    }
    scored.push({ verb, score: verb.disabledReason ? score - 100 : score, order });
  });
  return scored.sort((a, b) => b.score - a.score || a.order - b.order).map((entry) => entry.verb);
}

/** Consecutive runs of one group, in order of each group's best member. */
export function groupVerbs(verbs: readonly Verb[]): { group: string; verbs: Verb[] }[] {
  const groups = new Map<string, Verb[]>();
  for (const verb of verbs) {
    const members = groups.get(verb.group);
    if (members) members.push(verb);
    else groups.set(verb.group, [verb]);
  }
  return [...groups].map(([group, members]) => ({ group, verbs: members }));
}
