// LabService: what windows and the command line ask of the lab, on one port each.
// Invariant: a subscriber that falls behind costs nobody else; status goes out at most ten times a second and only when something changed.

import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import { labService, type LabImplementation } from '../../shared/lab-service.ts';
import { DomainSpec, type LabEvent, type LabStatus, type Template } from '../../shared/model.ts';
import { invalidArgument, serve, type PortLike } from '../../shared/rpc.ts';
import { inspectFile } from './inspect.ts';
import { guestFolder, templates } from './kernels.ts';
import { inspectionService } from './inspection-service.ts';
import type { Lab } from './lab.ts';
import { migrationService } from './migration-service.ts';
import type { PathGrants } from './path-grants.ts';

/** Everything that can be booted: our own guest, fetched ones, imported ones. */
const shelf = (lab: Lab): Template[] => [...templates(), ...lab.imported.templates()];
/** A kernel that `npm run guests` fetched: it is on the shelf already. */
const isFetched = (kernel: string): boolean => kernel.startsWith(guestFolder() + path.sep);

/** A domain's name after a file's. */
const nameFrom = (file: string): string =>
  file
    .replace(/\.[^.]*$/, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 30) || 'guest';

const STATUS_EVERY_MS = 100;
const FIGURES_EVERY_MS = 200;

/** What the service asks of persistence. */
export interface LabStore {
  readonly savedUpTo: number;
  readonly bytes: number;
  exportTo(path: string): Promise<void>;
}

export class LabServer {
  readonly #lab: Lab;
  readonly #store: LabStore;
  readonly #paths: PathGrants | null;
  readonly #statusListeners = new Set<(s: LabStatus) => void>();
  readonly #eventListeners = new Set<(e: LabEvent[]) => void>();
  #dirty = false;
  #timer: NodeJS.Timeout | null = null;
  #cpu = process.cpuUsage();
  #cpuAt = performance.now();
  #cpuPercent = 0;

  /** @param paths which files windows may name; null = any, for those who could open them anyway */
  constructor(lab: Lab, store: LabStore, paths: PathGrants | null = null) {
    this.#lab = lab;
    this.#store = store;
    this.#paths = paths;
    lab.onChanged = () => this.#changed();
    lab.onEvents = (e) => {
      for (const l of this.#eventListeners) l(e);
    };
  }

  #changed(): void {
    this.#dirty = true;
    if (this.#timer || this.#statusListeners.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (!this.#dirty) return;
      this.#dirty = false;
      const s = this.status();
      for (const l of this.#statusListeners) l(s);
    }, STATUS_EVERY_MS);
  }

  status(): LabStatus {
    const lab = this.#lab;
    const at = performance.now();
    if (at - this.#cpuAt > 1000) {
      const used = process.cpuUsage(this.#cpu);
      this.#cpuPercent = (used.user + used.system) / 10 / (at - this.#cpuAt);
      this.#cpu = process.cpuUsage();
      this.#cpuAt = at;
    }
    return {
      name: lab.name,
      path: lab.path,
      clock: lab.clock.status,
      hosts: lab.hostStatuses(),
      link: lab.link,
      traffic: lab.network.traffic.rates(lab.clock.now),
      domains: [...lab.domains.values()].map((d) => ({ ...d.status, consoleBytes: d.console.end })),
      tasks: lab.tasks.list,
      seed: lab.seed,
      savedUpTo: this.#store.savedUpTo,
      recordedBytes: this.#store.bytes,
      computer: { cpuPercent: this.#cpuPercent, engineBytes: process.memoryUsage.rss() },
      undo: lab.undoable,
      redo: lab.redoable,
      pauseOnCrash: lab.pauseOnCrash,
      slowMigrations: lab.slowMigrations,
    };
  }

  /** Serves one window or client until its port closes. */
  attach(port: PortLike): void {
    const { methods, events } = this.#implementation();
    serve(labService, { methods: this.#paths?.guarded(methods) ?? methods, events }, port);
  }

  #implementation(): LabImplementation {
    const lab = this.#lab;
    const migration = migrationService(lab);
    const inspection = inspectionService(lab);
    return {
      methods: {
        ...migration.methods,
        ...inspection.methods,
        snapshot: async () => {
          await lab.refresh();
          return this.status();
        },
        templates: () => shelf(lab),
        events: ({ after }) => lab.events.filter((e) => e.id > after),
        run: () => lab.clock.run(),
        pause: () => lab.clock.pause(),
        setSpeed: ({ speed }) => {
          // who chooses a speed wants that speed
          lab.migrations.restoreSpeed();
          lab.clock.setSpeed(speed);
        },
        step: ({ ns }) => lab.clock.step(ns),
        renameLab: ({ name }) => {
          lab.name = name;
          lab.onJournal({ at: lab.clock.now, kind: 'rename-lab', data: { name } });
          this.#changed();
        },
        addHost: ({ spec }) => lab.addHost(spec),
        editHost: ({ name, spec }) => lab.editHost(name, spec),
        removeHost: ({ name }) => lab.removeHost(name),
        editLink: ({ spec }) => lab.editLink(spec),
        createDomain: async ({ host, spec }) => {
          const uuid = await lab.createDomain(host, spec);
          if (!spec.kernel.startsWith('builtin:') && !isFetched(spec.kernel)) lab.imported.note(spec);
          return { uuid };
        },
        createFromTemplate: async ({ host, template, offer, overrides }) => {
          const t = shelf(lab).find((x) => x.id === template);
          const o = t && (offer ? t.offers.find((x) => x.label === offer) : t.offers[0]);
          if (!t || !o)
            throw new BulkheadError({
              code: 'not-found',
              what: `The guest ${template}${offer ? `, ${offer}` : ''} is not on the shelf.`,
              why: t?.unavailable ?? 'There is no such template.',
              action: 'Choose another guest.',
            });
          const parsed = DomainSpec.safeParse({
            name: lab.freeName(t.id.startsWith('imported-') ? nameFrom(t.title) : template),
            ...o.spec,
            ...overrides,
          });
          if (!parsed.success) throw invalidArgument(parsed.error, `${t.title} cannot be created like this.`);
          return { uuid: await lab.createDomain(host, parsed.data) };
        },
        refusals: ({ mode, memoryMiB }) => lab.refusals(mode, memoryMiB),
        pauseDomain: ({ uuid }) => lab.pauseDomain(uuid),
        unpauseDomain: ({ uuid }) => lab.unpauseDomain(uuid),
        shutdownDomain: ({ uuid, reason }) => lab.shutdownDomain(uuid, reason),
        setMemoryTarget: ({ uuid, memoryMiB }) => lab.commands.setMemoryTarget(uuid, memoryMiB),
        balloonOffer: (wish) => {
          if (!('moving' in wish)) return lab.ballooning.offer(wish.host, wish.mode, wish.memoryMiB);
          const { mode, memoryMiB } = lab.domain(wish.moving).spec;
          return lab.ballooning.offer(wish.host, mode, memoryMiB);
        },
        makeRoom: (offer) => lab.ballooning.makeRoom(offer),
        setVcpus: ({ uuid, vcpus }) => lab.commands.setVcpus(uuid, vcpus),
        startCapture: ({ uuid, nic, path }) => lab.commands.capture(uuid, nic, path),
        stopCapture: ({ uuid, nic }) => lab.commands.capture(uuid, nic, null),
        destroyDomain: ({ uuid }) => lab.destroyDomain(uuid),
        restartDomain: ({ uuid }) => lab.restartDomain(uuid),
        renameDomain: ({ uuid, name }) => lab.renameDomain(uuid, name),
        undo: async () => ({ uuid: await lab.undo() }),
        redo: async () => ({ uuid: await lab.redo() }),
        setPauseOnCrash: ({ pauseOnCrash }) => {
          lab.pauseOnCrash = pauseOnCrash;
          lab.onJournal({ at: lab.clock.now, kind: 'pause-on-crash', data: { pauseOnCrash } });
          this.#changed();
        },
        typeConsole: ({ uuid, bytes }) => lab.typeConsole(uuid, bytes),
        consoleHistory: ({ uuid, limit }) => {
          const c = lab.domain(uuid).console;
          return { uuid, bytes: c.tail(limit), end: c.end };
        },
        figures: async ({ uuid }) => ({
          uuid,
          at: lab.clock.now,
          figures: await lab.figures(uuid),
          cpuPercent: lab.domain(uuid).status.cpuPercent,
        }),
        inspectFile: ({ path }) => inspectFile(path),
        cancelTask: ({ id }) => lab.tasks.cancel(id),
        exportLab: ({ path }) => this.#store.exportTo(path),
      },
      events: {
        ...migration.events,
        ...inspection.events,
        status: (_filter, send) => {
          this.#statusListeners.add(send);
          send(this.status());
          return () => this.#statusListeners.delete(send);
        },
        labEvents: (_filter, send) => {
          this.#eventListeners.add(send);
          return () => this.#eventListeners.delete(send);
        },
        console: ({ uuid }, send) => lab.domain(uuid).console.listen((bytes, end) => send({ uuid, bytes, end })),
        figures: ({ uuid }, send) => {
          lab.domain(uuid);
          let busy = false;
          let last = -1;
          const timer = setInterval(() => {
            if (busy || last === lab.clock.now || !lab.domains.has(uuid)) return;
            busy = true;
            last = lab.clock.now;
            lab
              .figures(uuid)
              .then((figures) =>
                send({ uuid, at: last, figures, cpuPercent: lab.domains.get(uuid)?.status.cpuPercent ?? 0 }),
              )
              .catch(() => {}) // the domain or its host went away meanwhile: the status says so
              .finally(() => (busy = false));
          }, FIGURES_EVERY_MS);
          return () => clearInterval(timer);
        },
      },
    };
  }
}
