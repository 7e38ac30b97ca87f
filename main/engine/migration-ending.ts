// How a migration ends: the handover to the target, or the way back to the source, and what its report says then.
// Invariant (two-phase handover): the source keeps its domain, suspended, until the target's runs; whatever is lost before that moment, the
// source's domain goes on; whatever is lost after it, the target's does. The moment lies between two epochs, so no guest runs in it.

import { toSentences } from '../../shared/errors.ts';
import type { DiskCopies } from './disk-copies.ts';
import type { LabHost } from './hosts.ts';
import type { Lab } from './lab.ts';
import { frameNs } from './link.ts';
import { doneSentence, type MigrationRun } from './migration-run.ts';

/** Length of the announcement of an address, bytes. */
const ANNOUNCEMENT = 60;

/** Whether a host can still be asked. */
export function isUp(lab: Lab, host: LabHost): boolean {
  return host.state === 'running' && lab.hosts.all().includes(host);
}

/** The acknowledgement is back: the target's domain runs, the source's ends. */
export async function handOver(lab: Lab, run: MigrationRun, now: number): Promise<void> {
  const { report, domain } = run;
  await run.reach('handover');
  const domid = await run.to.proxy.call('migrationActivate', { id: run.id });
  // this is the moment: from here on the target's is the domain
  run.over();
  domain.host = domain.status.host = report.to;
  // renamed meanwhile: the name is the lab's
  domain.spec = { ...domain.spec, disks: run.spec.disks };
  domain.domid = domain.status.domid = domid;
  domain.status.state = 'running';
  domain.status.reason = null;
  domain.samples = [{ at: now, cpuNs: 0 }];
  lab.onJournal({ at: now, kind: 'migrate', data: { uuid: domain.uuid, host: report.to } });
  await run.reach('activated');
  if (isUp(lab, run.from))
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
  close(lab, run, now, 'done');
  lab.tape.note('migration-done', doneSentence(report), domain, now);
  run.end(null);
}

/** It does not take place: the source's domain goes on, nothing of it stays on the target, and the report says why. */
export async function fail(
  lab: Lab,
  copies: DiskCopies,
  run: MigrationRun,
  error: unknown,
  now: number,
): Promise<void> {
  const { report, id } = run;
  run.over();
  // an end that is gone has nothing to undo; one that cannot undo it is in doubt, and is lost loudly by its own proxy
  for (const [host, call] of [
    [run.to, 'migrationAbandon'],
    [run.from, 'migrationRollBack'],
  ] as const)
    if (isUp(lab, host))
      await host.proxy.call(call, { id }).catch((e: unknown) => {
        const s = toSentences(e);
        if (s.code !== 'host-lost') host.proxy.giveUp(s);
      });
  for (const n of run.copied) copies.drop(run.spec.disks[n]!.path);
  const s = toSentences(error);
  const aborted = s.code === 'cancelled';
  const where = isUp(lab, run.from) && lab.domains.get(report.uuid) === run.domain;
  const rest = !where
    ? ''
    : run.domain.status.state === 'crashed' || run.domain.status.state === 'shutdown'
      ? ` ${report.name} is still on ${report.from}.`
      : ` ${report.name} still runs on ${report.from}.`;
  report.failure = aborted ? `Migration aborted.${rest}` : `${s.what} ${s.why}${rest}`.trim();
  close(lab, run, now, aborted ? 'aborted' : 'failed');
  lab.tape.note(
    aborted ? 'migration-aborted' : 'migration-failed',
    aborted ? report.failure : `Migration of ${report.name} to ${report.to} failed. ${report.failure}`,
    where ? run.domain : { host: report.from },
    now,
  );
  run.end(error instanceof Error ? error : new Error(String(error)));
}

function close(lab: Lab, run: MigrationRun, now: number, state: 'done' | 'failed' | 'aborted'): void {
  const { report } = run;
  report.state = state;
  report.endedAt = now;
  report.totalNs = now - report.startedAt;
  report.wallMs = performance.now() - run.wallStart;
  if (state === 'done') report.progress = 1;
  else report.downtime = null;
  lab.hosts.stateChanged = true;
  run.changed();
}
