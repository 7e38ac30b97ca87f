/**
 * `npm test`: everything a change must pass. Installs the Debian packages the suites use when it may, runs the checks and every suite,
 * and ends with one line that adds all suites up.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = path.join(root, 'out', 'reports');

/** Debian packages by a file they install. */
const NEEDED: Record<string, string> = {
  chromium: '/usr/bin/chromium',
  gcc: '/usr/bin/gcc',
  // the silicon tests' and our guest's 32-bit halves
  'gcc-multilib': '/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a',
  'p7zip-full': '/usr/bin/7z',
};

function installPackages(): void {
  const missing = Object.entries(NEEDED)
    .filter(([, file]) => !existsSync(file))
    .map(([name]) => name);
  if (missing.length === 0) return;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.log(`Installing ${missing.join(', ')} ...`);
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
    const done = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (done.status === 0) return;
  }
  console.log(
    `Missing Debian packages: ${missing.join(', ')}. Tests that need them are skipped or fail; install them with apt.`,
  );
}

interface Total {
  passed: number;
  failed: number;
  skipped: number;
}
const total: Total = { passed: 0, failed: 0, skipped: 0 };

function run(command: string, args: string[]): boolean {
  console.log(`\n> ${path.basename(command)} ${args.join(' ')}`);
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

/** Adds a vitest JSON report; a suite that wrote none counts as one failure. */
function addVitest(name: string, ok: boolean): void {
  const file = path.join(reports, `${name}.json`);
  if (!existsSync(file)) {
    total.failed++;
    return;
  }
  const r = JSON.parse(readFileSync(file, 'utf8')) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
  };
  total.passed += r.numPassedTests;
  total.failed += r.numFailedTests;
  total.skipped += r.numPendingTests + r.numTodoTests;
  // a file that could not even be loaded has no failed test of its own
  if (!ok && r.numFailedTests === 0) total.failed++;
}

function vitest(name: string, config: string): void {
  const ok = run(process.execPath, [
    path.join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--config',
    config,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${path.join('out', 'reports', `${name}.json`)}`,
  ]);
  addVitest(name, ok);
}

function endToEnd(): void {
  const ok = run(process.execPath, [
    path.join(root, 'node_modules', '@playwright', 'test', 'cli.js'),
    'test',
    '-c',
    'test/e2e/playwright.config.ts',
  ]);
  const file = path.join(reports, 'e2e.json');
  if (!existsSync(file)) {
    total.failed++;
    return;
  }
  const { stats } = JSON.parse(readFileSync(file, 'utf8')) as {
    stats: { expected: number; unexpected: number; flaky: number; skipped: number };
  };
  total.passed += stats.expected + stats.flaky;
  total.failed += stats.unexpected;
  total.skipped += stats.skipped;
  if (!ok && stats.unexpected === 0) total.failed++;
}

const hasTests = (folder: string): boolean =>
  existsSync(path.join(root, folder)) &&
  readdirSync(path.join(root, folder), { recursive: true }).some((f) => String(f).endsWith('.test.ts'));

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
installPackages();
// types, lint, layering and formatting count as one test
if (run(process.execPath, ['scripts/check.ts'])) total.passed++;
else total.failed++;
if (existsSync('/usr/bin/apt-get')) run(process.execPath, ['scripts/guests.ts']);
vitest('unit', 'vitest.config.ts');
if (hasTests('test/guests') || hasTests('test/fuzz')) vitest('guests', 'vitest.guests.config.ts');
endToEnd();
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
