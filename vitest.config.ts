// Unit tests: test/unit. The other suites have their own runners (see scripts/test.ts).
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [vue()],
  test: {
    include: ['test/unit/**/*.test.ts'],
    environment: 'node',
    // a mistake of the translator fails a test, instead of leaving code interpreted
    env: { BULKHEAD_STRICT: '1' },
    // building a simulated host commits memory: a few at a time
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
