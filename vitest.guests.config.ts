// Scenario tests with whole guests, and the short form of the fuzzers: one file after the other, since each keeps a core busy.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/guests/**/*.test.ts', 'test/fuzz/**/*.test.ts'],
    environment: 'node',
    // a mistake of the translator fails a test, instead of leaving code interpreted
    env: { BULKHEAD_STRICT: '1' },
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
