// A migration is the same to the last page and nanosecond whether guests are interpreted or translated: the command line runs one
// scenario with each tier and the reports are compared.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import type { MigrationReport } from '../../shared/migration-service.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'bulkhead-tiers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SCENARIO = `name: A writer moves there and back
seed: 11
hosts:
  - { name: alder, pcpus: 1, memoryMiB: 48, clockMHz: 50 }
  - { name: birch, pcpus: 1, memoryMiB: 48, clockMHz: 50 }
domains:
  - { name: pv, host: alder, mode: pv, kernel: builtin:dinghy-pv64, memoryMiB: 6 }
  - { name: pvh, host: alder, mode: pvh, kernel: builtin:dinghy-hw64, memoryMiB: 6 }
steps:
  - expect: { domain: pv, text: 'dinghy$ ', within: 2s }
  - expect: { domain: pvh, text: 'dinghy$ ', within: 2s }
  - type: { domain: pv, text: "dirty 4000 1 100000 &\\n" }
  - type: { domain: pvh, text: "dirty 4000 1 100000 &\\n" }
  - wait: 20ms
  - migrate: { domain: pv, to: birch }
  - migrate: { domain: pvh, to: birch }
  - migrate: { domain: pv, to: alder, policy: xen-2.0.6 }
`;

interface Report {
  passed: boolean;
  virtualNs: number;
  digest: string;
  migrations: MigrationReport[];
}

function run(tier: 'interpreter' | 'translator'): Report {
  const [file, json] = [join(folder, 'scenario.yml'), join(folder, `${tier}.json`)];
  writeFileSync(file, SCENARIO);
  execFileSync(process.execPath, ['main/engine/cli.ts', file, '--quiet', '--json', json], {
    cwd: root,
    env: { ...process.env, BULKHEAD_TIER: tier },
    stdio: 'pipe',
  });
  return JSON.parse(readFileSync(json, 'utf8')) as Report;
}

/** What a migration did in the simulated world; the clock of this computer has no part in it. */
const figures = ({ migrations, virtualNs, digest, passed }: Report) => ({
  passed,
  virtualNs,
  digest,
  migrations: migrations.map((m) => ({
    name: m.name,
    state: m.state,
    stopReason: m.stopReason,
    memoryPages: m.memoryPages,
    pagesSent: m.pagesSent,
    totalNs: m.totalNs,
    downtime: m.downtime,
    rounds: m.rounds.map((round) => ({ ...round, wallMs: 0 })),
  })),
});

it('is the same interpreted and translated', () => {
  const [interpreted, translated] = [figures(run('interpreter')), figures(run('translator'))];
  expect(translated).toEqual(interpreted);
  expect(interpreted.passed).toBe(true);
  expect(interpreted.digest).toMatch(/^[0-9a-f]{64}$/);
  expect(interpreted.migrations.map((m) => m.state)).toEqual(['done', 'done', 'done']);
  // there was something to compare: pages written while they were copied
  for (const { rounds, downtime } of interpreted.migrations) {
    expect(rounds.length).toBeGreaterThan(1);
    expect(rounds[0]!.pagesDirtied).toBeGreaterThan(0);
    expect(downtime!.totalNs).toBeGreaterThan(0);
  }
});
