// Every verb of the window in one place: what the command table, the palette, menus and buttons run.
import {
  IconArrowsRightLeft,
  IconDeviceFloppy,
  IconFileImport,
  IconFolderOpen,
  IconHelp,
  IconKeyboard,
  IconLayoutDashboard,
  IconMoon,
  IconPencil,
  IconPlus,
  IconTimeline,
} from '@tabler/icons-vue';
import type { BulkheadBridge } from '../../shared/bridge.ts';
import { openHelp, tourStep } from '../help/help.ts';
import { cycleRegion } from '../composables/regions.ts';
import type { MenuEntry } from '../composables/menu.ts';
import { switchTheme } from '../composables/theme.ts';
import { messages } from '../messages/index.ts';
import { useImport } from '../stores/import.ts';
import { useLab } from '../stores/lab.ts';
import { useNotices } from '../stores/notices.ts';
import { usePreferences } from '../stores/preferences.ts';
import { useSelection } from '../stores/selection.ts';
import { useSession } from '../stores/session.ts';
import { useWindow } from '../stores/window.ts';
import type { View } from '../stores/window.ts';
import { nextTick } from 'vue';
import { clockVerbs, speedVerbs } from './clock-verbs.ts';
import type { Verb } from './command.ts';
import { toMenuAction } from './command.ts';
import type { VerbContext } from './context.ts';
import { createDomain, createVerbs as creationVerbs } from './create-verbs.ts';
import { destroyDomain, domainVerbs, redo, restartDomain, undo } from './domain-verbs.ts';
import { hostVerbs, topologyVerbs } from './host-verbs.ts';
import { migrate, migrateToVerbs, restore, savedVerbs } from './migration-verbs.ts';
import { printKeys } from './printed-keys.ts';

interface Options {
  readonly bridge: BulkheadBridge;
  readonly mac: boolean;
  readonly enterConsole: () => void;
}

const separator: MenuEntry = { kind: 'separator' };

export function createVerbs({ bridge, mac, enterConsole }: Options) {
  const context: VerbContext = { bridge, key: printKeys(mac), enterConsole };
  const { key } = context;
  const lab = useLab();
  const session = useSession();
  const files = useImport();
  const selection = useSelection();
  const view = useWindow();
  const preferences = usePreferences().values;

  async function openFiles(paths: readonly string[]): Promise<void> {
    const labs = paths.filter((path) => path.endsWith('.bulkhead'));
    if (labs.length > 0) await session.attempt(bridge.engine.openLab(labs[0]));
    const others = paths.filter((path) => !path.endsWith('.bulkhead'));
    if (others.length > 0) await files.inspect(others);
  }

  /** Verbs of the lab file, of importing and of the window. */
  function appVerbs(): Verb[] {
    const group = messages.verbs.lab;
    const verb = (id: string, label: string, icon: Verb['icon'], run: () => void, shortcut?: string): Verb => ({
      id,
      group,
      title: label,
      label,
      icon,
      shortcut: shortcut || undefined,
      run,
    });
    return [
      verb(
        'import.open',
        `${messages.shelf.importTitle}…`,
        IconFileImport,
        () => void openImport(),
        key('import.open'),
      ),
      verb('lab.rename', messages.verbs.renameLab, IconPencil, () =>
        view.openSheet({ kind: 'rename', uuid: undefined }),
      ),
      verb('lab.new', messages.verbs.newLab, IconPlus, () => void newLab()),
      verb('lab.open', messages.verbs.openLab, IconFolderOpen, () => void openLab()),
      verb('lab.export', messages.verbs.exportLab, IconDeviceFloppy, () => void exportLab()),
      verb('view.theme', messages.verbs.theme, IconMoon, () => void switchTheme(bridge)),
      verb(
        'help.shortcuts',
        messages.shortcuts.title,
        IconKeyboard,
        () => view.openSheet({ kind: 'shortcuts' }),
        key('help.shortcuts'),
      ),
      {
        ...verb('edit.undo', messages.actions.undo, undefined, () => void undo(), key('edit.undo')),
        title: lab.undoable ?? messages.actions.undo,
        disabledReason: lab.undoable ? undefined : messages.verbs.nothingToUndo,
      },
      {
        ...verb('edit.redo', messages.actions.redo, undefined, () => void redo(), key('edit.redo')),
        title: lab.redoable === undefined ? messages.actions.redo : messages.verbs.redoOf(lab.redoable),
        disabledReason: lab.redoable === undefined ? messages.verbs.nothingToRedo : undefined,
      },
      verb('domain.restore', messages.saving.restore, IconDeviceFloppy, () => void openSaved(), key('domain.restore')),
      verb('view.lab', messages.nav.lab, IconLayoutDashboard, () => showView('lab'), key('view.lab')),
      verb('view.scheduler', messages.nav.scheduler, IconTimeline, () => showView('scheduler'), key('view.scheduler')),
      verb(
        'view.migrations',
        messages.nav.migrations,
        IconArrowsRightLeft,
        () => showView('migrations'),
        key('view.migrations'),
      ),
      {
        ...verb(
          'lab.pauseOnCrash',
          messages.verbs.pauseOnCrash,
          undefined,
          () => void lab.setPauseOnCrash(!(lab.status?.pauseOnCrash ?? true)),
        ),
        checked: lab.status?.pauseOnCrash ?? true,
      },
      {
        ...verb(
          'lab.slowMigrations',
          messages.verbs.slowMigrations,
          undefined,
          () => void lab.setMigrationPace(!(lab.status?.slowMigrations ?? true)),
        ),
        checked: lab.status?.slowMigrations ?? true,
      },
    ];
  }

  async function openSaved(): Promise<void> {
    const paths = await session.attempt(bridge.files.open('domain'));
    if (paths && paths.length > 0) await files.inspectSaved(paths[0]);
  }
  function showView(next: View): void {
    view.view = next;
    void nextTick(() => {
      const target =
        next === 'lab'
          ? document.querySelector<HTMLElement>('[data-tile][tabindex="0"], [data-testid="boot-first"]')
          : document.querySelector<HTMLElement>('[data-view-heading]');
      target?.focus();
    });
  }
  async function openImport(): Promise<void> {
    const paths = await session.attempt(bridge.files.open('import'));
    if (paths && paths.length > 0) await openFiles(paths);
  }
  async function openLab(): Promise<void> {
    const paths = await session.attempt(bridge.files.open('lab'));
    if (paths && paths.length > 0) await session.attempt(bridge.engine.openLab(paths[0]));
  }
  async function newLab(): Promise<void> {
    const path = await session.attempt(bridge.files.save('lab', messages.verbs.newLabName));
    if (path) await session.attempt(bridge.engine.openLab(path));
  }
  async function exportLab(): Promise<void> {
    const path = await session.attempt(bridge.files.save('lab', `${lab.name}.bulkhead`));
    if (path && (await lab.exportTo(path)))
      useNotices().post({ tone: 'plain', title: messages.verbs.exported, detail: path });
  }

  function helpVerbs(): Verb[] {
    const { group, guide, about, topics } = messages.help;
    const tour = { id: 'help.tour', group, title: guide, label: guide, icon: IconHelp, run: () => tourStep(1) };
    return [
      tour,
      ...Object.entries(topics).map(([id, topic]) => ({
        id: `help.about.${id}`,
        group,
        title: about(topic.title),
        label: topic.title,
        icon: IconHelp,
        run: () => openHelp(id),
      })),
    ];
  }

  function all(): Verb[] {
    const domains = [...lab.domainIds].sort((a, b) => Number(b === selection.uuid) - Number(a === selection.uuid));
    return [
      ...domains.flatMap((uuid) => [...domainVerbs(uuid, context), ...migrateToVerbs(uuid, context)]),
      ...creationVerbs(),
      ...clockVerbs(context),
      ...appVerbs(),
      ...topologyVerbs(context),
      ...lab.hosts.flatMap((host) => hostVerbs(host.name)),
      ...speedVerbs(),
      ...helpVerbs(),
    ];
  }

  /**
   * Runs a command of the table.
   * @returns false when it cannot run now
   */
  function runCommand(id: string): boolean {
    switch (id) {
      case 'view.palette':
        view.openPalette();
        return true;
      case 'view.nextRegion':
        cycleRegion(1);
        return true;
      case 'view.previousRegion':
        cycleRegion(-1);
        return true;
      case 'domain.create':
        view.openPalette(`${messages.verbs.create} `);
        return true;
      default:
    }
    if (id === 'view.export') {
      document.querySelector<HTMLElement>('[data-view-export]')?.click();
      return true;
    }
    const verb =
      id.startsWith('domain.') && id !== 'domain.restore'
        ? selection.uuid && domainVerbs(selection.uuid, context).find((entry) => entry.id === `${id}.${selection.uuid}`)
        : [...clockVerbs(context), ...appVerbs(), ...topologyVerbs(context)].find((entry) => entry.id === id);
    if (!verb || verb.disabledReason) return false;
    verb.run();
    return true;
  }

  /** Those of a domain's verbs that are asked for and are there now, in the order of the domain's menu. */
  function pick(uuid: string | undefined, ...ids: string[]): Verb[] {
    if (uuid === undefined) return [];
    return domainVerbs(uuid, context).filter((verb) => ids.some((id) => verb.id === `${id}.${uuid}`));
  }

  return {
    all,
    runCommand,
    openFiles,
    create: (template: string, host: string) => void createDomain(template, host),
    createOn: (host: string) => creationVerbs({ host }),
    createFrom: (template: string) => creationVerbs({ template }),
    restart: (uuid: string) => void restartDomain(uuid),
    destroy: (uuid: string) => void destroyDomain(uuid, key('edit.undo')),
    speeds: speedVerbs,
    showView,
    migrate: (uuid: string, host: string) => void migrate(uuid, host),
    restore: (path: string, host: string) => void restore(path, host),
    savedMenu: (path: string): MenuEntry[] => {
      const verbs = savedVerbs(path).map(toMenuAction);
      return [...verbs.slice(0, -1), separator, ...verbs.slice(-1)];
    },

    async bootFirst(): Promise<void> {
      const template = lab.firstTemplate;
      const host = lab.hosts[0];
      if (!template || !host || !(await createDomain(template.id, host.name))) return;
      preferences.tab = 'console';
      enterConsole();
    },

    /** Inspector tabs are numbered as they stand. */
    chooseTab(index: number): void {
      const tabs = document.querySelectorAll<HTMLElement>('[role=tab]:not(#tab-crash)');
      tabs[index]?.click();
      tabs[index]?.focus();
    },

    domainMenu: (uuid: string): MenuEntry[] => {
      const verbs = domainVerbs(uuid, context).map(toMenuAction);
      return [...verbs.slice(0, -1), separator, ...verbs.slice(-1)];
    },

    hostMenu: (host: string): MenuEntry[] => [
      { kind: 'heading', label: messages.verbs.create },
      ...creationVerbs({ host }).map(toMenuAction),
      separator,
      ...hostVerbs(host).map(toMenuAction),
    ],

    labMenu: (): MenuEntry[] => {
      const verbs = [...appVerbs(), ...topologyVerbs(context)];
      const pick = (...ids: string[]): MenuEntry[] => verbs.filter((verb) => ids.includes(verb.id)).map(toMenuAction);
      return [
        ...pick('lab.rename', 'lab.new', 'lab.open', 'lab.export'),
        separator,
        ...pick('import.open', 'domain.restore'),
        separator,
        ...pick('host.add', 'link.edit'),
        separator,
        ...pick('edit.undo', 'edit.redo', 'lab.pauseOnCrash', 'lab.slowMigrations', 'help.shortcuts'),
      ];
    },

    inspectorVerbs: (uuid: string | undefined): Verb[] =>
      // Aborting stands where migrating stood.
      pick(uuid, 'domain.pause', 'domain.abort', 'domain.migrate', 'domain.restart').filter(
        (verb, _i, all) =>
          !verb.id.startsWith('domain.migrate.') || !all.some((other) => other.id.startsWith('domain.abort.')),
      ),
    inspectorIcons: (uuid: string | undefined): Verb[] =>
      pick(uuid, 'domain.stopLive', 'domain.save', 'domain.shutdown', 'domain.destroy'),
    /** Drawn where there is room, else in a menu. */
    inspectorRare: (uuid: string | undefined): Verb[] =>
      ['domain.resize', 'domain.clone', 'domain.rename'].flatMap((id) => pick(uuid, id)),

    /** Leads to the domain that a recorded event is about. */
    followEvent({ uuid }: { uuid?: string }): void {
      if (uuid === undefined || !lab.domain(uuid)) return;
      selection.select(uuid);
      document.querySelector<HTMLElement>(`[data-tile][data-uuid="${CSS.escape(uuid)}"]`)?.focus();
    },

    async recover(): Promise<void> {
      if (session.phase === 'refused') await openLab();
      else await session.restart();
    },
  };
}

export type Verbs = ReturnType<typeof createVerbs>;
