// Creating domains from templates: one verb per template, offer (mode) and host.
import { IconCube } from '@tabler/icons-vue';
import { announcer } from '../composables/announcer.ts';
import { messages } from '../messages/index.ts';
import { useBalloon } from '../stores/balloon.ts';
import { useLab } from '../stores/lab.ts';
import { useRefusals, wishOf } from '../stores/refusals.ts';
import { useSelection } from '../stores/selection.ts';
import { useWindow } from '../stores/window.ts';
import type { Verb } from './command.ts';

/**
 * Boots a template on a host and selects the domain.
 * @param offer label of one of the template's offers; the first when left out
 * @returns the domain's uuid, undefined when the engine refused (the person was told)
 */
export async function createDomain(template: string, host: string, offer?: string): Promise<string | undefined> {
  const lab = useLab();
  const firstOfAll = lab.firstLaunch;
  const offers = lab.templates.find((entry) => entry.id === template)?.offers;
  const chosen = offers?.find((entry) => entry.label === offer) ?? offers?.[0];
  const remedy =
    chosen && useBalloon().remedy({ host, ...wishOf(chosen) }, () => void createDomain(template, host, offer));
  const uuid = await lab.createFromTemplate(template, host, offer, remedy);
  if (uuid === undefined) return undefined;
  // A new lab stands at zero; whoever boots the first guest wants to see it boot. Later the clock is the person's alone.
  if (firstOfAll && !lab.clock.running) void lab.runClock();
  useSelection().select(uuid);
  announcer.say(messages.domain.created(lab.domain(uuid)?.name ?? '', host), uuid);
  return uuid;
}

/** @param only limits to one template or one host; labels leave out what is then plain */
export function createVerbs(only: { template?: string; host?: string } = {}): Verb[] {
  const lab = useLab();
  const refusals = useRefusals();
  const verbs: Verb[] = [];
  for (const template of lab.templates) {
    if (only.template !== undefined && template.id !== only.template) continue;
    for (const host of lab.hosts) {
      if (only.host !== undefined && host.name !== only.host) continue;
      for (const offer of template.offers) {
        const about = only.host === undefined ? messages.shelf.createOn(host.name) : template.title;
        verbs.push({
          id: `create.${template.id}.${offer.label}.${host.name}`.replace(/[^\w.-]/g, '_'),
          group: messages.verbs.create,
          title: messages.verbs.createTitle(template.title, offer.label, host.name),
          label: template.offers.length > 1 ? messages.verbs.withMode(about, offer.label) : about,
          icon: IconCube,
          keywords: offer.mode,
          disabledReason: template.unavailable ?? refusals.refusal(host.name, wishOf(offer)),
          run: () => void createDomain(template.id, host.name, offer.label),
          optionsAnyway: template.unavailable === null,
          options: () =>
            useWindow().openSheet({ kind: 'create', template: template.id, offer: offer.label, host: host.name }),
        });
      }
    }
  }
  return verbs;
}
