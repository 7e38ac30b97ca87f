// Runs a Multiboot image on our CPU with nothing but a debug port, and returns what it sent there.

import { CpuCore } from '../../../../../main/machine/cpu/core.ts';
import { EMPTY_BUS } from '../../../../../main/machine/cpu/bus.ts';
import { HostMemory } from '../../../../../main/machine/cpu/host-memory.ts';
import { F, Seg } from '../../../../../main/machine/cpu/layout.ts';
import { ExitCode } from '../../../../../main/machine/cpu/system/index.ts';
import { LOG_PORT } from './program.ts';

const CODE = 0x10_0000;
const MEMORY = 16 * 1024 * 1024;

/** @throws Error when the program does not end in HLT within `budget` instructions. */
export function runOnOurs(image: Uint8Array, budget: number): Uint8Array {
  const mem = new HostMemory(MEMORY);
  const log: number[] = [];
  const core = new CpuCore(mem, {
    ...EMPTY_BUS,
    ioWrite: (port, _size, value) => {
      if (port === LOG_PORT) log.push(value & 0xff);
    },
  });
  const vcpu = core.createVcpu();
  core.select(vcpu);
  mem.copyIn(CODE, image);
  const { state } = core.system;
  state.set32(F.cr0, 0x11);
  state.setSegment(Seg.CS, 8, 0, 0xffff_ffff, 0xc09b);
  for (const s of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) state.setSegment(s, 16, 0, 0xffff_ffff, 0xc093);
  state.rip = mem.read32(CODE + 28);
  core.system.recomputeMode();
  const exit = core.run(vcpu, budget);
  if (exit.code !== ExitCode.Halt) {
    throw new Error(
      `The program ended with exit ${exit.code} at ${state.rip.toString(16)} after ${exit.retired} instructions.`,
    );
  }
  return Uint8Array.from(log);
}
