// A mirror of the engine's lab. It holds what the engine last said, and projections of it for drawing; it decides nothing.
import { defineStore } from 'pinia';
import { computed, nextTick, ref, shallowRef, watch } from 'vue';
import type { DomainSpecInput, HostSpec, LabEvent, LabStatus, LinkSpec, Template } from '../../shared/model.ts';
import { nextFrame } from '../composables/frame.ts';
import { answeredAt } from '../composables/inputs.ts';
import { paced } from '../composables/paced.ts';
import { hostModel, sameSegments } from '../lab/host-model.ts';
import type { HostModel } from '../lab/host-model.ts';
import { tileModel } from '../lab/tile-model.ts';
import type { TileModel } from '../lab/tile-model.ts';
import { messages } from '../messages/index.ts';
import { emptyHistories, recordHistories } from './history.ts';
import { useSession } from './session.ts';
import type { Remedy } from './session.ts';

export const useLab = defineStore('lab', () => {
  const session = useSession();
  const status = shallowRef<LabStatus>();
  const events = shallowRef<readonly LabEvent[]>([]);
  const templates = shallowRef<readonly Template[]>([]);
  const histories = shallowRef(emptyHistories());
  const creating = ref(false);

  function take(next: LabStatus): void {
    status.value = next;
    histories.value = recordHistories(histories.value, next);
  }

  watch(
    () => session.client,
    async (client, _before, onCleanup) => {
      if (!client) return;
      let current = true;
      onCleanup(() => (current = false));
      histories.value = emptyHistories();
      events.value = [];
      // Changes of one frame reach the views together, and nothing of an engine that is gone.
      const inFrame = (change: () => void): void => nextFrame(() => current && change());
      const report = paced<LabStatus>((next) => current && take(next), {
        now: () => performance.now(),
        later: (run, ms) => void setTimeout(() => nextFrame(run), ms),
        settled: () => nextTick(),
        answeredAt,
      });
      client.on('status', {}, (next) => inFrame(() => report(next)));
      client.on('labEvents', {}, (more) => inFrame(() => addEvents(more)));
      const answers = await session.attempt(
        Promise.all([client.snapshot({}), client.templates({}), client.events({ after: 0 })]),
      );
      if (!answers || !current) return;
      take(answers[0]);
      templates.value = answers[1];
      addEvents(answers[2]);
    },
    { immediate: true },
  );

  function addEvents(more: readonly LabEvent[]): void {
    const known = new Set(events.value.map((event) => event.id));
    const fresh = more.filter((event) => !known.has(event.id));
    if (fresh.length > 0) events.value = [...events.value, ...fresh].sort((a, b) => a.id - b.id);
  }

  const domainMap = computed(() => new Map((status.value?.domains ?? []).map((domain) => [domain.uuid, domain])));
  // What did not change is the same object as before, so that nothing is drawn again for it.
  const hosts = computed<HostModel[]>((before) =>
    (status.value?.hosts ?? []).map((host, i) => {
      const now = hostModel(host, domainMap.value);
      const last = before?.[i];
      return last && sameSegments(last.segments, now.segments) ? { ...now, segments: last.segments } : now;
    }),
  );
  const clock = computed<LabStatus['clock']>(
    () => status.value?.clock ?? { now: 0, running: false, speed: 1, achieved: 0, limited: false },
  );
  const tileMap = computed(() => {
    const now = clock.value.now;
    const tasks = status.value?.tasks ?? [];
    return new Map((status.value?.domains ?? []).map((domain) => [domain.uuid, tileModel(domain, tasks, now)]));
  });
  const tilesByHost = computed(() => {
    const byHost = new Map<string, TileModel[]>();
    for (const tile of tileMap.value.values()) {
      const list = byHost.get(tile.host);
      if (list) list.push(tile);
      else byHost.set(tile.host, [tile]);
    }
    return byHost;
  });

  const connected = computed(() => session.client !== undefined && status.value !== undefined);
  const name = computed(() => status.value?.name ?? '');
  const link = computed(() => ((status.value?.hosts.length ?? 0) > 1 ? status.value?.link : undefined));
  const runningTasks = computed(() => (status.value?.tasks ?? []).filter((task) => task.state === 'running'));
  const undoable = computed(() => status.value?.undo ?? undefined);
  const redoable = computed(() => status.value?.redo ?? undefined);

  /** Before anything was ever created here: the window offers one action. */
  const firstLaunch = computed(
    () =>
      connected.value &&
      domainMap.value.size === 0 &&
      hosts.value.length === 1 &&
      !events.value.some((event) => event.uuid !== undefined),
  );
  /** The guest that the first launch offers: the first of the shelf that can be booted. */
  const firstTemplate = computed(() => templates.value.find((template) => template.unavailable === null));

  const hostSpec = (host: string): HostSpec | undefined =>
    status.value?.hosts.find((entry) => entry.spec.name === host)?.spec;

  /**
   * Why a host cannot take so much memory now, by what it last reported; undefined when it can. The engine has the last word.
   */
  function refusal(host: string, memoryMiB: number): string | undefined {
    const model = hosts.value.find((entry) => entry.name === host);
    if (!model) return undefined;
    return model.closed ?? (model.freeMiB < memoryMiB ? messages.lab.needs(memoryMiB, model.freeMiB) : undefined);
  }

  async function createFromTemplate(
    template: string,
    host: string,
    offer?: string,
    remedy?: Remedy,
  ): Promise<string | undefined> {
    creating.value = true;
    const answer = await session.act((engine) => engine.createFromTemplate({ template, host, offer }), remedy);
    creating.value = false;
    return answer?.uuid;
  }

  const { act, call } = session;
  return {
    status,
    events,
    templates,
    histories,
    creating,
    hosts,
    clock,
    connected,
    name,
    link,
    runningTasks,
    undoable,
    redoable,
    firstLaunch,
    firstTemplate,
    hostSpec,
    refusal,
    tiles: (host: string): readonly TileModel[] => tilesByHost.value.get(host) ?? [],
    domain: (uuid: string): TileModel | undefined => tileMap.value.get(uuid),
    domainStatus: (uuid: string) => domainMap.value.get(uuid),
    domainIds: computed(() => [...domainMap.value.keys()]),

    runClock: () => act((engine) => engine.run({})),
    pauseClock: () => act((engine) => engine.pause({})),
    step: (ns: number) => act((engine) => engine.step({ ns })),
    setSpeed: (speed: number) => act((engine) => engine.setSpeed({ speed })),

    createFromTemplate,
    createDomain: (host: string, spec: DomainSpecInput) =>
      call(async (engine) => {
        const made = await engine.createDomain({ host, spec });
        // a kernel of the user's own is on the shelf from now on
        templates.value = await engine.templates({});
        return made;
      }),
    pauseDomain: (uuid: string) => act((engine) => engine.pauseDomain({ uuid })),
    unpauseDomain: (uuid: string) => act((engine) => engine.unpauseDomain({ uuid })),
    shutDown: (uuid: string) => act((engine) => engine.shutdownDomain({ uuid })),
    restart: (uuid: string) => act((engine) => engine.restartDomain({ uuid })),
    destroy: (uuid: string) => act((engine) => engine.destroyDomain({ uuid })),
    setMemoryTarget: (uuid: string, memoryMiB: number) => call((engine) => engine.setMemoryTarget({ uuid, memoryMiB })),
    setVcpus: (uuid: string, vcpus: number) => call((engine) => engine.setVcpus({ uuid, vcpus })),
    rename: (uuid: string, to: string) => call((engine) => engine.renameDomain({ uuid, name: to })),
    undo: () => act((engine) => engine.undo({})),
    redo: () => act((engine) => engine.redo({})),
    restoreSpeed: () => act((engine) => engine.restoreSpeed({})),
    setMigrationPace: (slow: boolean) => act((engine) => engine.setMigrationPace({ slow })),
    setPauseOnCrash: (pauseOnCrash: boolean) => act((engine) => engine.setPauseOnCrash({ pauseOnCrash })),

    addHost: (spec: HostSpec) => call((engine) => engine.addHost({ spec })),
    editHost: (host: string, spec: HostSpec) => call((engine) => engine.editHost({ name: host, spec })),
    removeHost: (host: string) => act((engine) => engine.removeHost({ name: host })),
    editLink: (spec: LinkSpec) => call((engine) => engine.editLink({ spec })),
    renameLab: (to: string) => call((engine) => engine.renameLab({ name: to })),
    exportTo: (path: string) => act((engine) => engine.exportLab({ path })),
    cancelTask: (id: number) => act((engine) => engine.cancelTask({ id })),
  };
});
