// The connection to the engine, and what to tell when there is none.
import { defineStore } from 'pinia';
import { computed, ref, shallowRef } from 'vue';
import type { BulkheadBridge, EngineState } from '../../shared/bridge.ts';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { LabClient } from '../../shared/lab-service.ts';
import { followEngine } from '../engine/connection.ts';
import { messages } from '../messages/index.ts';
import { useNotices } from './notices.ts';
import type { NoticeAction } from './notices.ts';

/** A way on after a refusal. */
export type Remedy = (refusal: ErrorSentences) => Promise<NoticeAction | undefined>;

export const useSession = defineStore('session', () => {
  const state = shallowRef<EngineState>();
  const client = shallowRef<LabClient>();
  const restarting = ref(false);
  let bridge: BulkheadBridge | undefined;

  function open(to: BulkheadBridge): () => void {
    bridge = to;
    return followEngine(to, {
      state: (next) => (state.value = next),
      connected: (next) => (client.value = next),
      disconnected: () => (client.value = undefined),
    });
  }

  const phase = computed<'starting' | 'ready' | 'stopped' | 'refused'>(() => {
    if (state.value?.phase === 'stopped') return 'stopped';
    if (state.value?.phase === 'refused') return 'refused';
    return client.value ? 'ready' : 'starting';
  });

  /** What the banner says; undefined while all is well. */
  const trouble = computed(() => {
    const now = state.value;
    if (now?.phase !== 'stopped' && now?.phase !== 'refused') return undefined;
    const { what, why, action } = now.sentence;
    const safe = now.phase === 'stopped' && now.savedUpTo !== null ? messages.engine.safe(now.savedUpTo) : '';
    return {
      title: what,
      detail: [safe, why, action].filter(Boolean).join(' '),
      action: now.phase === 'stopped' ? messages.engine.restart : messages.engine.openAnother,
    };
  });

  async function restart(): Promise<void> {
    if (!bridge || restarting.value) return;
    restarting.value = true;
    await attempt(bridge.engine.restart());
    restarting.value = false;
  }

  /**
   * Waits for something asked of the engine; a refusal becomes a message to the person.
   * @param remedy what a refusal offers besides, if anything
   * @returns the answer (true where there is none), undefined when it was refused
   */
  async function attempt<T>(asked: Promise<T>, remedy?: Remedy): Promise<(T extends void ? true : T) | undefined> {
    try {
      const answer = await asked;
      return (answer === undefined ? true : answer) as T extends void ? true : T;
    } catch (thrown) {
      const sentences = toSentences(thrown);
      const { code, what, why, action } = sentences;
      // The window's own requests reject with plain sentences; only our own defects carry a trace.
      const plain = thrown instanceof Error && !(thrown instanceof BulkheadError);
      useNotices().post({
        tone: 'bad',
        title: plain ? thrown.message : what,
        detail: plain ? undefined : `${why} ${action}`,
        code: plain ? undefined : code,
        action: plain ? undefined : await remedy?.(sentences),
      });
      return undefined;
    }
  }

  /** The client, or a refusal that says that the engine does not run. */
  function engine(): LabClient {
    if (client.value) return client.value;
    throw new BulkheadError({
      code: 'engine-stopped',
      what: messages.engine.stoppedTitle,
      why: messages.engine.nothingRuns,
      action: messages.engine.restartIt,
    });
  }

  /** Asks the engine; rejects with a BulkheadError, also when there is no engine. */
  const call = async <T>(ask: (client: LabClient) => Promise<T>): Promise<T> => ask(engine());
  /** Asks the engine; a refusal becomes a message to the person. */
  const act = <T>(ask: (client: LabClient) => Promise<T>, remedy?: Remedy) => attempt(call(ask), remedy);

  return { state, client, phase, trouble, restarting, open, restart, attempt, call, act };
});
