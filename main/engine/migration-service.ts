// Save, restore, clone and migrate, as the lab service offers them.

import { writeFile } from 'node:fs/promises';
import type { LabImplementation } from '../../shared/lab-service.ts';
import type { migrationEvents, migrationMethods, MigrationReport } from '../../shared/migration-service.ts';
import { PRESETS } from '../toolstack/migration/policy.ts';
import type { Lab } from './lab.ts';
import { toCsv } from './migration-run.ts';
import { inspectStream } from '../toolstack/stream/inspect.ts';
import { readPieces } from './stream-files.ts';

/** The methods and events of shared/migration-service.ts over one lab. */
export function migrationService(lab: Lab): {
  methods: Pick<LabImplementation['methods'], keyof typeof migrationMethods>;
  events: Pick<LabImplementation['events'], keyof typeof migrationEvents>;
} {
  const { migrations } = lab;
  return {
    methods: {
      migrationPresets: () => PRESETS,
      predictMigration: ({ uuid, to }) => migrations.predict(uuid, to),
      migrateDomain: async ({ uuid, to, policy, disks, detach }) => {
        const { id, ended } = await migrations.start({ uuid, to, policy, disks });
        if (!detach) await ended;
        return { id };
      },
      stopAndCopyNow: ({ id }) => migrations.stopLive(id),
      setMigrationPace: ({ slow }) => {
        lab.slowMigrations = slow;
        lab.onJournal({ at: lab.clock.now, kind: 'migration-pace', data: { slow } });
        lab.clock.paceChanged();
      },
      restoreSpeed: () => migrations.restoreSpeed(),
      migrations: () => [...migrations.reports],
      exportMigration: async ({ id, path, format }) => {
        const report = migrations.report(id);
        await writeFile(path, format === 'csv' ? toCsv(report) : `${JSON.stringify(report, null, 2)}\n`);
      },
      saveDomain: ({ uuid, path, keepRunning }) => lab.savings.save(uuid, path, keepRunning),
      restoreDomain: async (options) => ({ uuid: await lab.savings.restore(options) }),
      cloneDomain: async ({ uuid, name }) => ({ uuid: await lab.savings.clone(uuid, name) }),
      inspectStream: ({ path }) => inspectStream(path, readPieces(path)),
    },
    events: {
      migrations: (_filter, send) => followReports(lab, send),
    },
  };
}

const REPORTS_EVERY_MS = 100;

/** Sends the reports that changed, at most ten times a second. @returns how to stop */
function followReports(lab: Lab, send: (reports: MigrationReport[]) => void): () => void {
  const { migrations } = lab;
  const sent = new Map<number, string>();
  let timer: NodeJS.Timeout | null = null;
  const look = (): void => {
    timer = null;
    const changed = migrations.reports.filter((r) => {
      const text = JSON.stringify(r);
      if (sent.get(r.id) === text) return false;
      sent.set(r.id, text);
      return true;
    });
    if (changed.length) send(changed);
  };
  const stop = migrations.listen(() => (timer ??= setTimeout(look, REPORTS_EVERY_MS)));
  return () => {
    stop();
    if (timer) clearTimeout(timer);
  };
}
