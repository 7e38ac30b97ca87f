// What a run reports: as sentences, as CSV, as progress.
import { expect, it } from 'vitest';
import type { LabDomain } from '../../../main/engine/lab-domain.ts';
import { doneSentence, newReport, phaseOf, takeSenderReport, toCsv } from '../../../main/engine/migration-run.ts';
import { PRESETS } from '../../../main/toolstack/migration/policy.ts';
import { MigrationSender } from '../../../main/toolstack/migration/sender.ts';
import { FakeDomain } from './fake-domain.ts';

const domain = { uuid: 'u', host: 'alder', spec: { name: 'web', mode: 'pv' } } as unknown as LabDomain;
const link = { bandwidthMbit: 1000, latencyUs: 400, loss: 0 };

it('goes through its states with a progress that only grows', () => {
  const fake = new FakeDomain(2000);
  const report = newReport(3, domain, 'birch', PRESETS['xen-today'], link, 0);
  expect(report.state).toBe('checking');
  const sender = new MigrationSender(fake, report.policy, 0, 400_000, () => 0);
  const seen = new Set<string>();
  let before = 0;
  for (let t = 0; sender.report().phase !== 'sent'; t += 400_000) {
    if (fake.asked) fake.state = { is: 'suspended', since: t };
    else for (let i = 0; i < 4; i++) fake.write((t / 100_000 + i * 97) % 2000);
    sender.turn(t, t + 400_000, 0.1);
    takeSenderReport(report, sender.report(), t + 400_000);
    expect(report.progress).toBeGreaterThanOrEqual(before);
    before = report.progress;
    // pages count as they are sent, not only with the round they belong to
    if (seen.size === 0) expect(report.pagesSent).toBeGreaterThan(0);
    seen.add(phaseOf(report));
  }
  expect([...seen].slice(0, 2)).toEqual(['round 1', 'round 2']);
  expect(seen.has('stop-and-copy')).toBe(true);
  expect(report.progress).toBeGreaterThan(0.8);
  expect(report.memoryPages).toBe(2000);
  expect(report.pagesSent).toBe(report.rounds.reduce((n, r) => n + r.pagesSent, 0));
});

it('writes a line per round and one for the whole, all of the same columns', () => {
  const fake = new FakeDomain(100);
  fake.state = { is: 'suspended', since: 0 };
  const report = newReport(1, domain, 'birch', PRESETS['stop-and-copy'], link, 0);
  const sender = new MigrationSender(fake, report.policy, 0, 400_000, () => 0);
  sender.turn(0, 1e9, 0.1);
  takeSenderReport(report, sender.report(), 1e9);
  const lines = toCsv(report).trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  const columns = lines[0]!.split(',');
  for (const line of lines) expect(line.split(',')).toHaveLength(columns.length);
  const row = Object.fromEntries(lines[1]!.split(',').map((v, i) => [columns[i], v]));
  expect(row).toMatchObject({ round: '1', final: 'true', pagesSent: '100' });
  report.downtime = { suspendNs: 0, lastPagesNs: 0, stateNs: 0, resumeNs: 0, networkNs: 0, totalNs: 4.2e6 };
  expect(doneSentence(report)).toBe('web runs on birch: downtime 4.20 ms, 0 rounds, 0.4 MiB sent');
});
