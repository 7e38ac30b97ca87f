// Live migration in the lab: the runs under way and those that have ended. Each run is driven at the borders of epochs: bytes leave the
// source's end at the link's rate, arrive at the target's end after its latency, and the acknowledgement takes the same way back.
// Invariant: a run is driven by one thing at a time, and only between two epochs; how it may end is in migration-ending.ts.

import { BulkheadError } from '../../shared/errors.ts';
import { MigrationPolicy, type MigrationPrediction, type MigrationReport } from '../../shared/migration-service.ts';
import { PRESETS } from '../toolstack/migration/policy.ts';
import { DiskCopies } from './disk-copies.ts';
import type { Lab } from './lab.ts';
import type { LabDomain } from './lab-domain.ts';
import { migrationRefusal, predictMigration } from './migration-checks.ts';
import { fail, handOver, isUp } from './migration-ending.ts';
import { paceOf } from './migration-pace.ts';
import { type MigrationPoint, type MigrationRun, newReport, phaseOf, takeSenderReport } from './migration-run.ts';
import { deliver, send } from './migration-transfer.ts';

export type { MigrationPoint };

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
  /** The person wants the chosen speed back, until no migration is under way. */
  #unslowed = false;
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
    return migrationRefusal(this.#lab, this.#copies, d, to, disks);
  }

  predict(uuid: string, to: string): MigrationPrediction {
    const d = this.#lab.domain(uuid);
    return predictMigration(this.#lab, d, this.refusal(d, to));
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
    /** The last point it was at. */
    let reached = '';
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
      stage: null,
      reach: async (point) => {
        const round = run.report.rounds.length + 1;
        const key = `${point} ${round}`;
        if (reached === key || point === 'failed') return;
        reached = key;
        await this.onPoint?.(point, round, run);
      },
      over: () => {
        this.#runs.delete(id);
        if (!this.#runs.size) this.#unslowed = false;
      },
      changed: () => this.#changed(),
    };
    let sender;
    try {
      for (const n of copied) this.#copies.make(d.spec.disks[n]!, spec.disks[n]!.path);
      sender = await run.from.proxy.call('migrationSend', { id, domid: d.domid, policy, latencyNs, copied });
      await run.to.proxy.call('migrationReceive', { id, name: d.spec.name, spec, copied });
    } catch (error) {
      for (const n of copied) this.#copies.drop(spec.disks[n]!.path);
      if (sender) await run.from.proxy.call('migrationRollBack', { id });
      throw error;
    }
    takeSenderReport(run.report, sender, now);
    this.#reports.push(run.report);
    this.#runs.set(id, run);
    this.#unslowed = false;
    running.cancellable(true);
    // aborting does not wait for a clock that stands still
    running.signal.addEventListener('abort', () => void lab.clock.settle());
    running.report(phaseOf(run.report), 0);
    lab.tape.note('migration-started', `${d.spec.name} migrating from ${d.host} to ${to}`, d);
    await run.reach('started');
    this.#changed();
  }

  // ---- while it runs

  /**
   * Ends the live rounds: what is left when the present round ends is sent with the guest stopped.
   * @throws BulkheadError not-found, not-possible-now when the live rounds are over
   */
  async stopLive(id: number): Promise<void> {
    const lab = this.#lab;
    const report = this.report(id);
    await lab.atBoundary(async () => {
      const run = this.#runs.get(id);
      if (!run || !(await run.from.proxy.call('migrationStopLive', { id })))
        throw new BulkheadError({
          code: 'not-possible-now',
          what: `The live rounds of ${report.name} have ended already.`,
          why: run ? 'It is stopped and copied now.' : 'Its migration has ended.',
          action: 'Nothing needs to be done.',
        });
      report.stopAsked = true;
      lab.onJournal({ at: lab.clock.now, kind: 'stop-and-copy', data: { uuid: report.uuid } });
      this.#changed();
    });
  }

  /** The speed at which what goes on can be seen; null = any. */
  get pace(): number | null {
    if (this.#unslowed) return null;
    const paces = [...this.#runs.values()].flatMap(
      (run) => paceOf(run.stage, this.#lab.clock.now, this.#lab.epochNs()) ?? [],
    );
    return paces.length ? Math.min(...paces) : null;
  }
  /** The clock is not slowed any more, until another migration begins. */
  restoreSpeed(): void {
    this.#unslowed = this.#runs.size > 0;
    this.#lab.clock.paceChanged();
  }

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
    const lab = this.#lab;
    try {
      if (run.running.signal.aborted) throw run.running.signal.reason;
      if (lab.domains.get(run.report.uuid) !== run.domain)
        throw new BulkheadError({
          code: 'not-possible-now',
          what: `${run.report.name} was destroyed during its migration.`,
          why: 'You asked for it.',
          action: 'Nothing needs to be done.',
        });
      if (!isUp(lab, run.to)) throw lost(run.report.to, 'the domain stays where it is');
      const sourceUp = isUp(lab, run.from);
      if (!sourceUp && run.completeAt === null) throw lost(run.report.from, 'the domain was lost with it');
      await deliver(run, now);
      if (now > run.drivenTo && sourceUp && !run.allSent) await send(lab, run, now, rate);
      run.drivenTo = now;
      if (run.completeAt !== null && (now >= run.completeAt + run.latencyNs || !sourceUp))
        await handOver(lab, run, now);
      else if (now - run.movedAt > this.giveUpNs)
        throw new BulkheadError({
          code: 'not-possible-now',
          what: 'The connection between the hosts broke.',
          why: `Nothing crossed the link for ${this.giveUpNs / 1e9} s of lab time.`,
          action: 'Repair the link, then start the migration again.',
        });
    } catch (error) {
      await fail(lab, this.#copies, run, error, now);
    }
  }

  #hostNames(): string[] {
    return this.#lab.hosts.all().map((h) => h.spec.name);
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
