// Moving, saving, restoring and copying domains.
import {
  IconArrowsRightLeft,
  IconCopy,
  IconDeviceFloppy,
  IconPlayerSkipForward,
  IconPlayerStop,
} from '@tabler/icons-vue';
import { announcer } from '../composables/announcer.ts';
import { messages } from '../messages/index.ts';
import { useBalloon } from '../stores/balloon.ts';
import { fileName } from '../stores/import.ts';
import { useLab } from '../stores/lab.ts';
import { canStopLive, useMigrations } from '../stores/migrations.ts';
import { useNotices } from '../stores/notices.ts';
import { useSaved } from '../stores/saved.ts';
import { useSelection } from '../stores/selection.ts';
import { useSession } from '../stores/session.ts';
import { useWindow } from '../stores/window.ts';
import type { Verb } from './command.ts';
import type { VerbContext } from './context.ts';

/** Starts a migration with the policy of today's Xen; a refusal is told. */
export async function migrate(uuid: string, to: string): Promise<void> {
  const lab = useLab();
  const remedy = useBalloon().remedy({ host: to, moving: uuid }, () => void migrate(uuid, to));
  const done = await useSession().attempt(useMigrations().start(uuid, to), remedy);
  if (done) announcer.say(messages.migration.started(lab.domain(uuid)?.name ?? '', to), uuid);
}

/** Ends the live rounds of a run at the end of the present one. */
export async function stopLive(id: number, name: string): Promise<void> {
  if (await useMigrations().stopLive(id)) announcer.say(messages.migration.stopping(name));
}

async function save({ bridge }: VerbContext, uuid: string, keepRunning: boolean): Promise<void> {
  const lab = useLab();
  const domain = lab.domain(uuid);
  if (!domain) return;
  const path = await useSession().attempt(bridge.files.save('domain', `${domain.name}.save`));
  if (!path) return;
  const done = await useSession().act((engine) => engine.saveDomain({ uuid, path, keepRunning }));
  if (!done) return;
  useSaved().add({ path: done.path, name: domain.name, memoryMiB: domain.memoryMiB, at: lab.clock.now });
  const title = messages.saving.saved(domain.name, done.bytes);
  announcer.say(title);
  useNotices().post({ tone: 'plain', title, detail: done.path });
}

async function clone(uuid: string): Promise<void> {
  const name = useLab().domain(uuid)?.name ?? '';
  const done = await useSession().act((engine) => engine.cloneDomain({ uuid }));
  if (!done) return;
  useSelection().select(done.uuid);
  announcer.say(messages.saving.cloned(name));
}

/** Restores a saved file on a host at once; what is in the file was seen when it was saved. */
export async function restore(path: string, host: string): Promise<void> {
  const memoryMiB = useSaved().all.find((entry) => entry.path === path)?.memoryMiB;
  const remedy =
    memoryMiB === undefined
      ? undefined
      : useBalloon().remedy({ host, memoryMiB: Math.ceil(memoryMiB) }, () => void restore(path, host));
  const done = await useSession().act((engine) => engine.restoreDomain({ host, path }), remedy);
  if (!done) return;
  useSelection().select(done.uuid);
  announcer.say(messages.saving.restored(fileName(path), host));
}

/** The verbs of one domain that move, keep or copy it. */
export function migrationVerbs(uuid: string, context: VerbContext): Verb[] {
  const lab = useLab();
  const migrations = useMigrations();
  const domain = lab.domain(uuid);
  if (!domain) return [];
  const { name } = domain;
  const { key } = context;
  const moving = migrations.liveOf(uuid);
  const stands = !domain.live ? messages.verbs.notRunning(name) : moving ? messages.migration.moving(name) : undefined;
  const native = domain.mode === 'native' ? messages.migration.native : undefined;
  const alone = lab.hosts.length < 2 ? messages.migration.oneHost : undefined;
  const verb = (id: string, label: string, more: Partial<Verb> & Pick<Verb, 'run'>): Verb => ({
    id: `${id}.${uuid}`,
    group: name,
    title: messages.verbs.of(label, name),
    label,
    ...more,
  });
  const openSheet = (): void => useWindow().openSheet({ kind: 'migrate', uuid });
  return [
    ...(moving
      ? [
          verb('domain.abort', messages.migration.abort, {
            title: messages.migration.abortOf(name),
            icon: IconPlayerStop,
            run: () => void migrations.abort(moving.id),
          }),
          verb('domain.stopLive', messages.migration.stopLive, {
            icon: IconPlayerSkipForward,
            disabledReason: canStopLive(moving)
              ? undefined
              : moving.stopAsked && moving.state === 'live'
                ? messages.migration.stopsSoon
                : messages.migration.liveOver,
            run: () => void stopLive(moving.id, name),
          }),
        ]
      : []),
    verb('domain.migrate', messages.migration.verb, {
      icon: IconArrowsRightLeft,
      shortcut: key('domain.migrate'),
      disabledReason: native ?? alone ?? stands,
      run: openSheet,
      options: openSheet,
    }),
    verb('domain.save', messages.saving.save, {
      icon: IconDeviceFloppy,
      shortcut: key('domain.save'),
      disabledReason: native ?? stands,
      run: () => void save(context, uuid, true),
    }),
    verb('domain.saveRemove', messages.saving.saveRemove, {
      icon: IconDeviceFloppy,
      disabledReason: native ?? stands,
      run: () => void save(context, uuid, false),
    }),
    verb('domain.clone', messages.saving.clone, {
      icon: IconCopy,
      shortcut: key('domain.clone'),
      disabledReason: native ?? stands,
      run: () => void clone(uuid),
    }),
  ];
}

/** "Migrate web-01 to birch", for the palette: one verb per other host. */
export function migrateToVerbs(uuid: string, context: VerbContext): Verb[] {
  const lab = useLab();
  const domain = lab.domain(uuid);
  const verb = migrationVerbs(uuid, context).find((entry) => entry.id === `domain.migrate.${uuid}`);
  if (!domain || !verb) return [];
  return lab.hosts
    .filter((host) => host.name !== domain.host)
    .map((host) => ({
      ...verb,
      id: `migrate.${uuid}.${host.name}`,
      title: messages.migration.to(domain.name, host.name),
      label: host.name,
      shortcut: undefined,
      run: () => void migrate(uuid, host.name),
    }));
}

/** The verbs of a saved domain of the shelf. */
export function savedVerbs(path: string): Verb[] {
  const lab = useLab();
  const saved = useSaved();
  const entry = saved.all.find((other) => other.path === path);
  if (!entry) return [];
  const group = entry.name;
  return [
    ...lab.hosts.map((host) => ({
      id: `restore.${host.name}`,
      group,
      title: messages.saving.restoreOn(host.name),
      label: messages.saving.restoreOn(host.name),
      icon: IconDeviceFloppy,
      disabledReason: lab.refusal(host.name, entry.memoryMiB),
      run: () => void restore(path, host.name),
    })),
    {
      id: 'restore.forget',
      group,
      title: messages.saving.forget,
      label: messages.saving.forget,
      run: () => saved.forget(path),
    },
  ];
}
