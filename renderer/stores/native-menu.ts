// Tells the native menu which commands can run now, so that it greys the others. Sent only when something changed.
import { computed, watch } from 'vue';
import type { BulkheadBridge } from '../../shared/bridge.ts';
import { commands } from '../../shared/commands.ts';
import { useLab } from './lab.ts';
import { canStopLive, useMigrations } from './migrations.ts';
import { useSelection } from './selection.ts';
import { useWindow } from './window.ts';

/** Commands that need no engine. */
const ALWAYS: ReadonlySet<string> = new Set([
  'lab.new',
  'lab.open',
  'view.palette',
  'view.lab',
  'view.scheduler',
  'view.migrations',
  'view.nextRegion',
  'view.previousRegion',
  'view.theme',
  'help.shortcuts',
]);

/** @returns how to stop */
export function followNativeMenu(bridge: BulkheadBridge): () => void {
  const lab = useLab();
  const selection = useSelection();
  const migrations = useMigrations();
  const enabled = computed(() => {
    const look = selection.uuid === undefined ? undefined : lab.domain(selection.uuid)?.look;
    const runs = look !== undefined && look !== 'crashed' && look !== 'shutdown' && look !== 'building';
    const can = (id: string): boolean => {
      if (ALWAYS.has(id)) return true;
      if (!lab.connected) return false;
      if (id === 'edit.undo') return lab.undoable !== undefined;
      if (id === 'edit.redo') return lab.redoable !== undefined;
      if (id === 'domain.restore') return true;
      if (id === 'view.export') return useWindow().view !== 'lab';
      if (id === 'domain.migrate') return runs && lab.hosts.length > 1;
      if (id === 'domain.stopLive')
        return selection.uuid !== undefined && canStopLive(migrations.liveOf(selection.uuid));
      if (id === 'domain.capture') return runs && (lab.domainStatus(selection.uuid!)?.nics ?? 0) > 0;
      if (id === 'clock.restoreSpeed') return lab.clock.slowed !== undefined;
      if (id === 'domain.save' || id === 'domain.clone') return runs;
      if (id === 'link.edit') return lab.hosts.length > 1;
      if (id === 'domain.pause' || id === 'domain.shutdown') return runs;
      return id === 'domain.create' || !id.startsWith('domain.') || look !== undefined;
    };
    return Object.fromEntries(commands.map(({ id }) => [id, can(id)]));
  });
  const changed = computed(() => JSON.stringify(enabled.value));
  return watch(changed, () => void bridge.menu.setEnabled(enabled.value), { immediate: true });
}
