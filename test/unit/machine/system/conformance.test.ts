// System operations, against the outcome recorded from QEMU and, where it is installed, against QEMU itself.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { differences, normalise } from './conformance/log.ts';
import { runOnOurs } from './conformance/run-ours.ts';
import { runOnQemu } from './conformance/run-qemu.ts';
import { SAMPLES } from './conformance/sample.ts';

const BUDGET = 20_000_000;
const LIVE_SEED = 20_261_122;
const LIVE_CASES = 1000;

describe.each(SAMPLES)('system operations in $name', ({ program, format, seed, cases: count, expected }) => {
  it('come out as recorded', () => {
    const { image, cases } = program(seed, count);
    const reference = new Uint32Array(new Uint8Array(gunzipSync(readFileSync(expected))).buffer);
    const ours = normalise(format, runOnOurs(image, BUDGET));
    expect(ours.length).toBe(reference.length);
    expect(differences(format, ours, reference, cases)).toEqual([]);
  });

  it('come out as on QEMU', (context) => {
    const { image, cases } = program(LIVE_SEED, LIVE_CASES);
    const log = runOnQemu(image);
    if (log === null) return context.skip('qemu-system-x86_64 is not installed');
    const ours = normalise(format, runOnOurs(image, BUDGET));
    expect(differences(format, ours, normalise(format, log), cases)).toEqual([]);
  });
});
