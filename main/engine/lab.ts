// The lab: hosts, link, domains, the clock, the tape. Knows nothing of ports, windows or files on disk beyond a domain's own.
// Invariant: a domain's uuid, name and colour belong to the lab; its domid and everything architectural belong to its host.

import { readFile } from 'node:fs/promises';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { DomainSpec, Figures, HostSpec, HostStatus, LabEvent, LinkSpec } from '../../shared/model.ts';
import { Ballooning } from './ballooning.ts';
import { ClockLoop, type Clocked } from './clock-loop.ts';
import { DomainCommands, type Identity } from './domain-commands.ts';
import type { HostReport } from './host-messages.ts';
import type { SpawnWorker } from './host-proxy.ts';
import { Hosts } from './hosts.ts';
import { ImportedGuests } from './imported-guests.ts';
import type { LabDomain } from './lab-domain.ts';
import type { OpenedLab, SavedLab } from './lab-file.ts';
import { restoreLab, savedLab } from './lab-state.ts';
import { Link } from './link.ts';
import { Migrations } from './migration.ts';
import { freeName } from './names.ts';
import { Overlays } from './overlays.ts';
import { Savings } from './saving.ts';
import { Tape } from './tape.ts';
import { Tasks } from './tasks.ts';
import { UndoList } from './undo.ts';

export type { LabDomain } from './lab-domain.ts';

/** Virtual length of an epoch when nothing forces a shorter one. */
const EPOCH_NS = 1_000_000;
const REPORT_EVERY_MS = 100;

export interface LabOptions {
  name: string;
  path: string;
  seed: number;
  spawn: SpawnWorker;
  /** Stops the clock when a guest crashes, so that a person can look; scenarios go on. */
  pauseOnCrash?: boolean;
  /** Slows the clock while domains move, so that a person can see each round; scenarios do not wait. */
  slowMigrations?: boolean;
  /** Where images for what is copied on write are made; beside the lab file when not given. */
  diskFolder?: string;
  /** Resolves `builtin:` names and reads kernel files. */
  readKernel?: (path: string) => Promise<Uint8Array>;
}

export class Lab implements Clocked {
  name: string;
  readonly path: string;
  readonly seed: number;
  readonly clock: ClockLoop;
  link: LinkSpec = { bandwidthMbit: 1000, latencyUs: 400, loss: 0 };
  pauseOnCrash: boolean;
  /** Migrations slow the clock so that their rounds can be seen. */
  slowMigrations: boolean;
  readonly domains = new Map<string, LabDomain>();
  readonly hosts: Hosts;
  readonly commands: DomainCommands;
  readonly imported = new ImportedGuests();
  readonly tape: Tape;
  readonly tasks: Tasks;
  readonly undoList = new UndoList((d) => void this.commands.forget(d));
  /** What is under way between the hosts. */
  readonly network: Link;
  readonly migrations: Migrations;
  readonly savings: Savings;
  readonly ballooning: Ballooning;
  readonly overlays: Overlays;
  /** Told whenever anything shown may have changed. */
  onChanged: () => void = () => {};
  onEvents: (events: LabEvent[]) => void = () => {};
  /** Told of everything that must be persisted. */
  onJournal: (entry: { at: number; kind: string; data: unknown }) => void = () => {};
  /** Told of all console output: position of the first byte, and the bytes. */
  onConsole: (uuid: string, start: number, bytes: Uint8Array) => void = () => {};
  /** Work that waits for the end of the epoch. */
  #inbox: (() => Promise<void>)[] = [];
  #nextColour = 1;
  #lastReport = 0;

  constructor(options: LabOptions) {
    this.name = options.name;
    this.path = options.path;
    this.seed = options.seed;
    this.pauseOnCrash = options.pauseOnCrash ?? false;
    this.slowMigrations = options.slowMigrations ?? false;
    this.network = new Link(() => this.link, options.seed);
    this.hosts = new Hosts(this, options.spawn);
    this.migrations = new Migrations(this);
    this.savings = new Savings(this);
    this.ballooning = new Ballooning(this);
    this.overlays = new Overlays(options.diskFolder ?? `${options.path.replace(/\.bulkhead$/, '')}.disks`);
    this.commands = new DomainCommands(
      this,
      options.readKernel ?? (async (path) => new Uint8Array(await readFile(path))),
    );
    this.tasks = new Tasks(() => this.onChanged());
    this.tape = new Tape(
      () => this.clock.now,
      (e) => {
        this.onJournal({ at: e.at, kind: 'event', data: e });
        this.onEvents([e]);
      },
    );
    this.clock = new ClockLoop(
      this,
      () => this.onChanged(),
      (e) => {
        const s = toSentences(e);
        if (s.code !== 'host-lost') this.tape.note('host-lost', `The clock stopped: ${s.what}`);
      },
    );
  }

  // ---- time

  epochNs(): number {
    return this.hosts.all().length > 1 ? Math.min(EPOCH_NS, this.link.latencyUs * 1000) : EPOCH_NS;
  }

  slowedTo(): number | null {
    return this.slowMigrations ? this.migrations.pace : null;
  }

  async runEpoch(until: number): Promise<number> {
    const idle = await this.hosts.advance(until);
    const wall = performance.now();
    // a crash or shutdown is noted in its own epoch: the tape does not depend on the user's clock
    if (this.hosts.stateChanged || wall - this.#lastReport >= REPORT_EVERY_MS) {
      this.hosts.stateChanged = false;
      this.#lastReport = wall;
      await this.refresh(until);
    }
    // while something crosses the link, its times matter
    if (this.migrations.active || this.savings.active) return until;
    return Math.max(until, Math.min(...idle, this.network.nextArrival()));
  }

  async betweenEpochs(): Promise<void> {
    for (let work = this.#inbox.shift(); work; work = this.#inbox.shift()) await work();
    await this.migrations.turn(this.clock.now);
    await this.savings.turn();
    await this.ballooning.turn();
  }

  /** Runs `work` between two epochs and resolves with its result. */
  atBoundary<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#inbox.push(() => work().then(resolve, reject));
      void this.clock.settle();
    });
  }

  /** Fetches every host's report and works out what is shown. */
  async refresh(now = this.clock.now): Promise<void> {
    await Promise.all(this.hosts.all().map((h) => this.hosts.fetchReport(h, now, (d, s) => this.#seen(d, s, now))));
    this.onChanged();
  }

  /** Takes over what a host reports of a domain, and notes on the tape that it ended. */
  #seen(d: LabDomain, s: HostReport['domains'][number], now: number): void {
    const before = d.status.state;
    Object.assign(d.status, {
      state: s.state,
      reason: s.reason,
      bits: s.bits,
      cpuNs: s.cpuNs,
      memoryMiB: s.memoryMiB,
      consoleBytes: d.console.end,
      captures: s.captures?.length ? s.captures : undefined,
    });
    if (before !== s.state && s.state === 'crashed') {
      this.tape.note('domain-crashed', `${d.spec.name} crashed: ${s.reason ?? ''}`, d, now);
      // not waited for: the epoch that this belongs to must end first
      if (this.pauseOnCrash) void this.clock.pause();
    }
    if (before !== 'paused' && s.state === 'paused' && s.reason)
      this.tape.note('domain-paused', `${d.spec.name} paused: ${s.reason}`, d, now);
    if (before !== s.state && s.state === 'shutdown') {
      this.tape.note('domain-shutdown', `${d.spec.name} ${s.reason ?? 'shut down'}`, d, now);
      if (s.shutdown === 'reboot') this.#inbox.unshift(() => this.commands.reboot(d));
    }
  }

  get events(): LabEvent[] {
    return this.tape.events;
  }
  /** The first event of a new lab's tape. */
  noteCreated(): void {
    this.tape.note('lab-created', 'Lab created');
  }
  editLink(spec: LinkSpec): void {
    this.link = spec;
    this.tape.note('link-edited', 'Link changed');
    this.onChanged();
  }

  // ---- domains

  /** @throws BulkheadError not-found */
  domain(uuid: string): LabDomain {
    const d = this.domains.get(uuid);
    if (!d)
      throw new BulkheadError({
        code: 'not-found',
        what: 'That domain does not exist.',
        why: 'It was destroyed, or its host was removed.',
        action: 'Choose another domain.',
      });
    return d;
  }
  findDomain(name: string): LabDomain | undefined {
    for (const d of this.domains.values()) if (d.spec.name === name) return d;
    return undefined;
  }
  /** `base`, or `base-2`, `base-3` ... : the first that no domain has. */
  freeName(base: string): string {
    return freeName(base, (name) => this.findDomain(name) !== undefined);
  }
  /** A colour that no domain of this lab has had. */
  nextColour(): number {
    return this.#nextColour++;
  }
  /** Puts a domain among those of the lab, in place of one with the same uuid. */
  adopt(d: LabDomain): void {
    this.domains.set(d.uuid, d);
    this.#nextColour = Math.max(this.#nextColour, d.colour + 1);
  }
  /** Console output of a domain. */
  print(d: LabDomain, bytes: Uint8Array): void {
    this.onConsole(d.uuid, d.console.end, bytes);
    d.console.append(bytes);
  }
  async figures(uuid: string): Promise<Figures> {
    return this.hosts.callOn(this.domain(uuid), 'figures', {});
  }
  async digest(): Promise<string[]> {
    return Promise.all(this.hosts.all().map((h) => h.proxy.call('digest', {})));
  }

  // ---- commands, each where its idea lives

  addHost(spec: HostSpec): Promise<void> {
    return this.hosts.add(spec);
  }
  editHost(name: string, spec: HostSpec): Promise<void> {
    return this.hosts.edit(name, spec);
  }
  removeHost(name: string): Promise<void> {
    return this.hosts.remove(name);
  }
  hostStatuses(): HostStatus[] {
    return this.hosts.statuses();
  }
  refusals(mode: string, memoryMiB: number): Record<string, string> {
    return this.hosts.refusals(mode, memoryMiB);
  }
  createDomain(host: string, spec: DomainSpec, keep: Identity = {}): Promise<string> {
    return this.commands.create(host, spec, keep);
  }
  pauseDomain(uuid: string): Promise<void> {
    return this.commands.pause(uuid);
  }
  unpauseDomain(uuid: string): Promise<void> {
    return this.commands.unpause(uuid);
  }
  shutdownDomain(uuid: string, reason: 'poweroff' | 'reboot'): Promise<void> {
    return this.commands.shutdown(uuid, reason);
  }
  destroyDomain(uuid: string): Promise<void> {
    return this.commands.destroy(uuid);
  }
  restartDomain(uuid: string): Promise<void> {
    return this.commands.restart(uuid);
  }
  renameDomain(uuid: string, name: string): void {
    this.commands.rename(uuid, name);
  }
  typeConsole(uuid: string, bytes: Uint8Array): Promise<void> {
    return this.commands.typeConsole(uuid, bytes);
  }
  /**
   * Reverses the last destroy: the domain is back as it was, with its memory, name, uuid and colour. Where its host had to use what it
   * held, it starts again from its kernel.
   */
  undo(): Promise<string> {
    return this.undoList.undo((d) => this.commands.bringBack(d));
  }
  /** Destroys again what undo brought back. */
  redo(): Promise<string> {
    return this.undoList.redo((uuid) => this.destroyDomain(uuid));
  }
  get undoable(): string | null {
    return this.undoList.undoable;
  }
  get redoable(): string | null {
    return this.undoList.redoable;
  }

  // ---- persistence

  toSaved(): SavedLab {
    return savedLab(this);
  }
  restore(saved: OpenedLab): Promise<void> {
    return restoreLab(this, saved);
  }
  async close(): Promise<void> {
    await this.clock.pause();
    await this.hosts.end();
  }
}
