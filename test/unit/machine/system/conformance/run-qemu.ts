// Runs a Multiboot image on QEMU's software emulation and returns what it sent to the debug console.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Null when QEMU is not installed. */
export function runOnQemu(image: Uint8Array): Uint8Array | null {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const kernel = join(folder, 'kernel');
    const log = join(folder, 'log');
    writeFileSync(kernel, image);
    const run = spawnSync(
      'qemu-system-x86_64',
      // prettier-ignore
      ['-accel', 'tcg', '-cpu', 'core2duo', '-m', '16', '-display', 'none', '-nodefaults', '-no-reboot', '-kernel', kernel,
        '-debugcon', `file:${log}`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
      { timeout: 60_000 },
    );
    if (run.error !== undefined) return null;
    return new Uint8Array(readFileSync(log));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
