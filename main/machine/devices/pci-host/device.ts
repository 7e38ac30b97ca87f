// The PCI host bridge: configuration mechanism 1 for bus 0. Absent functions read all ones.
import { type PortDevice, type StatefulDevice, allOnes, requireVersion } from '../contract.ts';
import type { PciFunction } from './function.ts';
import { CONFIG_ENABLE, PciPort } from './registers.ts';
import type { PciHostState } from './state.ts';

export class PciHost implements PortDevice, StatefulDevice<PciHostState> {
  readonly ports = [[PciPort.Address, 8]] as const;
  readonly wide = true;
  readonly #functions = new Map<number, PciFunction>();
  #address = 0;

  constructor(functions: readonly PciFunction[]) {
    for (const entry of functions) this.#functions.set((entry.identity.device << 3) | entry.identity.function, entry);
  }

  portRead(port: number, size: number): number {
    if (port < PciPort.Data) {
      // Only a 32-bit access reaches the address register.
      return port === PciPort.Address && size === 4 ? this.#address >>> 0 : allOnes(size);
    }
    const target = this.#target();
    if (target === null) return allOnes(size);
    const offset = (this.#address & 0xfc) + (port & 3);
    let value = 0;
    for (let index = 0; index < size; index++) value |= (target.config[offset + index] ?? 0xff) << (8 * index);
    return value >>> 0;
  }

  portWrite(port: number, size: number, value: number): void {
    if (port < PciPort.Data) {
      if (port === PciPort.Address && size === 4) this.#address = value & 0x80ff_fffc;
      return;
    }
    const target = this.#target();
    if (target === null) return;
    const offset = (this.#address & 0xfc) + (port & 3);
    for (let index = 0; index < size; index++) target.writeByte(offset + index, (value >>> (8 * index)) & 0xff);
  }

  getState(): PciHostState {
    const functions: Record<string, number[]> = {};
    for (const entry of this.#functions.values())
      functions[`${entry.identity.device}.${entry.identity.function}`] = [...entry.config];
    return { version: 1, address: this.#address, functions };
  }

  setState(state: PciHostState): void {
    requireVersion('PCI host bridge', state.version, 1);
    this.#address = state.address;
    for (const entry of this.#functions.values()) {
      const saved = state.functions[`${entry.identity.device}.${entry.identity.function}`];
      if (saved !== undefined) entry.config.set(saved);
    }
  }

  #target(): PciFunction | null {
    if ((this.#address & CONFIG_ENABLE) === 0 || (this.#address >> 16) & 0xff) return null;
    return this.#functions.get((this.#address >> 8) & 0xff) ?? null;
  }
}
