// What a screen reader hears without being asked. Polite messages are spoken at most once in three seconds of the user's
// clock, the newest of a topic replacing an older one still waiting; assertive ones (a crash) are spoken at once.
import { ref } from 'vue';

const POLITE_INTERVAL_MS = 3000;

export interface Announcer {
  readonly polite: { readonly value: string };
  readonly assertive: { readonly value: string };
  /** @param topic messages of one topic replace each other while they wait */
  say(message: string, topic?: string): void;
  alarm(message: string): void;
}

/** The clock and timer are parameters so that the rate rule can be tested without waiting. */
export function createAnnouncer(
  now: () => number = () => performance.now(),
  later: (run: () => void, ms: number) => void = (run, ms) => void setTimeout(run, ms),
): Announcer {
  const polite = ref('');
  const assertive = ref('');
  const waiting: { message: string; topic: string | undefined }[] = [];
  let spokenAt = Number.NEGATIVE_INFINITY;
  let scheduled = false;

  // A live region speaks when its text changes: a message repeated word for word is told apart by a trailing space.
  const distinct = (text: string, before: string): string => (text === before ? `${text}\u00a0` : text);

  function flush(): void {
    scheduled = false;
    const next = waiting.shift();
    if (!next) return;
    polite.value = distinct(next.message, polite.value);
    spokenAt = now();
    if (waiting.length > 0) schedule();
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    later(flush, Math.max(0, spokenAt + POLITE_INTERVAL_MS - now()));
  }

  return {
    polite,
    assertive,
    say(message, topic) {
      const old = topic === undefined ? -1 : waiting.findIndex((entry) => entry.topic === topic);
      if (old >= 0) waiting[old] = { message, topic };
      else waiting.push({ message, topic });
      schedule();
    },
    alarm(message) {
      assertive.value = distinct(message, assertive.value);
    },
  };
}

export const announcer = createAnnouncer();
