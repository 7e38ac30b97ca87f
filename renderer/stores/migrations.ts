// The runs of migration, as the engine reports them: which go on, which ended while this window looked, and which one the
// Migrations view shows.
import { defineStore } from 'pinia';
import { computed, ref, shallowRef, watch } from 'vue';
import { toSentences } from '../../shared/errors.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { MigrationPolicy, MigrationReport } from '../../shared/migration-service.ts';
import { nextFrame } from '../composables/frame.ts';
import { useSession } from './session.ts';

const ENDED: ReadonlySet<MigrationReport['state']> = new Set(['done', 'failed', 'aborted']);
export const isLive = (run: MigrationReport): boolean => !ENDED.has(run.state);

/** Its live rounds go on, and nobody has asked for their end yet. */
export const canStopLive = (run: MigrationReport | undefined): boolean => run?.state === 'live' && !run.stopAsked;

/** Known runs with newer reports of some of them, oldest first. */
export function withReports(known: readonly MigrationReport[], more: readonly MigrationReport[]): MigrationReport[] {
  const byId = new Map(known.map((run) => [run.id, run]));
  for (const run of more) byId.set(run.id, run);
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

/** A run's number among the runs of its domain, from 1. */
export function runNumber(runs: readonly MigrationReport[], run: MigrationReport): number {
  return runs.filter((other) => other.uuid === run.uuid && other.id <= run.id).length;
}

export const useMigrations = defineStore('migrations', () => {
  const session = useSession();
  const runs = shallowRef<readonly MigrationReport[]>([]);
  const refusal = shallowRef<ErrorSentences>();
  const presets = shallowRef<Readonly<Record<string, MigrationPolicy>>>({});
  const chosen = ref<number>();
  /** Runs that ended while this window looked and whose card was not dismissed. */
  const told = shallowRef<ReadonlySet<number>>(new Set());

  function take(more: readonly MigrationReport[]): void {
    const before = new Map(runs.value.map((run) => [run.id, run]));
    const ended = more.filter((run) => {
      const was = before.get(run.id);
      return !isLive(run) && (was === undefined || isLive(was));
    });
    runs.value = withReports(runs.value, more);
    if (ended.length > 0) told.value = new Set([...told.value, ...ended.map((run) => run.id)]);
  }

  watch(
    () => session.client,
    async (client, _before, onCleanup) => {
      if (!client) return;
      let current = true;
      onCleanup(() => (current = false));
      runs.value = [];
      told.value = new Set();
      client.on(
        'migrations',
        {},
        (more) => nextFrame(() => current && take(more)),
        () => undefined,
      );
      try {
        const [all, known] = await Promise.all([client.migrations({}), client.migrationPresets({})]);
        if (!current) return;
        runs.value = withReports(all, runs.value);
        presets.value = known;
        refusal.value = undefined;
      } catch (thrown) {
        if (current) refusal.value = toSentences(thrown);
      }
    },
    { immediate: true },
  );

  const live = computed(() => runs.value.filter(isLive));
  /** What the link shows: runs that go on, then those that just ended. */
  const cards = computed(() => [
    ...live.value,
    ...runs.value.filter((run) => !isLive(run) && told.value.has(run.id)).slice(-2),
  ]);
  const shown = computed(() => runs.value.find((run) => run.id === chosen.value) ?? runs.value.at(-1));
  const liveOf = (uuid: string): MigrationReport | undefined => live.value.find((run) => run.uuid === uuid);

  function dismiss(id: number): void {
    const rest = new Set(told.value);
    rest.delete(id);
    told.value = rest;
  }

  const predict = (uuid: string, to: string) => session.call((engine) => engine.predictMigration({ uuid, to }));
  /** Rejects with the engine's refusal. */
  const start = (uuid: string, to: string, policy?: MigrationPolicy) =>
    session.call((engine) => engine.migrateDomain({ uuid, to, ...(policy ? { policy } : {}) }));
  const abort = (id: number) => session.act((engine) => engine.cancelTask({ id }));
  const stopLive = (id: number) => session.act((engine) => engine.stopAndCopyNow({ id }));
  const exportTo = (id: number, path: string, format: 'json' | 'csv') =>
    session.act((engine) => engine.exportMigration({ id, path, format }));

  return {
    runs,
    refusal,
    presets,
    chosen,
    live,
    cards,
    shown,
    liveOf,
    dismiss,
    predict,
    start,
    abort,
    stopLive,
    exportTo,
  };
});
