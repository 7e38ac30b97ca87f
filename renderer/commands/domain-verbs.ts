// What can be done to one domain. Which of these make sense now is read from its state; the reason is said where one is not.
import {
  IconArrowsDiagonal,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconPower,
  IconRefresh,
  IconTerminal2,
  IconTrash,
} from '@tabler/icons-vue';
import { nextTick, watch } from 'vue';
import { announcer } from '../composables/announcer.ts';
import { messages } from '../messages/index.ts';
import { useLab } from '../stores/lab.ts';
import { useNotices } from '../stores/notices.ts';
import { useSelection } from '../stores/selection.ts';
import { useWindow } from '../stores/window.ts';
import { captureVerbs } from './capture-verbs.ts';
import type { Verb } from './command.ts';
import type { VerbContext } from './context.ts';
import { migrationVerbs } from './migration-verbs.ts';

/** Takes back the last destroy: the domain returns at the current lab time. */
export async function undo(): Promise<void> {
  const lab = useLab();
  const answer = await lab.undo();
  if (!answer) return;
  useSelection().select(answer.uuid);
  announcer.say(messages.domain.restored(lab.domain(answer.uuid)?.name ?? ''));
}

/** Destroys again what the last undo brought back. */
export async function redo(): Promise<void> {
  const lab = useLab();
  const name = lab.redoable;
  if (await lab.redo()) announcer.say(messages.domain.destroyed(name ?? ''));
}

/** Destroys at once, and offers the way back: a toast with Undo, and Ctrl+Z for as long as the engine keeps it. */
export async function destroyDomain(uuid: string, undoKey: string): Promise<void> {
  const lab = useLab();
  const domain = lab.domain(uuid);
  if (!domain) return;
  if (!(await lab.destroy(uuid))) return;
  announcer.say(messages.domain.destroyedSpoken(domain.name));
  void keepFocusInCanvas(uuid);
  useNotices().post({
    tone: 'plain',
    title: messages.domain.destroyed(domain.name),
    detail: messages.domain.returned(domain.memoryMiB, domain.host),
    action: { label: messages.actions.undo, shortcut: undoKey, undoes: true, run: () => void undo() },
  });
}

/** Focus that was on a tile does not fall out of the window with it: it goes to the tile that is selected next. */
async function keepFocusInCanvas(gone: string): Promise<void> {
  const had = document.activeElement;
  if (!(had instanceof HTMLElement) || had.dataset.uuid !== gone) return;
  const stop = watch(
    () => useLab().domain(gone),
    async (still) => {
      if (still) return;
      stop();
      await nextTick();
      if (document.activeElement !== document.body) return;
      const next = document.querySelector<HTMLElement>('[data-tile][tabindex="0"]');
      (next ?? document.querySelector<HTMLElement>('[data-region="canvas"]'))?.focus();
    },
  );
}

/** Boots a domain again from its kernel. */
export async function restartDomain(uuid: string): Promise<void> {
  const lab = useLab();
  if (await lab.restart(uuid)) announcer.say(messages.domain.restarted(lab.domain(uuid)?.name ?? ''));
}

/** The verbs of one domain, in the order of its menu. */
export function domainVerbs(uuid: string, context: VerbContext): Verb[] {
  const { key, enterConsole } = context;
  const lab = useLab();
  const domain = lab.domain(uuid);
  if (!domain) return [];
  const { name } = domain;
  const paused = domain.look === 'paused';
  const gone = domain.look === 'crashed' || domain.look === 'shutdown' ? messages.verbs.notRunning(name) : undefined;
  const building = domain.look === 'building' ? messages.verbs.stillBuilding(name) : undefined;
  const verb = (id: string, label: string, more: Partial<Verb> & Pick<Verb, 'run'>): Verb => ({
    id: `${id}.${uuid}`,
    group: name,
    title: messages.verbs.of(label, name),
    label,
    ...more,
  });
  return [
    verb('domain.console', messages.verbs.console, {
      icon: IconTerminal2,
      shortcut: key('domain.console'),
      run: () => {
        useSelection().select(uuid);
        enterConsole();
      },
    }),
    verb('domain.pause', paused ? messages.verbs.unpause : messages.verbs.pause, {
      icon: paused ? IconPlayerPlay : IconPlayerPause,
      shortcut: key('domain.pause'),
      disabledReason: gone ?? building,
      run: () => {
        void (paused ? lab.unpauseDomain(uuid) : lab.pauseDomain(uuid)).then((done) => {
          if (done) announcer.say(paused ? messages.domain.unpaused(name) : messages.domain.paused(name));
        });
      },
    }),
    verb('domain.shutdown', messages.verbs.shutDown, {
      icon: IconPower,
      disabledReason: gone ?? building,
      run: () => void lab.shutDown(uuid),
    }),
    ...(domain.look === 'crashed' || domain.look === 'shutdown'
      ? [verb('domain.restart', messages.domain.restart, { icon: IconRefresh, run: () => void restartDomain(uuid) })]
      : []),
    ...migrationVerbs(uuid, context),
    verb('domain.resize', messages.verbs.resize, {
      icon: IconArrowsDiagonal,
      disabledReason:
        gone ?? building ?? (lab.domainStatus(uuid)?.mode === 'native' ? messages.verbs.resizeNative(name) : undefined),
      run: () => useWindow().openSheet({ kind: 'resize', uuid }),
    }),
    ...captureVerbs(uuid, context),
    verb('domain.rename', messages.verbs.rename, {
      icon: IconPencil,
      shortcut: key('domain.rename'),
      run: () => useWindow().openSheet({ kind: 'rename', uuid }),
    }),
    verb('domain.destroy', messages.verbs.destroy, {
      icon: IconTrash,
      shortcut: key('domain.destroy'),
      danger: true,
      run: () => void destroyDomain(uuid, key('edit.undo')),
    }),
  ];
}
