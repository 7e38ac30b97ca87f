// The trace as the inspector shows it: records as they happen, or a frozen list that can be walked. The engine keeps the whole
// recording; here is only what is on screen. Not shown, not subscribed.
import { defineStore } from 'pinia';
import { computed, reactive, ref, shallowRef } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { TraceFilter, TraceKind, TraceRecord, TraceStatus } from '../../shared/inspection-service.ts';
import { nextFrame } from '../composables/frame.ts';
import { useSession } from './session.ts';

export const LIVE_ROWS = 120;
const FROZEN_ROWS = 500;

/** Newest first, no more than fit, each record once. */
export function withRecords(
  shown: readonly TraceRecord[],
  more: readonly TraceRecord[],
  capacity: number,
): readonly TraceRecord[] {
  const key = (record: TraceRecord): string => `${record.host} ${record.index}`;
  const known = new Set(shown.map(key));
  const fresh = more.filter((record) => !known.has(key(record)));
  return [...fresh.reverse(), ...shown].slice(0, capacity);
}

/** For paging back: the smallest index shown of each host. */
export function pageBefore(shown: readonly TraceRecord[]): Record<string, number> {
  const before: Record<string, number> = {};
  for (const { host, index } of shown) before[host] = Math.min(before[host] ?? Infinity, index);
  return before;
}

export const useTrace = defineStore('trace', () => {
  const session = useSession();
  const status = shallowRef<TraceStatus>();
  const refusal = shallowRef<ErrorSentences>();
  const records = shallowRef<readonly TraceRecord[]>([]);
  const skipped = ref(0);
  const received = ref(0);
  const frozen = ref(false);
  const filter = reactive({ kinds: [] as TraceKind[], text: '', failed: false, thisDomain: true });
  const uuid = ref<string>();
  let stop: (() => void) | undefined;

  const wanted = computed<TraceFilter>(() => ({
    hosts: [],
    uuids: filter.thisDomain && uuid.value !== undefined ? [uuid.value] : [],
    kinds: [...filter.kinds],
    text: filter.text.trim(),
    failed: filter.failed,
  }));

  function end(): void {
    stop?.();
    stop = undefined;
  }

  async function askStatus(): Promise<void> {
    try {
      status.value = await session.call((engine) => engine.traceStatus({}));
      refusal.value = undefined;
    } catch (thrown) {
      refusal.value = toSentences(thrown);
    }
  }

  /** Starts the list again from the newest records that pass the filter. */
  async function restart(): Promise<void> {
    end();
    skipped.value = received.value = 0;
    const client = session.client;
    if (!client) return;
    await askStatus();
    if (refusal.value) return;
    const asked = wanted.value;
    if (!frozen.value)
      stop = client.on('trace', asked, (part) =>
        nextFrame(() => {
          received.value += part.records.length;
          skipped.value += part.skipped;
          records.value = withRecords(records.value, part.records, LIVE_ROWS);
        }),
      );
    const limit = frozen.value ? FROZEN_ROWS : LIVE_ROWS;
    const first = await session.attempt(client.trace({ filter: asked, limit }));
    if (first && asked === wanted.value) records.value = withRecords([], first, limit);
  }

  function look(at: string | undefined): void {
    uuid.value = at;
    records.value = [];
    if (at === undefined) {
      end();
      frozen.value = false;
    } else void restart();
  }

  async function freeze(on: boolean): Promise<void> {
    frozen.value = on;
    await restart();
  }

  async function older(): Promise<void> {
    const before = pageBefore(records.value);
    const more = await session.act((engine) => engine.trace({ filter: wanted.value, before, limit: FROZEN_ROWS }));
    if (more) records.value = [...records.value, ...withRecords([], more, FROZEN_ROWS)];
  }

  async function record(recording: boolean): Promise<void> {
    await session.act((engine) => engine.setTracing({ recording }));
    await restart();
  }

  const exportTo = (path: string) => session.act((engine) => engine.exportTrace({ filter: wanted.value, path }));

  return {
    status,
    refusal,
    records,
    skipped,
    received,
    frozen,
    filter,
    wanted,
    look,
    restart,
    freeze,
    older,
    record,
    askStatus,
    exportTo,
  };
});
