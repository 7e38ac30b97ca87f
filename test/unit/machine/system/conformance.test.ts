// System operations in protected mode, against the outcome recorded from QEMU and, where it is installed, against QEMU itself.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { differences, normalise } from './conformance/log.ts';
import { conformanceProgram } from './conformance/program.ts';
import { runOnOurs } from './conformance/run-ours.ts';
import { runOnQemu } from './conformance/run-qemu.ts';
import { CASES, EXPECTED, SEED } from './conformance/sample.ts';

const BUDGET = 10_000_000;
const LIVE_SEED = 20_261_122;
const LIVE_CASES = 1000;

describe('system operations', () => {
  it('come out as recorded', () => {
    const { image, cases } = conformanceProgram(SEED, CASES);
    const expected = new Uint32Array(new Uint8Array(gunzipSync(readFileSync(EXPECTED))).buffer);
    const ours = normalise(runOnOurs(image, BUDGET));
    expect(ours.length).toBe(expected.length);
    expect(differences(ours, expected, cases)).toEqual([]);
  });

  it('come out as on QEMU', (context) => {
    const { image, cases } = conformanceProgram(LIVE_SEED, LIVE_CASES);
    const reference = runOnQemu(image);
    if (reference === null) return context.skip('qemu-system-i386 is not installed');
    expect(differences(normalise(runOnOurs(image, BUDGET)), normalise(reference), cases)).toEqual([]);
  });
});
