// What the translator fails at stays interpreted: one place, not those that were translated with it, and the guest does not notice.

import { afterEach, expect, it, vi } from 'vitest';
import { CODE, TierMachine } from './machine.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import type { TranslationAnswer } from '../../../../main/machine/cpu/translator/background.ts';

const broken = vi.hoisted(() => ({ offset: -1, answers: 0 }));
// answers come through a port: one that has a function for the place says instead that the translator failed
vi.mock('node:worker_threads', async (original) => {
  const threads = await original<typeof import('node:worker_threads')>();
  return {
    ...threads,
    receiveMessageOnPort: (port: never) => {
      const received = threads.receiveMessageOnPort(port) as { message: TranslationAnswer } | undefined;
      const made = received?.message.made;
      if (!made?.functions.some(({ offsets }) => offsets[0] === broken.offset)) return received;
      broken.answers++;
      return { message: { ...received!.message, made: null, error: 'Error: made up by the test' } };
    },
  };
});
afterEach(() => vi.unstubAllEnvs());

const PLACES = [0, 0x1040, 0x2080];
/** Three loops of 200 passes at PLACES, one after the other, for ever. */
function program(): Uint8Array {
  const code = new Uint8Array(0x4000).fill(0x90);
  PLACES.forEach((at, n) => {
    // mov ecx, 200; add eax, n + 1; add ebx, eax; sub ecx, 1; jnz to the first add; jmp to the next loop
    code.set([0xb9, 200, 0, 0, 0, 0x83, 0xc0, n + 1, 0x01, 0xc3, 0x83, 0xe9, 1, 0x75, 0xf6, 0xe9], at);
    new DataView(code.buffer).setInt32(at + 16, PLACES[(n + 1) % PLACES.length]! - (at + 20), true);
  });
  return code;
}

it('one place that the translator fails at is interpreted, the others are translated', () => {
  vi.stubEnv('BULKHEAD_STRICT', undefined);
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const make = (tier: 'interpreter' | 'translator'): TierMachine => {
    const m = new TierMachine(32, { tier, translator: { threshold: 16, batch: 3, background: true } });
    m.mem.copyIn(CODE, program());
    return m;
  };
  const [a, b] = [make('interpreter'), make('translator')];
  // the head of the second loop
  broken.offset = 0x45;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let to = 5000; to <= 100_000; to += 5000) {
    for (const m of [a, b]) m.runUntil(to);
    for (let n = 0; n < 6000 && b.core.tier!.outstanding > 0; n++) {
      Atomics.wait(cell, 0, 0, 10);
      b.core.tier!.poll();
    }
  }
  expect(compareMachines(a, b)).toBeNull();
  expect(broken.answers).toBeGreaterThan(0);
  const { failed, made } = b.core.tier!.statistics();
  expect(failed).toBe(1);
  expect(made).toBeGreaterThan(1);
  expect(warnings).toHaveBeenCalledOnce();
});
