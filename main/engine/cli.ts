// `npm run lab -- <scenario.yml> [--json report.json]`: runs a scenario without a window.
// Exit status: 0 every step held, 1 a step did not, 2 the scenario or an argument was refused and nothing was started.

import { accessSync, constants, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import { spawnHostWorker } from './index.ts';
import { readKernel } from './kernels.ts';
import { Lab } from './lab.ts';
import { loadScenario } from './scenario/load.ts';
import { runScenario } from './scenario/run.ts';

const USAGE = `Usage: npm run lab -- <scenario.yml> [--json report.json] [--quiet] [--interpreter]
Runs a scenario without a window; docs/scenarios.md describes the file.
--interpreter executes guests without translating their hot code: slower, with the same results.`;

/** A report that cannot be written is told before the run, not after it. */
function needFolderOf(report: string): void {
  const folder = path.dirname(path.resolve(report));
  try {
    accessSync(folder, constants.W_OK);
  } catch (e) {
    throw new BulkheadError({
      code: 'invalid-argument',
      what: `The report ${report} cannot be written.`,
      why: (e as Error).message,
      action: 'Choose a folder that exists and can be written to.',
      field: '--json',
    });
  }
}

async function main(): Promise<number> {
  let file: string;
  let json: string | undefined;
  let quiet: boolean;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        quiet: { type: 'boolean', default: false },
        interpreter: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    if (positionals.length !== 1)
      throw new Error(`Found ${positionals.length} files; exactly one scenario is run at a time.`);
    file = positionals[0]!;
    json = values.json;
    quiet = values.quiet;
    // the threads of the hosts inherit it
    if (values.interpreter) process.env.BULKHEAD_TIER = 'interpreter';
  } catch (e) {
    console.error((e as Error).message);
    console.error(USAGE);
    return 2;
  }
  let loaded;
  try {
    loaded = loadScenario(file);
    if (json) needFolderOf(json);
  } catch (e) {
    if (!(e instanceof BulkheadError)) throw e;
    console.error(e.message);
    return 2;
  }
  for (const i of loaded.ignored) console.log(`Ignored, not known here: ${i}`);
  // what is copied on write ends with the run
  const diskFolder = path.join(tmpdir(), `bulkhead-scenario-${process.pid}.disks`);
  const lab = new Lab({
    name: 'scenario',
    path: path.resolve(file),
    seed: loaded.scenario.seed,
    spawn: spawnHostWorker,
    readKernel,
    diskFolder,
  });
  try {
    const report = await runScenario(lab, loaded, quiet ? () => {} : (line) => console.log(line));
    if (json) {
      writeFileSync(`${json}.part`, `${JSON.stringify(report, null, 2)}\n`);
      renameSync(`${json}.part`, json);
    }
    console.log(
      `${report.passed ? 'Passed' : 'Failed'}: ${report.steps.filter((s) => s.held).length} of ${loaded.domains.length + loaded.scenario.steps.length} steps held, ` +
        `${(report.virtualNs / 1e9).toFixed(3)} s of lab time in ${(report.wallMs / 1000).toFixed(1)} s, digest ${report.digest.slice(0, 16)}`,
    );
    return report.passed ? 0 : 1;
  } finally {
    await lab.close();
    rmSync(diskFolder, { recursive: true, force: true });
  }
}

main().then(
  (status) => process.exit(status),
  (e: unknown) => {
    const s = toSentences(e);
    console.error(`${s.what} ${s.why} ${s.action}\n${s.details ?? ''}`);
    process.exit(1);
  },
);
