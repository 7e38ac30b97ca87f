// The migration part of the pretended lab: runs that ended in every way, and one that goes on when a domain is moved.
import type { LabImplementation } from '../../../../shared/lab-service.ts';
import type { MigrationPolicy, MigrationReport } from '../../../../shared/migration-service.ts';
import type { DomainStatus, LabStatus } from '../../../../shared/model.ts';

type Methods = LabImplementation['methods'];
type MigrationMethods = Pick<
  Methods,
  | 'migrationPresets'
  | 'predictMigration'
  | 'migrateDomain'
  | 'stopAndCopyNow'
  | 'migrations'
  | 'exportMigration'
  | 'saveDomain'
  | 'restoreDomain'
  | 'cloneDomain'
  | 'inspectStream'
>;

const today: MigrationPolicy = {
  preset: 'xen-today',
  maxRounds: 5,
  targetPages: 50,
  maxSentFactor: 3,
  startMbit: 0,
  stepMbit: 0,
  ceilingMbit: 0,
  skipRedirtied: true,
};
const PAGES = [262_144, 24_310, 5_870, 2_914, 1_702, 1_388];

export interface FakeMigrationHost {
  status(): LabStatus;
  add(host: string, name: string, memoryMiB: number, mode: DomainStatus['mode']): DomainStatus;
  change(uuid: string, patch: Partial<DomainStatus>): void;
  push(): void;
}

function heat(rounds: number): MigrationReport['heat'] {
  return Array.from({ length: rounds }, (_, round) => ({
    round: round + 1,
    dirtied: Array.from({ length: 1024 }, (_x, cell) => {
      const a = Math.hypot((cell % 64) - 22, Math.floor(cell / 64) - 5);
      const b = Math.hypot((cell % 64) - 46, Math.floor(cell / 64) - 11);
      return a < 6 - round || b < 4 - round * 0.7 || (cell * 7919 + round * 13) % 97 === 0 ? 40 : 0;
    }),
  }));
}

function finished(id: number, domain: DomainStatus, more: Partial<MigrationReport> = {}): MigrationReport {
  const rounds = PAGES.map((pagesSent, i) => ({
    round: i + 1,
    final: i === PAGES.length - 1,
    startedAt: 180e9 + i * 1e9,
    durationNs: (pagesSent / 30_517) * 1e9,
    pagesSent,
    pagesSkipped: Math.round(pagesSent * 0.03),
    pagesDirtied: PAGES[i + 1] ?? 0,
    bytesSent: pagesSent * 4112,
    sendMbit: 1000,
    dirtyMbit: 80 + i * 120,
    predictedDowntimeNs: i === 0 ? null : (PAGES[i] / 30_517) * 1e9,
    wallMs: 800,
  }));
  return {
    id,
    uuid: domain.uuid,
    name: domain.name,
    mode: domain.mode,
    from: 'alder',
    to: 'birch',
    policy: today,
    link: { bandwidthMbit: 1000, latencyUs: 400, loss: 0 },
    state: 'done',
    failure: null,
    startedAt: 180e9,
    endedAt: 189.8e9,
    totalNs: 9.79e9,
    wallMs: 41_000,
    memoryPages: 262_144,
    pagesSent: 298_328,
    pagesNeverSent: 1204,
    bytesSent: 298_328 * 4112,
    rounds,
    stopReason: 'round-limit',
    downtime: {
      suspendNs: 3.1e6,
      lastPagesNs: 45.5e6,
      stateNs: 4.2e6,
      resumeNs: 7.3e6,
      networkNs: 1.2e6,
      totalNs: 61.3e6,
    },
    predictedDowntimeNs: 64e6,
    predictedTotalNs: 10.1e9,
    progress: 1,
    heat: heat(5),
    ...more,
  };
}

export function fakeMigration(host: FakeMigrationHost): {
  methods: MigrationMethods;
  events: Pick<LabImplementation['events'], 'migrations'>;
} {
  const listeners = new Set<(reports: MigrationReport[]) => void>();
  const [first, second] = host.status().domains;
  let runs: MigrationReport[] = [];
  if (first && second)
    runs = [
      finished(11, first),
      finished(12, second, {
        state: 'failed',
        failure: 'The link failed in round 2; db-01 still runs on birch.',
        from: 'birch',
        to: 'alder',
        rounds: finished(0, second).rounds.slice(0, 2),
        downtime: null,
        stopReason: null,
        progress: 0.4,
        heat: heat(2),
      }),
      finished(13, second, {
        state: 'aborted',
        failure: 'Aborted by you. db-01 still runs on birch.',
        downtime: null,
        stopReason: null,
      }),
      finished(14, first, { from: 'birch', to: 'alder', downtime: { ...finished(0, first).downtime!, totalNs: 64e6 } }),
    ];
  const tell = (report: MigrationReport): void => {
    runs = [...runs.filter((run) => run.id !== report.id), report];
    listeners.forEach((send) => send([report]));
  };

  function run(uuid: string, to: string, policy: MigrationPolicy): { id: number } {
    const domain = host.status().domains.find((d) => d.uuid === uuid)!;
    const id = 100 + runs.length;
    const whole = finished(id, domain, { from: domain.host, to, policy, startedAt: host.status().clock.now });
    let tick = 0;
    const timer = setInterval(() => {
      const cancelled = !host.status().tasks.some((task) => task.id === id && task.state === 'running') && tick > 0;
      tick += 1;
      const done = Math.min(whole.rounds.length, Math.floor(tick / 8));
      const progress = Math.min(0.99, tick / 48);
      const live = {
        ...whole,
        rounds: whole.rounds.slice(0, done),
        heat: whole.heat.slice(0, done),
        downtime: null,
        stopReason: null,
        endedAt: null,
        progress,
      };
      const status = host.status();
      if (cancelled) {
        clearInterval(timer);
        tell({ ...live, state: 'aborted', failure: `Migration aborted. ${domain.name} still runs on ${domain.host}.` });
      } else if (tick >= 48) {
        clearInterval(timer);
        status.tasks = status.tasks.map((task) =>
          task.id === id ? { ...task, state: 'done', progress: 1, cancellable: false } : task,
        );
        host.change(uuid, { host: to, domid: 9 });
        tell({ ...whole, endedAt: status.clock.now });
      } else {
        status.tasks = [
          ...status.tasks.filter((task) => task.id !== id),
          {
            id,
            title: `Migrating to ${to}`,
            uuid,
            phase: `round ${done + 1}`,
            progress,
            state: 'running',
            cancellable: true,
          },
        ];
        tell({ ...live, state: 'live', pagesSent: Math.round(whole.pagesSent * progress) });
      }
      host.push();
    }, 150);
    return { id };
  }

  return {
    methods: {
      migrationPresets: () => ({
        'xen-today': today,
        'xen-2.0.6': { ...today, preset: 'xen-2.0.6', maxRounds: 29, startMbit: 100, stepMbit: 50, ceilingMbit: 500 },
        'stop-and-copy': { ...today, preset: 'stop-and-copy', maxRounds: 0 },
      }),
      predictMigration: ({ uuid, to }) => {
        const domain = host.status().domains.find((d) => d.uuid === uuid);
        const refusal =
          domain && domain.memoryMiB > 150 && to === 'birch' ? 'birch has 212 MiB free and it needs 256 MiB.' : null;
        return { refusal, totalNs: 9.8e9, downtimeNs: 64e6, bytes: 1.1e9 };
      },
      migrateDomain: ({ uuid, to, policy }) => run(uuid, to, policy ?? today),
      stopAndCopyNow: ({ id }) => {
        const live = runs.find((r) => r.id === id);
        if (live) live.stopAsked = true;
      },
      migrations: () => runs,
      exportMigration: () => undefined,
      saveDomain: ({ path }) => ({ path, bytes: 67_108_864 }),
      restoreDomain: ({ host: on, name }) => {
        const { uuid } = host.add(on, name ?? `restored-${runs.length}`, 32, 'pvh');
        host.push();
        return { uuid };
      },
      cloneDomain: ({ uuid }) => {
        const domain = host.status().domains.find((d) => d.uuid === uuid)!;
        const copy = host.add(domain.host, `${domain.name}-copy`, domain.memoryMiB, domain.mode);
        host.push();
        return { uuid: copy.uuid };
      },
      inspectStream: ({ path }) => ({
        path,
        summary: 'A saved PVH domain of 32 MiB in the libxc stream format, version 3.',
        facts: [
          { label: 'Format', value: 'libxl migration stream 2, libxc 3' },
          { label: 'Guest', value: 'x86 HVM' },
        ],
        records: [
          {
            index: 0,
            offset: 24,
            type: 'STATIC_DATA_END',
            bytes: 0,
            summary: 'The static data is complete.',
            problem: null,
          },
          {
            index: 1,
            offset: 32,
            type: 'PAGE_DATA',
            bytes: 4_198_408,
            summary: '8 runs of 1 024 pages.',
            problem: null,
          },
        ],
        refusal: null,
      }),
    },
    events: {
      migrations: (_filter, send) => {
        listeners.add(send);
        return () => listeners.delete(send);
      },
    },
  };
}
