/**
 * Playwright's settings: one app at a time, since each simulates whole hosts.
 */
import path from 'node:path';
import { defineConfig } from '@playwright/test';
import { projectFolder } from '../../scripts/build-targets.ts';

export default defineConfig({
  testDir: '.',
  globalSetup: './build-first.ts',
  fullyParallel: false,
  workers: 1,
  timeout: 90_000,
  // A second try on a crowded machine; the report names it flaky.
  retries: process.env['CI'] ? 1 : 0,
  expect: { timeout: 15_000 },
  // What cannot be clicked is said soon, and not when the whole test has used up its time.
  use: { actionTimeout: 20_000 },
  forbidOnly: process.env['CI'] !== undefined,
  outputDir: path.join(projectFolder, 'test-results'),
  reporter: [['list'], ['json', { outputFile: path.join(projectFolder, 'out', 'reports', 'e2e.json') }]],
});
