// Makes a simulated host: the hypervisor with its domains, or one native kernel on the bare machine.

import type { HostSpec } from '../../shared/model.ts';
import { interpreterImage } from '../machine/cpu/interpreter.ts';
import { HostFacade } from './host-facade.ts';
import type { HostCallbacks, SimulatedHost } from './simulated-host.ts';

export { prepareKernel } from './builder/kernel-image.ts';

/** Writes the interpreters of this thread now, instead of when its first guest waits for them: some 100 ms for each code width. */
export function prepareInterpreters(): void {
  for (const mode of [64, 32] as const) interpreterImage(mode);
}

/** A fresh host at virtual time 0. @param seed decides everything that a real machine would draw at random */
export function createSimulatedHost(spec: HostSpec, seed: number, callbacks: HostCallbacks): SimulatedHost {
  return new HostFacade(spec, seed, callbacks);
}
