// What the window does by itself when the lab records something: a crash is told at once and shown, boundaries of a domain's
// life are spoken. Events that were recorded before this window looked are history and disturb nobody.
import { watch } from 'vue';
import type { LabEvent } from '../../shared/model.ts';
import { announcer } from '../composables/announcer.ts';
import { useLab } from './lab.ts';
import { usePreferences } from './preferences.ts';
import { useSelection } from './selection.ts';

const SPOKEN: ReadonlySet<LabEvent['kind']> = new Set([
  'domain-shutdown',
  'host-added',
  'host-removed',
  'domain-restored',
  'migration-started',
  'migration-round',
  'migration-done',
  'migration-failed',
  'migration-aborted',
]);
const ALARMING: ReadonlySet<LabEvent['kind']> = new Set(['domain-crashed', 'host-lost']);

/** Call once the stores exist. @returns how to stop */
export function followEvents(): () => void {
  const lab = useLab();
  const selection = useSelection();
  const preferences = usePreferences().values;
  let known: number | undefined;
  return watch(
    () => lab.events,
    (events) => {
      if (!lab.connected || events.length === 0) {
        known = undefined;
        return;
      }
      const last = events[events.length - 1].id;
      const fresh = known === undefined ? [] : events.filter((event) => event.id > known!);
      known = last;
      for (const event of fresh) {
        if (SPOKEN.has(event.kind)) announcer.say(event.text);
        if (!ALARMING.has(event.kind)) continue;
        announcer.alarm(event.text);
        if (event.uuid === undefined) continue;
        selection.select(event.uuid);
        preferences.inspectorOpen = true;
      }
    },
  );
}
