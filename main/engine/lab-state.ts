// The lab as its file holds it: what is saved of it, and taking it over when the lab is opened again.

import { ConsoleLog } from './console-log.ts';
import type { OpenedLab, SavedLab } from './lab-file.ts';
import type { Lab } from './lab.ts';
import { labDomain } from './lab-domain.ts';

/** What is written into the lab file. */
export function savedLab(lab: Lab): SavedLab {
  return {
    name: lab.name,
    seed: lab.seed,
    now: lab.clock.now,
    link: lab.link,
    pauseOnCrash: lab.pauseOnCrash,
    slowMigrations: lab.slowMigrations,
    imported: [...lab.imported.list],
    overlays: lab.overlays.list,
    hosts: lab.hosts.all().map((h) => h.spec),
    domains: [...lab.domains.values()].map((d) => ({
      uuid: d.uuid,
      spec: d.spec,
      host: d.host,
      colour: d.colour,
      createdAt: d.createdAt,
      state: d.status.state,
      reason: d.status.reason,
      hashes: d.hashes,
    })),
  };
}

/**
 * Takes over what a lab file holds. Domains that ran are shown as stopped: their memory is not in the file.
 * @throws what starting a host throws
 */
export async function restoreLab(lab: Lab, opened: OpenedLab): Promise<void> {
  const { lab: saved, events, consoles } = opened;
  lab.name = saved.name;
  lab.link = saved.link;
  lab.slowMigrations = saved.slowMigrations ?? lab.slowMigrations;
  lab.pauseOnCrash = saved.pauseOnCrash ?? lab.pauseOnCrash;
  lab.imported.restore(saved.imported ?? []);
  lab.clock.startAt(saved.now);
  lab.tape.restore(events);
  for (const spec of saved.hosts) await lab.hosts.start(spec, saved.now);
  for (const d of saved.domains) {
    const console = new ConsoleLog();
    const kept = consoles.get(d.uuid);
    if (kept) console.restore(kept.bytes, kept.end);
    const ended = d.state === 'shutdown' || d.state === 'crashed' || d.state === 'lost';
    const changed = await lab.commands.changedFiles(d.spec, d.hashes ?? {});
    lab.adopt(
      labDomain(
        { ...d, console, hashes: d.hashes ?? {} },
        ended ? d.state : 'shutdown',
        [ended ? (d.reason ?? '') : 'It stopped when the lab was closed. Restart it to boot it again.', changed]
          .filter(Boolean)
          .join(' ') || null,
      ),
    );
  }
  lab.overlays.restore(saved.overlays ?? []);
  lab.overlays.sweep(saved.domains.map((d) => d.spec));
  await lab.refresh();
}
