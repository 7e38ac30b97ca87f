// Consoles: what a domain printed and what is typed to it. Only a console that is shown is listened to.
import { defineStore } from 'pinia';
import { computed } from 'vue';
import { useSession } from './session.ts';

const HISTORY_BYTES = 262_144;

/**
 * The part of a chunk that was not written yet.
 * @param end stream position up to which output was written; a chunk covers [chunk.end - bytes.length, chunk.end)
 */
export function unseen(chunk: { bytes: Uint8Array; end: number }, end: number): Uint8Array {
  if (chunk.end <= end) return chunk.bytes.subarray(chunk.bytes.length);
  return chunk.bytes.subarray(Math.max(0, chunk.bytes.length - (chunk.end - end)));
}

export const useConsole = defineStore('console', () => {
  const session = useSession();
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  /** Grows with every connection, so that a shown console starts again on the new one. */
  const generation = computed(() => (session.client ? (session.state?.generation ?? 0) : -1));

  /**
   * Writes a console's history and then whatever it prints, each byte once and in order.
   * @returns how to stop
   */
  function follow(uuid: string, write: (bytes: Uint8Array) => void): () => void {
    const client = session.client;
    if (!client) return () => undefined;
    let open = true;
    let end: number | undefined;
    const early: { bytes: Uint8Array; end: number }[] = [];
    const take = (chunk: { bytes: Uint8Array; end: number }): void => {
      if (!open) return;
      const fresh = unseen(chunk, end ?? 0);
      end = Math.max(end ?? 0, chunk.end);
      if (fresh.length > 0) write(fresh);
    };
    // Listening begins before the history is asked for, so that nothing falls between the two.
    const stop = client.on('console', { uuid }, (chunk) => (end === undefined ? early.push(chunk) : take(chunk)));
    void session.attempt(client.consoleHistory({ uuid, limit: HISTORY_BYTES })).then((history) => {
      if (!history) return;
      end = history.end - history.bytes.length;
      take(history);
      early.forEach(take);
    });
    return () => {
      open = false;
      stop();
    };
  }

  function type(uuid: string, text: string): void {
    void session.act((engine) => engine.typeConsole({ uuid, bytes: encoder.encode(text) }));
  }

  /** All that is kept of a console, as text. */
  async function history(uuid: string): Promise<string> {
    const chunk = await session.act((engine) => engine.consoleHistory({ uuid, limit: HISTORY_BYTES }));
    return chunk ? decoder.decode(chunk.bytes) : '';
  }

  return { generation, follow, type, history };
});
