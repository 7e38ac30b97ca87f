// The lab's hosts: their worker threads, what they last reported, adding, changing and removing them, and what happens when one dies.
// Invariant: a domain that is no longer on its host is never asked for by its old number: another may have it.

import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { DomainSpec, HostSpec, HostStatus } from '../../shared/model.ts';
import { LIMITS } from '../../shared/model.ts';
import type { HostCalls, HostReport } from './host-messages.ts';
import { HostProxy, type SpawnWorker } from './host-proxy.ts';
import type { Lab } from './lab.ts';
import { cpuPercent, isOnHost, type LabDomain } from './lab-domain.ts';
import { nameTaken } from './names.ts';

/** Calls about one domain. */
export type DomainCall = {
  [C in keyof HostCalls]: HostCalls[C]['args'] extends { domid: number } ? C : never;
}[keyof HostCalls];

export interface LabHost {
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
  /** Domains that have been seen on it, by number: what its trace and schedule still speak of. */
  seen: Map<number, string>;
}

export class Hosts {
  readonly #lab: Lab;
  readonly #spawn: SpawnWorker;
  readonly #hosts = new Map<string, LabHost>();
  /** Every host records its trace, also one that joins or starts again later. */
  tracing = false;
  /** A domain's state changed since the last refresh: it is noted in its own epoch. */
  stateChanged = false;

  constructor(lab: Lab, spawn: SpawnWorker) {
    this.#lab = lab;
    this.#spawn = spawn;
  }

  all(): LabHost[] {
    return [...this.#hosts.values()];
  }
  running(): LabHost[] {
    return this.all().filter((h) => h.state === 'running');
  }
  /** @throws BulkheadError not-found */
  get(name: string): LabHost {
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
  domainsOn(name: string): LabDomain[] {
    return [...this.#lab.domains.values()].filter((d) => d.host === name);
  }
  /** The domain that has this number on this host now. */
  byDomid(host: string, domid: number): LabDomain | undefined {
    for (const d of this.#lab.domains.values())
      if (d.host === host && d.domid === domid && d.status.state !== 'lost') return d;
    return undefined;
  }

  /** The domain that has or had this number on a host; null when it was never seen. */
  uuidOf(h: LabHost, domid: number): string | null {
    return this.byDomid(h.spec.name, domid)?.uuid ?? h.seen.get(domid) ?? null;
  }
  /** Every number that a domain has or had on a host. */
  domidsOf(h: LabHost, uuid: string): number[] {
    const d = this.#lab.domains.get(uuid);
    const known = [...h.seen].filter(([, u]) => u === uuid).map(([domid]) => domid);
    return d && d.host === h.spec.name && d.domid >= 0 && !known.includes(d.domid) ? [...known, d.domid] : known;
  }

  /** Asks a domain's host about it. @throws BulkheadError not-possible-now when it is not on its host */
  async callOn<C extends DomainCall>(
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
    return this.get(d.host).proxy.call(call, { ...args, domid: d.domid } as unknown as HostCalls[C]['args']);
  }

  // ---- what is shown

  statuses(): HostStatus[] {
    return this.all().map((h) => ({
      spec: h.spec,
      state: h.state,
      reason: h.reason,
      pcpus: h.shares,
      freeMiB: h.report?.freeMiB ?? h.spec.memoryMiB,
      memory: (h.report?.memory ?? []).map((m) => ({
        owner: typeof m.owner === 'number' ? (this.byDomid(h.spec.name, m.owner)?.uuid ?? 'hypervisor') : m.owner,
        firstFrame: m.firstFrame,
        frames: m.frames,
      })),
      native: this.domainsOn(h.spec.name).some((d) => isOnHost(d) && d.spec.mode === 'native'),
      translatedBytes: h.report?.translation?.bytes,
      translatedLimit: h.report?.translation?.limit,
      translatorFailures: h.report?.translation?.failed,
    }));
  }

  /** Fetches one host's report at lab time `now` and hands every domain's part to `seen`. */
  async fetchReport(
    h: LabHost,
    now: number,
    seen: (d: LabDomain, s: HostReport['domains'][number]) => void,
  ): Promise<void> {
    if (h.state !== 'running') return;
    try {
      h.report = await h.proxy.call('report', {});
    } catch {
      return; // a lost host is told of through its events
    }
    const { report } = h;
    const interval = now - h.reportedAt;
    h.reportedAt = now;
    const here = new Map(this.domainsOn(h.spec.name).flatMap((d) => (d.status.state === 'lost' ? [] : [[d.domid, d]])));
    if (interval > 0)
      h.shares = report.pcpus.map((p) => ({
        running: p.running === null ? null : (here.get(p.running)?.uuid ?? null),
        shares: p.busy.flatMap((b) => {
          const d = here.get(b.domid);
          return d ? [{ uuid: d.uuid, share: Math.min(1, b.ns / interval) }] : [];
        }),
      }));
    for (const s of report.domains) {
      const d = here.get(s.domid);
      if (!d) continue;
      h.seen.set(s.domid, d.uuid);
      d.status.cpuPercent = cpuPercent(d.samples, { at: now, cpuNs: s.cpuNs });
      seen(d, s);
    }
  }

  /** Why a domain of this size and mode cannot be created on each host, as sentences. */
  refusals(mode: DomainSpec['mode'] | string, memoryMiB: number): Record<string, string> {
    const result: Record<string, string> = {};
    for (const [name, h] of this.#hosts) {
      const on = this.domainsOn(name).filter(isOnHost);
      const free = Math.floor(h.report?.freeMiB ?? h.spec.memoryMiB);
      if (h.state !== 'running') result[name] = 'it is not running';
      else if (on.some((d) => d.spec.mode === 'native')) result[name] = 'a native kernel has this whole host';
      else if (mode === 'native' && on.length) result[name] = 'a native kernel needs an empty host';
      else if (memoryMiB > free) result[name] = `needs ${memoryMiB} MiB, ${free} free`;
    }
    return result;
  }

  // ---- adding, changing, removing

  async add(spec: HostSpec): Promise<void> {
    if (this.#hosts.has(spec.name)) throw nameTaken('host', spec.name);
    if (this.#hosts.size >= LIMITS.hosts)
      throw new BulkheadError({
        code: 'not-possible-now',
        what: 'No more hosts can be added.',
        why: `A lab has at most ${LIMITS.hosts} hosts.`,
        action: 'Remove one first.',
      });
    await this.start(spec);
    this.#lab.tape.note('host-added', `${spec.name} added`, { host: spec.name });
    await this.#lab.refresh();
  }

  /** Starts a host's thread at lab time `now`. @throws what its start throws; then it is not among the hosts */
  async start(spec: HostSpec, now = this.#lab.clock.now): Promise<void> {
    const lab = this.#lab;
    const host: LabHost = {
      spec,
      state: 'starting',
      reason: null,
      report: null,
      reportedAt: now,
      early: [],
      seen: new Map(),
      shares: Array.from({ length: spec.pcpus }, () => ({ running: null, shares: [] })),
      proxy: new HostProxy(spec, this.#spawn, {
        console: (domid, bytes) => {
          const d = this.byDomid(spec.name, domid);
          if (d) lab.print(d, bytes);
          else host.early.push({ domid, bytes });
        },
        stateChanged: () => {
          this.stateChanged = true;
          lab.onChanged();
        },
        lost: (reason) => this.#lost(spec.name, reason),
      }),
    };
    this.#hosts.set(spec.name, host);
    try {
      await host.proxy.call('start', { spec, seed: lab.seed });
      if (this.tracing) await host.proxy.call('setTracing', { recording: true });
      // a host that joins later starts at the lab's time
      if (now > 0) await host.proxy.call('advance', { until: now });
    } catch (e) {
      this.#hosts.delete(spec.name);
      await host.proxy.end();
      throw e;
    }
    host.state = 'running';
  }

  #lost(name: string, reason: string): void {
    const host = this.#hosts.get(name);
    if (!host) return;
    host.state = 'lost';
    host.reason = reason;
    for (const d of this.#lab.domains.values())
      if (d.host === name && d.status.state !== 'lost') {
        d.status.state = 'lost';
        d.status.reason = `The host ${name} stopped: ${reason}`;
      }
    this.#lab.tape.note('host-lost', `${name} stopped: ${reason}`, { host: name });
    this.#lab.onChanged();
    void this.start(host.spec).then(
      () => this.#lab.onChanged(),
      () => {},
    );
  }

  #needEmpty(name: string, verb: string): void {
    const on = this.domainsOn(name);
    if (on.length)
      throw new BulkheadError({
        code: 'host-busy',
        what: `${name} cannot be ${verb}.`,
        why: `It has ${on.length === 1 ? 'a domain' : `${on.length} domains`}: ${on.map((d) => d.spec.name).join(', ')}.`,
        action: 'Destroy or move its domains first.',
      });
  }
  async edit(name: string, spec: HostSpec): Promise<void> {
    const host = this.get(name);
    if (spec.name !== name && this.#hosts.has(spec.name)) throw nameTaken('host', spec.name);
    this.#needEmpty(name, 'changed');
    await this.#lab.atBoundary(async () => {
      this.#hosts.delete(name);
      await host.proxy.end();
      await this.start(spec);
      this.#lab.tape.note('host-edited', `${spec.name} changed`, { host: spec.name });
    });
    await this.#lab.refresh();
  }
  async remove(name: string): Promise<void> {
    const host = this.get(name);
    this.#needEmpty(name, 'removed');
    await this.#lab.atBoundary(async () => {
      this.#hosts.delete(name);
      await host.proxy.end();
      this.#lab.tape.note('host-removed', `${name} removed`);
    });
    this.#lab.onChanged();
  }

  /** Runs every host to lab time `until`; resolves with the times before which nothing can happen on each. */
  async advance(until: number): Promise<number[]> {
    const live = this.running();
    const { network } = this.#lab;
    const results = await Promise.allSettled(
      live.map((h) => {
        const frames = network.arrivals(h.spec.name, until);
        return h.proxy.call('advance', frames.length ? { until, frames } : { until });
      }),
    );
    const names = live.map((h) => h.spec.name);
    results.forEach((r, n) => {
      if (r.status === 'fulfilled' && names.length > 1) network.carry(names[n]!, r.value.frames ?? [], names);
    });
    results.forEach((r, n) => {
      if (r.status === 'rejected') live[n]!.proxy.giveUp(toSentences(r.reason));
    });
    return results.map((r) => (r.status === 'fulfilled' ? r.value.idleUntil : Infinity));
  }
  async end(): Promise<void> {
    await Promise.all(this.all().map((h) => h.proxy.end()));
  }
}
