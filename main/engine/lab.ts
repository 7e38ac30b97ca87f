// The lab: hosts, link, domains, the clock, the tape. Knows nothing of ports, windows or files on disk beyond a domain's own.
// Invariant: a domain's uuid, name and colour belong to the lab; its domid and everything architectural belong to its host.

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type {
  DomainSpec,
  DomainStatus,
  Figures,
  HostSpec,
  HostStatus,
  LabEvent,
  LinkSpec,
  Task,
} from '../../shared/model.ts';
import { LIMITS } from '../../shared/model.ts';
import { NS_PER_SECOND } from '../../shared/units.ts';
import { ClockLoop, type Clocked } from './clock-loop.ts';
import { ConsoleLog } from './console-log.ts';
import type { OpenedLab, SavedLab } from './lab-file.ts';
import type { CarriedFiles, HostCalls, HostReport } from './host-messages.ts';
import { HostProxy, type SpawnWorker } from './host-proxy.ts';
import { prepareKernel } from '../toolstack/builder/kernel-image.ts';

/** Virtual length of an epoch when nothing forces a shorter one. */
const EPOCH_NS = 1_000_000;
const REPORT_EVERY_MS = 100;
const KEPT_TASKS = 50;
/** Destroyed domains that can be brought back: for so many later commands. */
const UNDO_COMMANDS = 20;

export interface LabDomain {
  uuid: string;
  spec: DomainSpec;
  host: string;
  domid: number;
  colour: number;
  createdAt: number;
  console: ConsoleLog;
  status: DomainStatus;
  /** CPU time at times of the last second of lab time, oldest first: what the rate shown is worked out from. */
  samples: { at: number; cpuNs: number }[];
}
/** Calls about one domain. */
type DomainCall = 'destroyDomain' | 'pauseDomain' | 'unpauseDomain' | 'shutdownDomain' | 'consoleInput' | 'figures';

interface LabHost {
  spec: HostSpec;
  proxy: HostProxy;
  state: HostStatus['state'];
  reason: string | null;
  report: HostReport | null;
  /** Lab time of the report. */
  reportedAt: number;
  /** Output that came before the number of its domain was known here: it is told with the result of createDomain. */
  early: { domid: number; bytes: Uint8Array }[];
  shares: HostStatus['pcpus'];
}
export interface LabOptions {
  name: string;
  path: string;
  seed: number;
  spawn: SpawnWorker;
  /** Stops the clock when a guest crashes, so that a person can look; scenarios go on. */
  pauseOnCrash?: boolean;
  /** Resolves `builtin:` names and reads kernel files. */
  readKernel?: (path: string) => Promise<Uint8Array>;
}

export class Lab implements Clocked {
  name: string;
  readonly path: string;
  readonly seed: number;
  readonly clock: ClockLoop;
  link: LinkSpec = { bandwidthMbit: 1000, latencyUs: 400, loss: 0 };
  readonly domains = new Map<string, LabDomain>();
  readonly events: LabEvent[] = [];
  readonly tasks: Task[] = [];
  /** Told whenever anything shown may have changed. */
  onChanged: () => void = () => {};
  onEvents: (events: LabEvent[]) => void = () => {};
  /** Told of everything that must be persisted. */
  onJournal: (entry: { at: number; kind: string; data: unknown }) => void = () => {};
  /** Told of all console output: position of the first byte, and the bytes. */
  onConsole: (uuid: string, start: number, bytes: Uint8Array) => void = () => {};
  readonly #hosts = new Map<string, LabHost>();
  readonly #spawn: SpawnWorker;
  readonly #pauseOnCrash: boolean;
  readonly #readKernel: (path: string) => Promise<Uint8Array>;
  /** Work that waits for the end of the epoch. */
  #inbox: (() => Promise<void>)[] = [];
  #nextColour = 1;
  #nextEvent = 1;
  #nextTask = 1;
  #lastReport = 0;
  #stateChanged = false;
  #destroyed: { spec: DomainSpec; host: string; uuid: string; colour: number; commands: number }[] = [];

  constructor(options: LabOptions) {
    this.name = options.name;
    this.path = options.path;
    this.seed = options.seed;
    this.#spawn = options.spawn;
    this.#pauseOnCrash = options.pauseOnCrash ?? false;
    this.#readKernel = options.readKernel ?? (async (path) => new Uint8Array(await readFile(path)));
    this.clock = new ClockLoop(
      this,
      () => this.onChanged(),
      (e) => {
        const s = toSentences(e);
        if (s.code !== 'host-lost') this.#event('host-lost', `The clock stopped: ${s.what}`, {});
      },
    );
  }

  // ---- time

  epochNs(): number {
    return this.#hosts.size > 1 ? Math.min(EPOCH_NS, this.link.latencyUs * 1000) : EPOCH_NS;
  }

  async runEpoch(until: number): Promise<number> {
    const live = [...this.#hosts.values()].filter((h) => h.state === 'running');
    const results = await Promise.allSettled(live.map((h) => h.proxy.call('advance', { until })));
    results.forEach((r, n) => {
      if (r.status === 'rejected') live[n]!.proxy.giveUp(toSentences(r.reason));
    });
    const wall = performance.now();
    // a crash or shutdown is noted in its own epoch: the tape does not depend on the user's clock
    if (this.#stateChanged || wall - this.#lastReport >= REPORT_EVERY_MS) {
      this.#stateChanged = false;
      this.#lastReport = wall;
      await this.refresh(until);
    }
    const idle = results.map((r) => (r.status === 'fulfilled' ? r.value.idleUntil : Infinity));
    return Math.max(until, Math.min(...idle, Infinity));
  }

  async betweenEpochs(): Promise<void> {
    for (let work = this.#inbox.shift(); work; work = this.#inbox.shift()) await work();
  }

  /** Runs `work` between two epochs and resolves with its result. */
  #atBoundary<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#inbox.push(() => work().then(resolve, reject));
      void this.clock.settle();
    });
  }

  /** Fetches every host's report and works out what is shown. */
  async refresh(now = this.clock.now): Promise<void> {
    await Promise.all(
      [...this.#hosts.values()].map(async (h) => {
        if (h.state !== 'running') return;
        try {
          h.report = await h.proxy.call('report', {});
        } catch {
          return; // a lost host is told of through its events
        }
        const { report } = h;
        const interval = now - h.reportedAt;
        h.reportedAt = now;
        if (interval > 0)
          h.shares = report.pcpus.map((p) => ({
            running: p.running === null ? null : (this.#byDomid(h.spec.name, p.running)?.uuid ?? null),
            shares: p.busy.flatMap((b) => {
              const d = this.#byDomid(h.spec.name, b.domid);
              return d ? [{ uuid: d.uuid, share: Math.min(1, b.ns / interval) }] : [];
            }),
          }));
        for (const s of report.domains) {
          const d = this.#byDomid(h.spec.name, s.domid);
          if (!d) continue;
          d.status.cpuPercent = cpuPercent(d.samples, { at: now, cpuNs: s.cpuNs });
          const before = d.status.state;
          Object.assign(d.status, {
            state: s.state,
            reason: s.reason,
            bits: s.bits,
            cpuNs: s.cpuNs,
            memoryMiB: s.memoryMiB,
            consoleBytes: d.console.end,
          });
          if (before !== s.state && s.state === 'crashed') {
            this.#event('domain-crashed', `${d.spec.name} crashed: ${s.reason ?? ''}`, d, now);
            // not waited for: the epoch that this belongs to must end first
            if (this.#pauseOnCrash) void this.clock.pause();
          }
          if (before !== s.state && s.state === 'shutdown') {
            this.#event('domain-shutdown', `${d.spec.name} ${s.reason ?? 'shut down'}`, d, now);
            if (s.shutdown === 'reboot') this.#inbox.unshift(() => this.#reboot(d));
          }
        }
      }),
    );
    this.onChanged();
  }

  #byDomid(host: string, domid: number): LabDomain | undefined {
    for (const d of this.domains.values())
      if (d.host === host && d.domid === domid && d.status.state !== 'lost') return d;
    return undefined;
  }

  // ---- events and tasks

  #event(kind: LabEvent['kind'], text: string, about: Partial<LabDomain>, at = this.clock.now): void {
    const e: LabEvent = { id: this.#nextEvent++, at, kind, text };
    if (about.uuid) {
      e.uuid = about.uuid;
      e.consoleAt = about.console?.end ?? 0;
    }
    if (about.host) e.host = about.host;
    this.events.push(e);
    this.onJournal({ at: e.at, kind: 'event', data: e });
    this.onEvents([e]);
  }

  async #task<T>(title: string, uuid: string | undefined, body: (task: Task) => Promise<T>): Promise<T> {
    const task: Task = { id: this.#nextTask++, title, phase: '', progress: null, state: 'running', cancellable: false };
    if (uuid) task.uuid = uuid;
    this.tasks.push(task);
    if (this.tasks.length > KEPT_TASKS) this.tasks.shift();
    this.onChanged();
    try {
      const result = await body(task);
      task.state = 'done';
      task.progress = 1;
      return result;
    } catch (e) {
      const { code, what, why, action } = toSentences(e);
      task.state = 'failed';
      task.error = { code, what, why, action };
      throw e;
    } finally {
      this.onChanged();
    }
  }

  /** The first event of a new lab's tape. */
  noteCreated(): void {
    this.#event('lab-created', 'Lab created', {});
  }

  // ---- hosts

  hostStatuses(): HostStatus[] {
    return [...this.#hosts.values()].map((h) => ({
      spec: h.spec,
      state: h.state,
      reason: h.reason,
      pcpus: h.shares,
      freeMiB: h.report?.freeMiB ?? h.spec.memoryMiB,
      memory: (h.report?.memory ?? []).map((m) => ({
        owner: typeof m.owner === 'number' ? (this.#byDomid(h.spec.name, m.owner)?.uuid ?? 'hypervisor') : m.owner,
        firstFrame: m.firstFrame,
        frames: m.frames,
      })),
      native: this.#domainsOn(h.spec.name).some((d) => isOnHost(d) && d.spec.mode === 'native'),
    }));
  }

  async addHost(spec: HostSpec): Promise<void> {
    if (this.#hosts.has(spec.name)) throw nameTaken('host', spec.name);
    if (this.#hosts.size >= LIMITS.hosts)
      throw new BulkheadError({
        code: 'not-possible-now',
        what: 'No more hosts can be added.',
        why: `A lab has at most ${LIMITS.hosts} hosts.`,
        action: 'Remove one first.',
      });
    await this.#startHost(spec);
    this.#event('host-added', `${spec.name} added`, { host: spec.name });
    await this.refresh();
  }

  async #startHost(spec: HostSpec, now = this.clock.now): Promise<void> {
    const host: LabHost = {
      spec,
      state: 'starting',
      reason: null,
      report: null,
      reportedAt: now,
      early: [],
      shares: Array.from({ length: spec.pcpus }, () => ({ running: null, shares: [] })),
      proxy: new HostProxy(spec, this.#spawn, {
        console: (domid, bytes) => {
          const d = this.#byDomid(spec.name, domid);
          if (d) this.#print(d, bytes);
          else host.early.push({ domid, bytes });
        },
        stateChanged: () => {
          this.#stateChanged = true;
          this.onChanged();
        },
        lost: (reason) => this.#hostLost(spec.name, reason),
      }),
    };
    this.#hosts.set(spec.name, host);
    try {
      await host.proxy.call('start', { spec, seed: this.seed });
      // a host that joins later starts at the lab's time
      if (now > 0) await host.proxy.call('advance', { until: now });
    } catch (e) {
      this.#hosts.delete(spec.name);
      await host.proxy.end();
      throw e;
    }
    host.state = 'running';
  }

  #print(d: LabDomain, bytes: Uint8Array): void {
    this.onConsole(d.uuid, d.console.end, bytes);
    d.console.append(bytes);
  }

  #hostLost(name: string, reason: string): void {
    const host = this.#hosts.get(name);
    if (!host) return;
    host.state = 'lost';
    host.reason = reason;
    for (const d of this.domains.values())
      if (d.host === name && d.status.state !== 'lost') {
        d.status.state = 'lost';
        d.status.reason = `The host ${name} stopped: ${reason}`;
      }
    this.#event('host-lost', `${name} stopped: ${reason}`, { host: name });
    this.onChanged();
    void this.#startHost(host.spec).then(
      () => this.onChanged(),
      () => {},
    );
  }

  #host(name: string): LabHost {
    const h = this.#hosts.get(name);
    if (!h)
      throw new BulkheadError({
        code: 'not-found',
        what: `There is no host ${name}.`,
        why: `The lab has ${[...this.#hosts.keys()].join(', ') || 'no hosts'}.`,
        action: 'Choose one of these, or add a host.',
        field: 'host',
      });
    return h;
  }
  #domainsOn(name: string): LabDomain[] {
    return [...this.domains.values()].filter((d) => d.host === name);
  }
  #needEmpty(name: string, verb: string): void {
    const on = this.#domainsOn(name);
    if (on.length)
      throw new BulkheadError({
        code: 'host-busy',
        what: `${name} cannot be ${verb}.`,
        why: `It has ${on.length === 1 ? 'a domain' : `${on.length} domains`}: ${on.map((d) => d.spec.name).join(', ')}.`,
        action: 'Destroy or move its domains first.',
      });
  }
  async editHost(name: string, spec: HostSpec): Promise<void> {
    const host = this.#host(name);
    if (spec.name !== name && this.#hosts.has(spec.name)) throw nameTaken('host', spec.name);
    this.#needEmpty(name, 'changed');
    await this.#atBoundary(async () => {
      this.#hosts.delete(name);
      await host.proxy.end();
      await this.#startHost(spec);
      this.#event('host-edited', `${spec.name} changed`, { host: spec.name });
    });
    await this.refresh();
  }
  async removeHost(name: string): Promise<void> {
    const host = this.#host(name);
    this.#needEmpty(name, 'removed');
    await this.#atBoundary(async () => {
      this.#hosts.delete(name);
      await host.proxy.end();
      this.#event('host-removed', `${name} removed`, {});
    });
    this.onChanged();
  }
  editLink(spec: LinkSpec): void {
    this.link = spec;
    this.#event('link-edited', 'Link changed', {});
    this.onChanged();
  }

  // ---- domains

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
  /** Asks a domain's host about it. A domain that is no longer on its host is never asked for by its old number: another may have it. */
  async #callOn<C extends DomainCall>(
    d: LabDomain,
    call: C,
    args: Omit<HostCalls[C]['args'], 'domid'>,
  ): Promise<HostCalls[C]['result']> {
    if (d.domid < 0 || d.status.state === 'lost')
      throw new BulkheadError({
        code: 'not-possible-now',
        what: `${d.spec.name} is not on ${d.host} any more.`,
        why: d.status.reason ?? 'It was not built.',
        action: 'Restart it, or destroy it.',
      });
    return this.#host(d.host).proxy.call(call, { ...args, domid: d.domid } as unknown as HostCalls[C]['args']);
  }
  findDomain(name: string): LabDomain | undefined {
    for (const d of this.domains.values()) if (d.spec.name === name) return d;
    return undefined;
  }
  /** `base`, or `base-2`, `base-3` ... : the first that no domain has. */
  freeName(base: string): string {
    for (let n = 1; ; n++) {
      const name = n === 1 ? base : `${base}-${n}`;
      if (!this.findDomain(name)) return name;
    }
  }

  /** Why a domain of this size and mode cannot be created on each host, as sentences. */
  refusals(mode: string, memoryMiB: number): Record<string, string> {
    const result: Record<string, string> = {};
    for (const [name, h] of this.#hosts) {
      const on = this.#domainsOn(name).filter(isOnHost);
      const free = Math.floor(h.report?.freeMiB ?? h.spec.memoryMiB);
      if (h.state !== 'running') result[name] = 'it is not running';
      else if (on.some((d) => d.spec.mode === 'native')) result[name] = 'a native kernel has this whole host';
      else if (mode === 'native' && on.length) result[name] = 'a native kernel needs an empty host';
      else if (memoryMiB > free) result[name] = `needs ${memoryMiB} MiB, ${free} free`;
    }
    return result;
  }

  async createDomain(
    hostName: string,
    spec: DomainSpec,
    keep: { uuid?: string; colour?: number } = {},
  ): Promise<string> {
    this.#host(hostName);
    const namesake = this.findDomain(spec.name);
    if (namesake && namesake.uuid !== keep.uuid) throw nameTaken('domain', spec.name);
    const refusal = this.refusals(spec.mode, spec.memoryMiB)[hostName];
    if (refusal)
      throw new BulkheadError({
        code: refusal.startsWith('needs ') ? 'not-enough-memory' : 'host-busy',
        what: `${spec.name} cannot be created on ${hostName}.`,
        why: `${refusal[0]!.toUpperCase()}${refusal.slice(1)}.`,
        action: refusal.startsWith('needs ')
          ? 'Give it less memory, or free some on the host.'
          : 'Choose another host.',
        field: 'host',
      });
    const uuid = keep.uuid ?? randomUUID();
    return this.#task(`Create ${spec.name}`, uuid, async (task) => {
      const before = this.domains.get(uuid);
      task.phase = 'reading kernel';
      const files = await this.#readFiles(spec);
      task.phase = 'building';
      this.onChanged();
      const domain: LabDomain = {
        uuid,
        spec,
        host: hostName,
        domid: -1,
        colour: keep.colour ?? this.#nextColour++,
        createdAt: this.clock.now,
        console: before?.console ?? new ConsoleLog(),
        samples: [{ at: this.clock.now, cpuNs: 0 }],
        status: {
          uuid,
          name: spec.name,
          host: hostName,
          domid: -1,
          colour: 0,
          mode: spec.mode,
          bits: null,
          state: 'building',
          reason: null,
          vcpus: spec.vcpus,
          memoryMiB: spec.memoryMiB,
          createdAt: this.clock.now,
          cpuNs: 0,
          cpuPercent: 0,
          consoleBytes: 0,
        },
      };
      domain.status.colour = domain.colour;
      this.domains.set(uuid, domain);
      try {
        await this.#atBoundary(async () => {
          await this.#build(domain, files);
          this.#event('domain-created', `${spec.name} created`, domain);
        });
      } catch (e) {
        if (before) this.domains.set(uuid, before);
        else this.domains.delete(uuid);
        throw e;
      }
      this.#command();
      await this.refresh();
      return uuid;
    });
  }

  async #readFiles(spec: DomainSpec): Promise<CarriedFiles> {
    const files: CarriedFiles = { kernel: await this.#readFile(spec.kernel, 'kernel') };
    if (spec.mode !== 'native') files.kernel = await prepareKernel(files.kernel);
    if (spec.ramdisk) files.ramdisk = await this.#readFile(spec.ramdisk, 'ramdisk');
    return files;
  }

  /** Builds a domain on its host, between two epochs. */
  async #build(domain: LabDomain, files: CarriedFiles): Promise<void> {
    const host = this.#host(domain.host);
    const { uuid, spec, colour } = domain;
    host.early = [];
    domain.domid = domain.status.domid = await host.proxy.call('createDomain', { spec, files });
    for (const { domid, bytes } of host.early.splice(0)) if (domid === domain.domid) this.#print(domain, bytes);
    domain.createdAt = domain.status.createdAt = this.clock.now;
    domain.samples = [{ at: this.clock.now, cpuNs: 0 }];
    domain.status.state = 'running';
    domain.status.reason = null;
    this.onJournal({ at: this.clock.now, kind: 'create', data: { uuid, host: domain.host, colour, spec } });
  }

  /** A guest that shut down to reboot boots again in its place, before the next epoch (xl.cfg's on_reboot="restart"). */
  async #reboot(domain: LabDomain): Promise<void> {
    if (this.domains.get(domain.uuid) !== domain || domain.status.state !== 'shutdown') return;
    try {
      await this.#callOn(domain, 'destroyDomain', {});
      domain.domid = -1;
      await this.#build(domain, await this.#readFiles(domain.spec));
      this.#event('domain-created', `${domain.spec.name} rebooted`, domain);
    } catch (e) {
      const { what, why } = toSentences(e);
      domain.domid = -1;
      domain.status.reason = `It shut down to reboot and could not be built again. ${what} ${why}`.trim();
    }
  }

  async #readFile(path: string, field: string): Promise<Uint8Array> {
    try {
      return await this.#readKernel(path);
    } catch (e) {
      if (e instanceof BulkheadError) throw e;
      throw new BulkheadError({
        code: 'file-missing',
        what: `The ${field} ${path} cannot be read.`,
        why: (e as Error).message,
        action: 'Check the path and its permissions.',
        field,
      });
    }
  }

  async pauseDomain(uuid: string): Promise<void> {
    const d = this.domain(uuid);
    await this.#atBoundary(async () => {
      await this.#callOn(d, 'pauseDomain', {});
      this.#event('domain-paused', `${d.spec.name} paused`, d);
    });
    this.#command();
    await this.refresh();
  }
  async unpauseDomain(uuid: string): Promise<void> {
    const d = this.domain(uuid);
    await this.#atBoundary(async () => {
      await this.#callOn(d, 'unpauseDomain', {});
      this.#event('domain-unpaused', `${d.spec.name} runs on`, d);
    });
    this.#command();
    await this.refresh();
  }
  async shutdownDomain(uuid: string, reason: 'poweroff' | 'reboot'): Promise<void> {
    const d = this.domain(uuid);
    await this.#atBoundary(() => this.#callOn(d, 'shutdownDomain', { reason }));
    this.#command();
  }
  async destroyDomain(uuid: string): Promise<void> {
    const d = this.domain(uuid);
    await this.#atBoundary(async () => {
      if (d.status.state !== 'lost' && d.domid >= 0)
        await this.#host(d.host).proxy.call('destroyDomain', { domid: d.domid });
      this.domains.delete(uuid);
      this.#destroyed.push({ spec: d.spec, host: d.host, uuid, colour: d.colour, commands: 0 });
      this.#event('domain-destroyed', `${d.spec.name} destroyed`, d);
      this.onJournal({ at: this.clock.now, kind: 'destroy', data: { uuid } });
    });
    this.#command();
    await this.refresh();
  }
  /** Boots a domain again from its kernel, in its place, whatever state it is in. Its console goes on. */
  async restartDomain(uuid: string): Promise<void> {
    const d = this.domain(uuid);
    if (d.status.state !== 'lost' && d.domid >= 0)
      await this.#atBoundary(async () => {
        await this.#host(d.host).proxy.call('destroyDomain', { domid: d.domid });
        d.domid = -1;
        d.status.state = 'lost';
        d.status.reason = 'It is being restarted.';
      });
    await this.refresh();
    await this.createDomain(d.host, d.spec, { uuid, colour: d.colour });
  }
  renameDomain(uuid: string, name: string): void {
    const d = this.domain(uuid);
    const other = this.findDomain(name);
    if (other && other !== d) throw nameTaken('domain', name);
    const old = d.spec.name;
    d.spec = { ...d.spec, name };
    d.status.name = name;
    this.#event('domain-renamed', `${old} is now ${name}`, d);
    this.onJournal({ at: this.clock.now, kind: 'rename', data: { uuid, name } });
    this.#command();
    this.onChanged();
  }
  async typeConsole(uuid: string, bytes: Uint8Array): Promise<void> {
    const d = this.domain(uuid);
    await this.#atBoundary(async () => {
      await this.#callOn(d, 'consoleInput', { bytes });
      this.onJournal({
        at: this.clock.now,
        kind: 'type',
        data: { uuid, bytes: Buffer.from(bytes).toString('base64') },
      });
    });
  }
  async figures(uuid: string): Promise<Figures> {
    const d = this.domain(uuid);
    return this.#callOn(d, 'figures', {});
  }
  async digest(): Promise<string[]> {
    return Promise.all([...this.#hosts.values()].map((h) => h.proxy.call('digest', {})));
  }

  // ---- undo

  #command(): void {
    for (const d of this.#destroyed) d.commands++;
    this.#destroyed = this.#destroyed.filter((d) => d.commands <= UNDO_COMMANDS);
  }
  get undoable(): string | null {
    return this.#destroyed.at(-1)?.spec.name ?? null;
  }
  /**
   * Reverses the last destroy: the domain is created again from its spec with its name, uuid and colour. It starts from its kernel:
   * its memory is not kept (that comes with save and restore).
   */
  async undo(): Promise<string> {
    const last = this.#destroyed.pop();
    if (!last)
      throw new BulkheadError({
        code: 'not-possible-now',
        what: 'There is nothing to undo.',
        why: 'No domain was destroyed, or too many commands have followed.',
        action: 'Create the domain again from the shelf.',
      });
    try {
      const spec = { ...last.spec, name: this.freeName(last.spec.name) };
      return await this.createDomain(last.host, spec, last);
    } catch (e) {
      this.#destroyed.push(last);
      throw e;
    }
  }

  // ---- persistence

  toSaved(): SavedLab {
    return {
      name: this.name,
      seed: this.seed,
      now: this.clock.now,
      link: this.link,
      hosts: [...this.#hosts.values()].map((h) => h.spec),
      domains: [...this.domains.values()].map((d) => ({
        uuid: d.uuid,
        spec: d.spec,
        host: d.host,
        colour: d.colour,
        createdAt: d.createdAt,
        state: d.status.state,
        reason: d.status.reason,
      })),
    };
  }

  /**
   * Takes over what a lab file holds. Domains that ran are shown as stopped: their memory is not in the file.
   * @throws what starting a host throws
   */
  async restore(saved: OpenedLab): Promise<void> {
    const { lab, events, consoles } = saved;
    this.name = lab.name;
    this.link = lab.link;
    this.clock.startAt(lab.now);
    this.events.push(...events);
    this.#nextEvent = (events.at(-1)?.id ?? 0) + 1;
    for (const spec of lab.hosts) await this.#startHost(spec, lab.now);
    for (const d of lab.domains) {
      const log = new ConsoleLog();
      const kept = consoles.get(d.uuid);
      if (kept) log.restore(kept.bytes, kept.end);
      const ended = d.state === 'shutdown' || d.state === 'crashed' || d.state === 'lost';
      this.domains.set(d.uuid, {
        uuid: d.uuid,
        spec: d.spec,
        host: d.host,
        domid: -1,
        colour: d.colour,
        createdAt: d.createdAt,
        console: log,
        samples: [],
        status: {
          uuid: d.uuid,
          name: d.spec.name,
          host: d.host,
          domid: -1,
          colour: d.colour,
          mode: d.spec.mode,
          bits: null,
          state: ended ? d.state : 'shutdown',
          reason: ended ? d.reason : 'It stopped when the lab was closed. Restart it to boot it again.',
          vcpus: d.spec.vcpus,
          memoryMiB: d.spec.memoryMiB,
          createdAt: d.createdAt,
          cpuNs: 0,
          cpuPercent: 0,
          consoleBytes: log.end,
        },
      });
      this.#nextColour = Math.max(this.#nextColour, d.colour + 1);
    }
    await this.refresh();
  }

  async close(): Promise<void> {
    await this.clock.pause();
    await Promise.all([...this.#hosts.values()].map((h) => h.proxy.end()));
  }
}

/** Whether its host knows it: not when it was lost, or stopped with the lab and was not booted again. */
const isOnHost = (d: LabDomain): boolean =>
  d.status.state === 'building' || (d.domid >= 0 && d.status.state !== 'lost');

/** Takes a sample and gives the share of one pCPU over the last second of lab time (or since there are samples), in percent. */
function cpuPercent(samples: { at: number; cpuNs: number }[], latest: { at: number; cpuNs: number }): number {
  if (samples.at(-1)?.at === latest.at) samples.pop();
  samples.push(latest);
  while (samples.length > 2 && samples[1]!.at <= latest.at - NS_PER_SECOND) samples.shift();
  const first = samples[0]!;
  return latest.at > first.at ? (100 * (latest.cpuNs - first.cpuNs)) / (latest.at - first.at) : 0;
}

function nameTaken(kind: string, name: string): BulkheadError {
  return new BulkheadError({
    code: 'name-taken',
    what: `The name ${name} is taken.`,
    why: `Another ${kind} of this lab has it.`,
    action: 'Choose another name.',
    field: 'name',
  });
}
