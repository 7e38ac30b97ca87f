// An answer of the engine that a panel shows: the newest one asked for, or the sentences with which it was refused. A panel's
// refusal is its state and stands in it; only what a person did is told as a message.
import { onScopeDispose, ref, shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';

export function useAnswer<T>() {
  const value = shallowRef<T>();
  const refusal = shallowRef<ErrorSentences>();
  const busy = ref(false);
  let asked = 0;

  /**
   * Waits for an answer and keeps it, unless something newer was asked meanwhile.
   * @returns the answer; undefined when it was refused or is out of date
   */
  async function ask(promise: Promise<T>): Promise<T | undefined> {
    const mine = ++asked;
    busy.value = true;
    try {
      const answer = await promise;
      if (mine !== asked) return undefined;
      value.value = answer;
      refusal.value = undefined;
      return answer;
    } catch (thrown) {
      if (mine === asked) refusal.value = toSentences(thrown);
      return undefined;
    } finally {
      if (mine === asked) busy.value = false;
    }
  }

  /** Forgets what was answered; what is still under way is dropped. */
  function clear(): void {
    asked += 1;
    value.value = undefined;
    refusal.value = undefined;
    busy.value = false;
  }

  onScopeDispose(() => (asked += 1));
  return { value, refusal, busy, ask, clear };
}
