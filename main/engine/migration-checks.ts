// What is looked at before the first page of a migration: whether it can be done at all, and what it would take.
// Invariant: every refusal says what would make the migration possible.

import { existsSync } from 'node:fs';
import { BulkheadError } from '../../shared/errors.ts';
import type { MigrationPrediction } from '../../shared/migration-service.ts';
import { PRESETS, predict } from '../toolstack/migration/policy.ts';
import type { DiskCopies } from './disk-copies.ts';
import { tcpRate } from './link.ts';
import type { Lab } from './lab.ts';
import type { LabDomain } from './lab-domain.ts';

/** Why this domain cannot go there now, as sentences; null = it can. */
export function migrationRefusal(
  lab: Lab,
  copies: DiskCopies,
  d: LabDomain,
  to: string,
  disks: Record<string, 'shared' | 'copy'> = {},
): BulkheadError | null {
  const hosts = lab.hosts.all().map((h) => h.spec.name);
  const no = (
    why: string,
    action: string,
    code: 'not-possible-now' | 'not-supported' | 'not-enough-memory' = 'not-possible-now',
  ) => new BulkheadError({ code, what: `${d.spec.name} cannot be migrated to ${to}.`, why, action });
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
  if (lab.migrations.isMoving(d.uuid))
    return no('It is being migrated already.', 'Wait for that migration to end, or abort it.');
  const refusal = lab.hosts.refusals(d.spec.mode, d.spec.memoryMiB)[to];
  if (refusal)
    return no(
      `On ${to}: ${refusal}.`,
      refusal.startsWith('needs ') ? `Free memory on ${to}, or give it more.` : 'Choose another host.',
      refusal.startsWith('needs ') ? 'not-enough-memory' : 'not-possible-now',
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
      const path = copies.pathOn(disk.path, to, hosts);
      if (!copies.mayWrite(path))
        return no(
          `The copy of its disk ${disk.vdev} would overwrite ${path}.`,
          'Move that file away, or share the disk between the hosts.',
        );
    }
    const missing = [disk.path, disk.base].find((file) => file !== undefined && !existsSync(file));
    if (missing !== undefined)
      return no(`${to} cannot open its disk ${disk.vdev} (${missing}).`, 'Put the image back.');
  }
  return null;
}

/** What moving it would take. @param refusal why it cannot be done now; null = it can */
export function predictMigration(lab: Lab, d: LabDomain, refusal: BulkheadError | null): MigrationPrediction {
  if (refusal) {
    const { why, action } = refusal.sentences;
    return { refusal: `${why} ${action}`, totalNs: null, downtimeNs: null, bytes: null };
  }
  const { link } = lab;
  const rate = tcpRate(link);
  if (rate <= 0)
    return { refusal: 'The link loses everything. Repair it first.', totalNs: null, downtimeNs: null, bytes: null };
  // the latest run of this domain says how it writes
  const last = lab.migrations.reports
    .filter((r) => r.uuid === d.uuid)
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
