// Save, restore, clone and migrate, as the lab service offers them.

import type { LabImplementation } from '../../shared/lab-service.ts';
import type { migrationEvents, migrationMethods } from '../../shared/migration-service.ts';
import type { Lab } from './lab.ts';
import { notYet } from './not-yet.ts';

/** The methods and events of shared/migration-service.ts over one lab. */
export function migrationService(lab: Lab): {
  methods: Pick<LabImplementation['methods'], keyof typeof migrationMethods>;
  events: Pick<LabImplementation['events'], keyof typeof migrationEvents>;
} {
  void lab;
  return {
    methods: {
      migrationPresets: () => notYet('migrationPresets'),
      predictMigration: () => notYet('predictMigration'),
      migrateDomain: () => notYet('migrateDomain'),
      migrations: () => notYet('migrations'),
      exportMigration: () => notYet('exportMigration'),
      saveDomain: () => notYet('saveDomain'),
      restoreDomain: () => notYet('restoreDomain'),
      cloneDomain: () => notYet('cloneDomain'),
      inspectStream: () => notYet('inspectStream'),
    },
    events: {
      migrations: () => notYet('migrations'),
    },
  };
}
