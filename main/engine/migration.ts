// Live migration in the lab: checks, runs, and the handover between two hosts. Each run is driven at the borders of epochs: bytes leave the
// source's end at the link's rate, arrive at the target's end after its latency, and the acknowledgement takes the same way back.
// Invariant (two-phase handover): the source keeps its domain, suspended, until the target's runs; whatever is lost before that moment, the
// source's domain goes on; whatever is lost after it, the target's does. The moment lies between two epochs, so no guest runs in it.

import { existsSync } from 'node:fs';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import { MigrationPolicy, type MigrationPrediction, type MigrationReport } from '../../shared/migration-service.ts';
import { PRESETS, predict } from '../toolstack/migration/policy.ts';
import { frameNs, tcpRate } from './link.ts';
import type { Lab } from './lab.ts';
import { DiskCopies } from './disk-copies.ts';
import type { LabDomain } from './lab-domain.ts';
import { doneSentence, type MigrationRun, newReport, phaseOf, takeSenderReport } from './migration-run.ts';

/** Length of the announcement of an address, bytes. */
const ANNOUNCEMENT = 60;

/** Where a run is, for tests that make something fail there. `round` counts from 1. */
export type MigrationPoint =
  'started' | 'live' | 'suspending' | 'last-pages' | 'sent' | 'complete' | 'handover' | 'activated';

export interface StartOptions {
  uuid: string;
  to: string;
  policy?: MigrationPolicy | undefined;
  disks?: Record<string, 'shared' | 'copy'>;
}

export class Migrations {
  readonly #lab: Lab;
  readonly #runs = new Map<number, MigrationRun>();
  readonly #reports: MigrationReport[] = [];
  #turning: Promise<void> = Promise.resolve();
  readonly #copies = new DiskCopies();
  readonly #listeners = new Set<() => void>();
  /** When nothing moved over the link for so long, the connection is given up; virtual ns. */
  giveUpNs = 10e9;
  /** Tests only: called when a run gets to a point; what it does (losing a host, cutting the link) happens there. */
  onPoint: ((point: MigrationPoint, round: number, run: MigrationRun) => void | Promise<void>) | null = null;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Some run is under way: the borders of epochs matter. */
  get active(): boolean {
    return this.#runs.size > 0;
  }
  /** Every run, oldest first. */
  get reports(): readonly MigrationReport[] {
    return this.#reports;
  }
  report(id: number): MigrationReport {
    const r = this.#reports.find((x) => x.id === id);
    if (!r)
      throw new BulkheadError({
        code: 'not-found',
        what: `There is no migration ${id}.`,
        why: 'None of this lab has that number.',
        action: 'Choose one from the list.',
      });
    return r;
  }
  /** Told when any report changed. @returns how to stop */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  isMoving(uuid: string): boolean {
    return [...this.#runs.values()].some((r) => r.domain.uuid === uuid);
  }

  // ---- before

  /** Why this domain cannot go there now, as sentences; null = it can. */
  refusal(d: LabDomain, to: string, disks: Record<string, 'shared' | 'copy'> = {}): BulkheadError | null {
    const lab = this.#lab;
    const no = (why: string, action: string, code: 'not-possible-now' | 'not-supported' = 'not-possible-now') =>
      new BulkheadError({ code, what: `${d.spec.name} cannot be migrated to ${to}.`, why, action });
    if (to === d.host) return no(`It is on ${to} already.`, 'Choose another host.');
    lab.hosts.get(to);
    if (d.spec.mode === 'native')
      return no(
        'A native kernel has the machine itself; there is no hypervisor that could read it out.',
        'Run the guest as a domain (PV or PVH).',
        'not-supported',
      );
    const { state } = d.status;
    if (state === 'paused') return no('It is paused, and a paused guest cannot suspend itself.', 'Unpause it first.');
    if (state !== 'running' && state !== 'blocked')
      return no(`It is ${state === 'shutdown' ? 'shut down' : state}.`, 'Start it first.');
    if (lab.savings.isSaving(d.uuid)) return no('It is being saved or cloned.', 'Wait for that to end.');
    if (this.isMoving(d.uuid))
      return no('It is being migrated already.', 'Wait for that migration to end, or abort it.');
    const refusal = lab.hosts.refusals(d.spec.mode, d.spec.memoryMiB)[to];
    if (refusal)
      return no(
        `On ${to}: ${refusal}.`,
        refusal.startsWith('needs ') ? `Free memory on ${to}, or give it more.` : 'Choose another host.',
      );
    const [a, b] = [lab.hosts.get(d.host).spec, lab.hosts.get(to).spec];
    if (a.clockMHz !== b.clockMHz)
      return no(
        `${a.name} runs at ${a.clockMHz} MHz and ${b.name} at ${b.clockMHz} MHz; the guest has taken its CPU's clock for constant.`,
        `Give ${to} the same clock rate while it is empty.`,
      );
    const unknown = Object.keys(disks).find((vdev) => !d.spec.disks.some((x) => x.vdev === vdev));
    if (unknown !== undefined) return no(`It has no disk ${unknown}.`, 'Name one of its disks.');
    for (const disk of d.spec.disks) {
      if (disks[disk.vdev] === 'copy') {
        const path = this.#copies.pathOn(disk.path, to, this.#hostNames());
        if (!this.#copies.mayWrite(path))
          return no(
            `The copy of its disk ${disk.vdev} would overwrite ${path}.`,
            'Move that file away, or share the disk between the hosts.',
          );
      }
      if (!existsSync(disk.path))
        return no(`${to} cannot open its disk ${disk.vdev} (${disk.path}).`, 'Put the image back.');
    }
    return null;
  }

  predict(uuid: string, to: string): MigrationPrediction {
    const d = this.#lab.domain(uuid);
    const refusal = this.refusal(d, to);
    if (refusal) {
      const { why, action } = refusal.sentences;
      return { refusal: `${why} ${action}`, totalNs: null, downtimeNs: null, bytes: null };
    }
    const { link } = this.#lab;
    const rate = tcpRate(link);
    if (rate <= 0)
      return { refusal: 'The link loses everything. Repair it first.', totalNs: null, downtimeNs: null, bytes: null };
    // the latest run of this domain says how it writes
    const last = this.#reports
      .filter((r) => r.uuid === uuid)
      .at(-1)
      ?.rounds.findLast((r) => !r.final && r.durationNs > 0);
    const pages = d.status.memoryMiB * 256;
    return {
      refusal: null,
      ...predict(PRESETS['xen-today'], [], {
        pages,
        memoryPages: pages,
        dirtyPerNs: last ? last.pagesDirtied / last.durationNs : null,
        linkBytesPerNs: rate,
        latencyNs: link.latencyUs * 1000,
        stateBytes: 16 * 1024,
      }),
    };
  }

  /**
   * Begins a migration.
   * @returns its number, and how it ends: without an error once the domain runs on the other host
   * @throws BulkheadError when it cannot begin
   */
  async start(options: StartOptions): Promise<{ id: number; ended: Promise<void> }> {
    const lab = this.#lab;
    const policy = MigrationPolicy.parse(options.policy ?? PRESETS['xen-today']);
    await lab.refresh();
    const d = lab.domain(options.uuid);
    const check = (): void => {
      const refusal = this.refusal(d, options.to, options.disks);
      if (refusal) throw refusal;
    };
    check();
    return new Promise((resolve, reject) => {
      const ended = lab.tasks.run(`Migrate ${d.spec.name} to ${options.to}`, d.uuid, async (running) => {
        await new Promise<void>((done, failed) => {
          const end = (error: Error | null): void => (error ? failed(error) : done());
          lab
            .atBoundary(async () => {
              check();
              await this.#begin(d, options, policy, running, end);
              resolve({ id: running.task.id, ended });
            })
            .catch(failed);
        });
      });
      // who only wanted to start it is told of its end by the tape and the task
      ended.catch(reject);
    });
  }

  async #begin(
    d: LabDomain,
    options: StartOptions,
    policy: MigrationPolicy,
    running: MigrationRun['running'],
    end: MigrationRun['end'],
  ): Promise<void> {
    const lab = this.#lab;
    const now = lab.clock.now;
    const { id } = running.task;
    const { to } = options;
    const latencyNs = lab.link.latencyUs * 1000;
    const { spec, copied } = this.#copies.specOn(d.spec, to, this.#hostNames(), options.disks ?? {});
    const run: MigrationRun = {
      id,
      domain: d,
      from: lab.hosts.get(d.host),
      to: lab.hosts.get(to),
      running,
      report: newReport(id, d, to, policy, lab.link, now),
      latencyNs,
      spec,
      copied,
      wallStart: performance.now(),
      end,
      drivenTo: now,
      inFlight: [],
      allSent: false,
      completeAt: null,
      movedAt: now,
      point: '',
    };
    let sender;
    try {
      for (const n of copied) this.#copies.make(d.spec.disks[n]!.path, spec.disks[n]!.path);
      sender = await run.from.proxy.call('migrationSend', { id, domid: d.domid, policy, latencyNs, copied });
      await run.to.proxy.call('migrationReceive', { id, name: d.spec.name, spec, copied });
    } catch (error) {
      this.#dropCopies(run);
      if (sender) await run.from.proxy.call('migrationRollBack', { id });
      throw error;
    }
    takeSenderReport(run.report, sender, now);
    this.#reports.push(run.report);
    this.#runs.set(id, run);
    running.cancellable(true);
    // aborting does not wait for a clock that stands still
    running.signal.addEventListener('abort', () => void lab.clock.settle());
    running.report(phaseOf(run.report), 0);
    lab.tape.note('migration-started', `${d.spec.name} migrating from ${d.host} to ${to}`, d);
    await this.#reach(run, 'started');
    this.#changed();
  }

  // ---- while it runs

  /** Drives every run up to lab time `now`; between epochs only. */
  turn(now: number): Promise<void> {
    this.#turning = this.#turning.then(async () => {
      if (!this.#runs.size) return;
      const runs = [...this.#runs.values()];
      const out = (run: MigrationRun): number => runs.filter((r) => r.from === run.from && !r.allSent).length;
      const into = (run: MigrationRun): number => runs.filter((r) => r.to === run.to && !r.allSent).length;
      for (const run of runs) {
        const ns = now - run.drivenTo;
        const rate = this.#lab.network.migrationRate(run.report.from, ns, out(run), into(run));
        await this.#drive(run, now, rate);
      }
      this.#lab.network.sharing();
      this.#changed();
    });
    return this.#turning;
  }

  async #drive(run: MigrationRun, now: number, rate: number): Promise<void> {
    try {
      if (run.running.signal.aborted) throw run.running.signal.reason;
      if (this.#lab.domains.get(run.report.uuid) !== run.domain)
        throw new BulkheadError({
          code: 'not-possible-now',
          what: `${run.report.name} was destroyed during its migration.`,
          why: 'You asked for it.',
          action: 'Nothing needs to be done.',
        });
      if (!this.#isUp(run.to)) throw lost(run.report.to, 'the domain stays where it is');
      const sourceUp = this.#isUp(run.from);
      if (!sourceUp && run.completeAt === null) throw lost(run.report.from, 'the domain was lost with it');
      await this.#deliver(run, now);
      if (now > run.drivenTo && sourceUp && !run.allSent) await this.#send(run, now, rate);
      run.drivenTo = now;
      if (run.completeAt !== null && (now >= run.completeAt + run.latencyNs || !sourceUp))
        await this.#handOver(run, now);
      else if (now - run.movedAt > this.giveUpNs)
        throw new BulkheadError({
          code: 'not-possible-now',
          what: 'The connection between the hosts broke.',
          why: `Nothing crossed the link for ${this.giveUpNs / 1e9} s of lab time.`,
          action: 'Repair the link, then start the migration again.',
        });
    } catch (error) {
      await this.#fail(run, error, now);
    }
  }

  #hostNames(): string[] {
    return this.#lab.hosts.all().map((h) => h.spec.name);
  }
  #dropCopies(run: MigrationRun): void {
    for (const n of run.copied) this.#copies.drop(run.spec.disks[n]!.path);
  }

  #isUp(host: MigrationRun['from']): boolean {
    return host.state === 'running' && this.#lab.hosts.all().includes(host);
  }

  /** What has arrived goes to the target. */
  async #deliver(run: MigrationRun, now: number): Promise<void> {
    const due = run.inFlight.filter((c) => c.at <= now);
    if (!due.length) return;
    run.inFlight = run.inFlight.filter((c) => c.at > now);
    run.movedAt = now;
    const pieces = due.map((c) => c.bytes);
    const complete = await run.to.proxy.call(
      'migrationFeed',
      { id: run.id, pieces },
      pieces.map((p) => p.buffer),
    );
    if (!complete) return;
    run.completeAt = due.at(-1)!.at;
    run.report.state = 'resuming';
    // from here on the target has everything: the lab decides, not the user
    run.running.cancellable(false);
    await this.#reach(run, 'complete');
  }

  /** The link was the run's for a while: what the source sent in it is on its way. */
  async #send(run: MigrationRun, now: number, bytesPerNs: number): Promise<void> {
    const before = run.report.rounds.length;
    const { chunks, report } = await run.from.proxy.call('migrationTurn', {
      id: run.id,
      from: run.drivenTo,
      to: now,
      bytesPerNs,
    });
    for (const { at, bytes } of chunks) {
      run.inFlight.push({ at: at + run.latencyNs, bytes });
      this.#lab.network.traffic.note(run.report.from, 'migrations', bytes.length);
    }
    run.allSent = report.phase === 'sent';
    if (chunks.length || report.phase === 'suspending') run.movedAt = now;
    takeSenderReport(run.report, report, now);
    for (const round of run.report.rounds.slice(before))
      if (!round.final)
        this.#lab.tape.note(
          'migration-round',
          `${run.report.name}: round ${round.round} sent ${round.pagesSent} pages, ${round.pagesDirtied} were dirtied meanwhile`,
          run.domain,
          now,
        );
    run.running.report(phaseOf(run.report), run.report.progress);
    const { suspendAskedAt: asked, suspendedAt, lastPageAt, stateSentAt } = report;
    run.report.downtime =
      asked !== null && suspendedAt !== null && lastPageAt !== null && stateSentAt !== null
        ? {
            suspendNs: suspendedAt - asked,
            lastPagesNs: lastPageAt - suspendedAt,
            stateNs: stateSentAt + run.latencyNs - lastPageAt,
            resumeNs: 0,
            networkNs: 0,
            totalNs: stateSentAt + run.latencyNs - asked,
          }
        : null;
    if (report.phase === 'failed')
      throw new BulkheadError({
        code: 'guest-refused',
        what: `The guest of ${run.report.name} did not come along.`,
        why: report.failure ?? '',
        action: 'Look at its console.',
      });
    await this.#reach(run, report.phase === 'state' ? 'last-pages' : report.phase);
  }

  /** The acknowledgement is back: the target's domain runs, the source's ends. */
  async #handOver(run: MigrationRun, now: number): Promise<void> {
    const lab = this.#lab;
    const { report, domain } = run;
    await this.#reach(run, 'handover');
    const domid = await run.to.proxy.call('migrationActivate', { id: run.id });
    // this is the moment: from here on the target's is the domain
    this.#runs.delete(run.id);
    domain.host = domain.status.host = report.to;
    // renamed meanwhile: the name is the lab's
    domain.spec = { ...domain.spec, disks: run.spec.disks };
    domain.domid = domain.status.domid = domid;
    domain.status.state = 'running';
    domain.status.reason = null;
    domain.samples = [{ at: now, cpuNs: 0 }];
    lab.onJournal({ at: now, kind: 'migrate', data: { uuid: domain.uuid, host: report.to } });
    await this.#reach(run, 'activated');
    if (this.#isUp(run.from))
      // its host may die at this very moment: then there is nothing left to end; one that cannot end it is lost, so that no second copy lives
      await run.from.proxy.call('migrationRelease', { id: run.id }).catch((e: unknown) => {
        const s = toSentences(e);
        if (s.code !== 'host-lost') run.from.proxy.giveUp(s);
      });
    if (report.downtime) {
      report.downtime.resumeNs = now - run.completeAt!;
      report.downtime.networkNs = domain.spec.nics.length ? run.latencyNs + frameNs(lab.link, ANNOUNCEMENT) : 0;
      const { suspendNs, lastPagesNs, stateNs, resumeNs, networkNs } = report.downtime;
      report.downtime.totalNs = suspendNs + lastPagesNs + stateNs + resumeNs + networkNs;
    }
    this.#close(run, now, 'done');
    lab.tape.note('migration-done', doneSentence(report), domain, now);
    run.end(null);
  }

  async #fail(run: MigrationRun, error: unknown, now: number): Promise<void> {
    const lab = this.#lab;
    const { report, id } = run;
    this.#runs.delete(id);
    // an end that is gone has nothing to undo; one that cannot undo it is in doubt, and is lost loudly by its own proxy
    for (const [host, call] of [
      [run.to, 'migrationAbandon'],
      [run.from, 'migrationRollBack'],
    ] as const)
      if (this.#isUp(host))
        await host.proxy.call(call, { id }).catch((e: unknown) => {
          const s = toSentences(e);
          if (s.code !== 'host-lost') host.proxy.giveUp(s);
        });
    this.#dropCopies(run);
    const s = toSentences(error);
    const aborted = s.code === 'cancelled';
    const where = this.#isUp(run.from) && lab.domains.get(report.uuid) === run.domain;
    const rest = !where
      ? ''
      : run.domain.status.state === 'crashed' || run.domain.status.state === 'shutdown'
        ? ` ${report.name} is still on ${report.from}.`
        : ` ${report.name} still runs on ${report.from}.`;
    report.failure = aborted ? `Migration aborted.${rest}` : `${s.what} ${s.why}${rest}`.trim();
    this.#close(run, now, aborted ? 'aborted' : 'failed');
    lab.tape.note(
      aborted ? 'migration-aborted' : 'migration-failed',
      aborted ? report.failure : `Migration of ${report.name} to ${report.to} failed. ${report.failure}`,
      where ? run.domain : { host: report.from },
      now,
    );
    run.end(error instanceof Error ? error : new Error(String(error)));
  }

  #close(run: MigrationRun, now: number, state: 'done' | 'failed' | 'aborted'): void {
    const { report } = run;
    report.state = state;
    report.endedAt = now;
    report.totalNs = now - report.startedAt;
    report.wallMs = performance.now() - run.wallStart;
    if (state === 'done') report.progress = 1;
    else report.downtime = null;
    this.#lab.hosts.stateChanged = true;
    this.#changed();
  }

  async #reach(run: MigrationRun, point: MigrationPoint | 'failed'): Promise<void> {
    const round = run.report.rounds.length + 1;
    const key = `${point} ${round}`;
    if (run.point === key || point === 'failed') return;
    run.point = key;
    await this.onPoint?.(point, round, run);
  }

  #changed(): void {
    this.#lab.onChanged();
    for (const listener of this.#listeners) listener();
  }
}

function lost(host: string, rest: string): BulkheadError {
  return new BulkheadError({
    code: 'host-lost',
    what: `The host ${host} stopped.`,
    why: `Its thread ended during the migration; ${rest}.`,
    action: 'It was started again, empty.',
  });
}
