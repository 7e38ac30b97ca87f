// Code that has been translated serves every page with the same bytes: copies, the same page after it was changed and changed back, and another
// run that finds the archive. What a guest computes is the same as interpreted.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { archiveFile } from '../../../../main/machine/cpu/translator/archive-file.ts';
import { compareMachines } from '../../../../main/machine/cpu/translator/lockstep.ts';
import { CODE, TierMachine } from './machine.ts';

const word32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, (v >>> 24) & 255];
const EAGER = { threshold: 1, patience: 0, batch: 1, background: false };
const COPY = CODE + 0x3000;
const UD2 = [0x0f, 0x0b];

/** add eax, step; every 32nd pass add edx, eax in a part of its own; dec ecx; jnz back; ud2 */
function counting(step: number): number[] {
  const body = [0x05, ...word32(step), 0xf6, 0xc1, 31, 0x74, 6, 0xff, 0xc9, 0x75, -14 & 255, ...UD2];
  return [...body, 0x01, 0xc2, 0xeb, -10 & 255];
}
function machines(mode: 32 | 64, translator: object = EAGER, Machine = TierMachine): [TierMachine, TierMachine] {
  return (['interpreter', 'translator'] as const).map((tier) => new Machine(mode, { tier, translator })) as [
    TierMachine,
    TierMachine,
  ];
}
/** Runs the loop at an address for `passes` passes; the UD2 behind it ends the run. */
function loop(m: TierMachine, at: number, passes: number): void {
  m.vcpu.rip = BigInt(at);
  m.vcpu.setReg(1, BigInt(passes));
  m.core.run(m.vcpu, 1_000_000);
}
const made = (m: TierMachine): number => m.core.tier!.statistics().made;
const reused = (m: TierMachine): number => m.core.tier!.statistics().reused;

describe.each([32, 64] as const)('%i-bit code', (mode) => {
  it('a copied page enters what the first was translated to, parts it has not run included', () => {
    const [a, b] = machines(mode);
    let before = 0;
    for (const m of [a, b]) {
      for (const at of [CODE, COPY]) m.mem.copyIn(at, Uint8Array.from(counting(3)));
      loop(m, CODE, 200);
      // known as a whole: both parts have run
      m.mem.code.flush();
      loop(m, CODE, 200);
      if (m === b) before = made(b);
      // stops in front of the 32nd pass
      for (const passes of [20, 31, 500]) loop(m, COPY, passes);
    }
    expect(compareMachines(a, b)).toBeNull();
    expect(before).toBeGreaterThan(0);
    expect(made(b)).toBe(before);
    expect(reused(b)).toBeGreaterThan(1);
  });

  it('a page that differs in one byte of the code does not', () => {
    const [a, b] = machines(mode);
    let before = 0;
    for (const m of [a, b]) {
      m.mem.copyIn(CODE, Uint8Array.from(counting(3)));
      m.mem.copyIn(COPY, Uint8Array.from(counting(0x0100_0003)));
      loop(m, CODE, 200);
      if (m === b) before = reused(b);
      loop(m, COPY, 200);
    }
    expect(compareMachines(a, b)).toBeNull();
    expect(reused(b)).toBe(before);
    expect(made(b)).toBeGreaterThan(1);
  });

  it('code that changes to and fro is translated once for each of its forms', () => {
    const [a, b] = machines(mode);
    for (const m of [a, b])
      for (let n = 0; n < 40; n++) {
        m.mem.copyIn(CODE, Uint8Array.from(counting(3 + (n % 2))));
        loop(m, CODE, 100);
      }
    expect(compareMachines(a, b)).toBeNull();
    expect(reused(b)).toBeGreaterThan(30);
    expect(made(b)).toBeLessThan(10);
  });
});

describe('the archive of earlier runs', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'translations-'));
  const first = path.join(root, 'first');
  afterAll(() => rmSync(root, { recursive: true }));
  beforeEach(() => void vi.resetModules());

  /** The loop on both machines of a new run, until the other thread has said all it has to say. */
  async function run(step: number, folder = first): Promise<{ a: TierMachine; b: TierMachine }> {
    vi.stubEnv('BULKHEAD_TRANSLATIONS', folder);
    const { TierMachine: Fresh } = await import('./machine.ts');
    const { writeTranslations } = await import('../../../../main/machine/cpu/translator/background.ts');
    const [a, b] = machines(32, { threshold: 1, batch: 1, background: true }, Fresh);
    // the archive has been read once this has been answered
    await writeTranslations();
    for (const m of [a, b]) {
      m.mem.copyIn(CODE, Uint8Array.from(counting(step)));
      for (let n = 0; n < 5; n++) loop(m, CODE, 100);
    }
    const cell = new Int32Array(new SharedArrayBuffer(4));
    for (let n = 0; n < 6000 && b.core.tier!.outstanding > 0; n++) {
      Atomics.wait(cell, 0, 0, 10);
      b.core.tier!.poll();
    }
    for (const m of [a, b]) loop(m, CODE, 1000);
    expect(compareMachines(a, b)).toBeNull();
    await writeTranslations();
    vi.unstubAllEnvs();
    return { a, b };
  }

  it('is written, and the next run takes its code from there', async () => {
    const before = await run(7);
    expect(before.b.core.tier!.statistics()).toMatchObject({ loaded: 0 });
    expect(made(before.b)).toBeGreaterThan(0);
    vi.resetModules();
    const { b } = await run(7);
    expect(b.core.tier!.statistics().loaded).toBeGreaterThan(0);
    expect(reused(b)).toBeGreaterThan(0);
  });

  it('does not serve other code', async () => {
    const { b } = await run(8);
    expect(b.core.tier!.statistics().loaded).toBe(0);
    expect(made(b)).toBeGreaterThan(0);
  });

  it.each([
    ['its index', 100],
    ['its version', 20],
    ['its first byte', 0],
    ['its end', -1],
  ])('is not used where it is damaged: %s', async (_, at) => {
    await run(9);
    const bytes = readFileSync(archiveFile(first));
    const place = at < 0 ? bytes.length + at : at;
    bytes[place]! ^= 1;
    // a folder of its own: the thread of the run before may still write to the first
    const damaged = path.join(root, `damaged ${at}`);
    mkdirSync(damaged);
    writeFileSync(archiveFile(damaged), bytes);
    vi.resetModules();
    const { b } = await run(9, damaged);
    // damage at the end concerns one module, which may be another's
    if (at >= 0) expect(b.core.tier!.statistics().loaded).toBe(0);
    expect(made(b) + reused(b)).toBeGreaterThan(0);
  });
});
