// Captures of network interfaces into files: what they tell, and a disk that is full in the middle of one.
import { mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { NetBackend } from '../../../main/backends/network/net-backend.ts';
import { Captures } from '../../../main/toolstack/captures.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return { ...real, writeSync: vi.fn(real.writeSync) };
});

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'captures-'))));
afterEach(() => rmSync(folder, { recursive: true }));
const backend = (): NetBackend => ({ tap: null }) as unknown as NetBackend;
const frame = new Uint8Array(60);

it('count what they wrote, one for each interface, until they are stopped', () => {
  const captures = new Captures(() => 1_000_000_000n);
  const nics = [backend(), backend()];
  const file = path.join(folder, 'a.pcap');
  expect(captures.of(3)).toEqual([]);
  captures.start(3, 'web', nics, 1, file);
  nics[1]!.tap!(frame);
  nics[1]!.tap!(frame);
  // 24 of the file, 16 and the frame for each
  expect(captures.of(3)).toEqual([{ nic: 1, path: file, bytes: 24 + 2 * 76 }]);
  expect(readFileSync(file)).toHaveLength(24 + 2 * 76);
  captures.start(3, 'web', nics, 0, path.join(folder, 'b.pcap'));
  expect(captures.of(3).map((c) => c.nic)).toEqual([1, 0]);
  captures.stopAll(3);
  expect(captures.of(3)).toEqual([]);
  expect(nics.map((n) => n.tap)).toEqual([null, null]);
  expect(() => captures.start(3, 'web', nics, 2, file)).toThrow('web has no network interface 2');
});

it('end where their file cannot be written any more, say so, and let the guest go on', () => {
  const captures = new Captures(() => 0n);
  const nic = backend();
  const file = path.join(folder, 'a.pcap');
  captures.start(1, 'web', [nic], 0, file);
  nic.tap!(frame);
  const { tap } = nic;
  vi.mocked(writeSync).mockImplementationOnce(() => {
    throw new Error('ENOSPC: no space left on device');
  });
  expect(() => tap!(frame)).not.toThrow();
  expect(nic.tap).toBeNull();
  expect(captures.of(1)).toEqual([
    { nic: 0, path: file, bytes: 100, problem: 'The capture ended: ENOSPC: no space left on device' },
  ]);
  captures.start(1, 'web', [nic], 0, file);
  expect(captures.of(1)).toEqual([{ nic: 0, path: file, bytes: 24 }]);
  captures.stop(1, 0);
});
