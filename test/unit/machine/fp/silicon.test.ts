// The core against recorded results of real hardware: every encoding of the instruction table that user code can run, some cases each.

import { describe, expect, test } from 'vitest';
import { differences, describe as describeCase } from '../../../silicon/compare.ts';
import { checksum, expectedOf, keyOf, readRecording, recordable, sample } from '../../../silicon/record.ts';
import { ulpsOf } from '../../../silicon/generator.ts';
import { Simulated } from '../../../silicon/simulated.ts';

const LOOP = 0xfe;
const recording = readRecording();
const byName = Map.groupBy(recordable(), (s) => s.instruction.name);
const core = new Simulated();

describe('instructions do what hardware does', () => {
  for (const [name, subjects] of byName)
    test(name, () => {
      for (const subject of subjects) {
        const recorded = recording.get(keyOf(subject));
        expect(
          recorded,
          `${keyOf(subject)} has no recorded results: run node test/silicon/record.ts on an x86 machine with gcc`,
        ).toBeDefined();
        const cases = sample(subject);
        expect(
          checksum(cases),
          `the generator changed for ${keyOf(subject)}: run node test/silicon/record.ts again`,
        ).toBe(recorded!.checksum);
        cases.forEach((input, n) => {
          const expected = expectedOf(input, recorded!.changes[n]!);
          if (expected.vector === LOOP) return;
          const diff = differences(expected, core.run(input), ulpsOf(name));
          expect(diff, `${keyOf(subject)}\n    ${describeCase(input)}`).toEqual([]);
        });
      }
    });
});
