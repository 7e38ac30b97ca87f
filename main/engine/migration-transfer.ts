// What crosses the link in a migration: what has arrived goes to the target, what the source sends goes on its way.

import { BulkheadError } from '../../shared/errors.ts';
import type { Lab } from './lab.ts';
import { type MigrationRun, phaseOf, takeSenderReport } from './migration-run.ts';

/** What has arrived goes to the target. */
export async function deliver(run: MigrationRun, now: number): Promise<void> {
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
  await run.reach('complete');
}

/** The link was the run's for a while: what the source sent in it is on its way. */
export async function send(lab: Lab, run: MigrationRun, now: number, bytesPerNs: number): Promise<void> {
  const before = run.report.rounds.length;
  const { chunks, report } = await run.from.proxy.call('migrationTurn', {
    id: run.id,
    from: run.drivenTo,
    to: now,
    bytesPerNs,
  });
  for (const { at, bytes } of chunks) {
    run.inFlight.push({ at: at + run.latencyNs, bytes });
    lab.network.traffic.note(run.report.from, 'migrations', bytes.length);
  }
  run.allSent = report.phase === 'sent';
  run.stage = report.stage;
  if (chunks.length || report.phase === 'suspending') run.movedAt = now;
  takeSenderReport(run.report, report, now);
  for (const round of run.report.rounds.slice(before))
    if (!round.final)
      lab.tape.note(
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
  await run.reach(report.phase === 'state' ? 'last-pages' : report.phase);
}
