// What can be done to hosts and to the link between them.
import { IconAdjustments, IconPencil, IconPlus, IconTrash } from '@tabler/icons-vue';
import { messages } from '../messages/index.ts';
import { useLab } from '../stores/lab.ts';
import { useWindow } from '../stores/window.ts';
import type { Verb } from './command.ts';
import type { VerbContext } from './context.ts';

/** The verbs of one host, in the order of its menu. */
export function hostVerbs(name: string): Verb[] {
  const lab = useLab();
  const occupied = lab.tiles(name).length;
  return [
    {
      id: `host.edit.${name}`,
      group: name,
      title: messages.verbs.of(messages.verbs.editHost, name),
      label: messages.verbs.editHost,
      icon: IconPencil,
      disabledReason: occupied > 0 ? messages.verbs.hostOccupied(occupied) : undefined,
      run: () => useWindow().openSheet({ kind: 'host', host: name }),
    },
    {
      id: `host.remove.${name}`,
      group: name,
      title: messages.verbs.of(messages.verbs.removeHost, name),
      label: messages.verbs.removeHost,
      icon: IconTrash,
      danger: true,
      disabledReason:
        occupied > 0
          ? messages.verbs.hostOccupied(occupied)
          : lab.hosts.length === 1
            ? messages.verbs.lastHost
            : undefined,
      run: () => void lab.removeHost(name),
    },
  ];
}

/** Verbs of the arrangement of hosts. */
export function topologyVerbs({ key }: VerbContext): Verb[] {
  const lab = useLab();
  return [
    {
      id: 'host.add',
      group: messages.verbs.lab,
      title: `${messages.lab.addHostLabel}…`,
      label: `${messages.lab.addHostLabel}…`,
      icon: IconPlus,
      shortcut: key('host.add') || undefined,
      run: () => useWindow().openSheet({ kind: 'host', host: undefined }),
    },
    {
      id: 'link.edit',
      group: messages.verbs.lab,
      title: `${messages.lab.editLinkLabel}…`,
      label: `${messages.lab.editLinkLabel}…`,
      icon: IconAdjustments,
      disabledReason: lab.hosts.length < 2 ? messages.verbs.noLink : undefined,
      run: () => useWindow().openSheet({ kind: 'link' }),
    },
  ];
}
