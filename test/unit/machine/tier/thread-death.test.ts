// The translating thread may die: what it was at work on stays interpreted, the guest does not notice, and another thread does what comes next.

import type { Worker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { CODE, TierMachine } from './machine.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';

const threads = vi.hoisted(() => ({ started: [] as Worker[] }));
vi.mock('node:worker_threads', async (original) => {
  const module = await original<typeof import('node:worker_threads')>();
  return {
    ...module,
    Worker: class extends module.Worker {
      constructor(...args: ConstructorParameters<typeof module.Worker>) {
        super(...args);
        threads.started.push(this);
      }
    },
  };
});
afterEach(() => vi.unstubAllEnvs());

/** mov ecx, 200; add eax, n; sub ecx, 1; jnz to the add; jmp to the beginning */
const loop = (n: number): number[] => [0xb9, 200, 0, 0, 0, 0x83, 0xc0, n, 0x83, 0xe9, 1, 0x75, 0xf8, 0xeb, 0xf1];

it('a guest goes on, and what comes next is translated', async () => {
  vi.stubEnv('BULKHEAD_STRICT', undefined);
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const [a, b] = (['interpreter', 'translator'] as const).map((tier) => {
    const m = new TierMachine(32, { tier, translator: { threshold: 16, batch: 1, background: true } });
    m.mem.copyIn(CODE, Uint8Array.from(loop(1)));
    m.mem.copyIn(CODE + 0x2000, Uint8Array.from(loop(2)));
    return m;
  }) as [TierMachine, TierMachine];
  const tier = b.core.tier!;
  const settle = async (): Promise<void> => {
    for (let n = 0; n < 3000 && tier.outstanding > 0; n++) {
      await new Promise((later) => setTimeout(later, 10));
      tier.poll();
    }
  };
  for (const m of [a, b]) m.runUntil(5000);
  expect(tier.outstanding).toBeGreaterThan(0);
  const [thread] = threads.started;
  // before it has answered
  await thread!.terminate();
  await settle();
  expect(tier.outstanding).toBe(0);
  expect(tier.statistics()).toMatchObject({ failed: 1, made: 0 });
  expect(warnings).toHaveBeenCalledOnce();

  for (const m of [a, b]) {
    m.runUntil(10_000);
    m.vcpu.rip = BigInt(CODE + 0x2000);
    m.runUntil(15_000);
  }
  await settle();
  for (const m of [a, b]) m.runUntil(20_000);
  expect(threads.started.length).toBe(2);
  expect(tier.statistics().made).toBeGreaterThan(0);
  expect(compareMachines(a, b)).toBeNull();

  // with nothing to do
  await threads.started[1]!.terminate();
  const made = tier.statistics().made;
  for (const m of [a, b]) {
    m.mem.copyIn(CODE + 0x4000, Uint8Array.from(loop(3)));
    m.vcpu.rip = BigInt(CODE + 0x4000);
    m.runUntil(25_000);
  }
  await settle();
  for (const m of [a, b]) m.runUntil(30_000);
  expect(threads.started.length).toBe(3);
  expect(tier.statistics().made).toBeGreaterThan(made);
  expect(compareMachines(a, b)).toBeNull();
});
