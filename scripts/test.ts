/**
 * `npm test`: everything a change must pass. Installs the Debian packages the suites use when it may, runs the checks and every suite,
 * and ends with one line that adds all suites up.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

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

/** What failed or needed a second try, said again at the end: a log of this length is read from there. */
const remarks: string[] = [];

const firstLines = (text: string): string => stripVTControlCharacters(text).split('\n').slice(0, 12).join('\n      ');

function failed(what: string, why = ''): void {
  total.failed++;
  remarks.push(`failed: ${what}${why ? `\n      ${firstLines(why)}` : ''}`);
}

function run(command: string, args: string[]): boolean {
  console.log(`\n> ${path.basename(command)} ${args.join(' ')}`);
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

/** Adds a vitest JSON report; a suite that wrote none counts as one failure. */
function addVitest(name: string, ok: boolean): void {
  const file = path.join(reports, `${name}.json`);
  if (!existsSync(file)) {
    failed(`the suite ${name}, which wrote no report`);
    return;
  }
  const r = JSON.parse(readFileSync(file, 'utf8')) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    testResults: {
      name: string;
      status: string;
      message: string;
      assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
    }[];
  };
  total.passed += r.numPassedTests;
  total.skipped += r.numPendingTests + r.numTodoTests;
  for (const { name: of, assertionResults } of r.testResults)
    for (const test of assertionResults)
      if (test.status === 'failed')
        failed(`${path.relative(root, of)}: ${test.fullName}`, test.failureMessages.join('\n'));
  // a file that could not even be loaded has no failed test of its own, and neither has an error outside of tests
  if (!ok && r.numFailedTests === 0) {
    const files = r.testResults.filter((f) => f.status === 'failed');
    failed(
      files.length > 0
        ? files.map((f) => path.relative(root, f.name)).join(', ')
        : `the suite ${name}, with an error outside of its tests`,
      files.map((f) => f.message).join('\n'),
    );
  }
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
    failed('the suite e2e, which wrote no report');
    return;
  }
  const { stats, suites } = JSON.parse(readFileSync(file, 'utf8')) as {
    stats: { expected: number; unexpected: number; flaky: number; skipped: number };
    suites: WindowSuite[];
  };
  total.passed += stats.expected + stats.flaky;
  total.skipped += stats.skipped;
  for (const suite of suites) addWindowTests(suite);
  if (!ok && stats.unexpected === 0) failed('the suite e2e, with an error outside of its tests');
}

/** The part of Playwright's JSON report that is read here. */
interface WindowSuite {
  suites?: WindowSuite[];
  specs: {
    file: string;
    line: number;
    title: string;
    tests: { status: string; results: { error?: { message?: string } }[] }[];
  }[];
}

function addWindowTests({ suites, specs }: WindowSuite): void {
  for (const { file, line, title, tests } of specs)
    for (const { status, results } of tests) {
      const what = `${file}:${line}: ${title}`;
      const why = results.find((r) => r.error)?.error?.message ?? '';
      if (status === 'unexpected') failed(what, why);
      else if (status === 'flaky') remarks.push(`flaky: ${what}\n      ${firstLines(why)}`);
    }
  for (const suite of suites ?? []) addWindowTests(suite);
}

const hasTests = (folder: string): boolean =>
  existsSync(path.join(root, folder)) &&
  readdirSync(path.join(root, folder), { recursive: true }).some((f) => String(f).endsWith('.test.ts'));

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
installPackages();
// types, lint, layering and formatting count as one test
if (run(process.execPath, ['scripts/check.ts'])) total.passed++;
else failed('npm run check');
if (existsSync('/usr/bin/apt-get')) run(process.execPath, ['scripts/guests.ts']);
vitest('unit', 'vitest.config.ts');
if (hasTests('test/guests') || hasTests('test/fuzz')) vitest('guests', 'vitest.guests.config.ts');
endToEnd();
for (const remark of remarks) console.log(`\n  ${remark}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
