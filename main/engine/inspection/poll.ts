// Feeds a subscription by asking a host again and again, one question at a time, while somebody listens.

/** Ten messages a second at most. */
const EVERY_MS = 100;

/**
 * Calls `ask` now and every 100 ms, never twice at once. A question that fails ends nothing: its host or domain may be gone for a moment.
 * @returns how to stop
 */
export function poll(ask: () => Promise<void>): () => void {
  let busy = false;
  const once = (): void => {
    if (busy) return;
    busy = true;
    ask()
      .catch(() => {}) // the status says what became of the host
      .finally(() => (busy = false));
  };
  once();
  const timer = setInterval(once, EVERY_MS);
  return () => clearInterval(timer);
}
