// One PCI function: 256 bytes of configuration space and which of their bits a guest can write.
import { PciConfig } from './registers.ts';

/** What identifies a function. Class code: base class, subclass, programming interface. */
export interface PciIdentity {
  readonly device: number;
  readonly function: number;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  readonly classCode: readonly [base: number, sub: number, interface_: number];
  readonly multifunction?: boolean;
  readonly status?: number;
}

export class PciFunction {
  readonly identity: PciIdentity;
  readonly config = new Uint8Array(256);
  readonly #writable = new Uint8Array(256);

  constructor(identity: PciIdentity) {
    this.identity = identity;
    this.set16(PciConfig.VendorId, identity.vendorId);
    this.set16(PciConfig.DeviceId, identity.deviceId);
    this.set16(PciConfig.Status, identity.status ?? 0);
    this.config[PciConfig.Revision] = identity.revision;
    this.config[PciConfig.BaseClass] = identity.classCode[0];
    this.config[PciConfig.Subclass] = identity.classCode[1];
    this.config[PciConfig.ProgrammingInterface] = identity.classCode[2];
    this.config[PciConfig.HeaderType] = identity.multifunction ? 0x80 : 0;
    this.allowWrites(PciConfig.Command, 0x07, 0x05);
    this.allowWrites(PciConfig.InterruptLine, 0xff);
  }

  set16(offset: number, value: number): void {
    this.config[offset] = value & 0xff;
    this.config[offset + 1] = (value >> 8) & 0xff;
  }

  set32(offset: number, value: number): void {
    this.set16(offset, value & 0xffff);
    this.set16(offset + 2, value >>> 16);
  }

  /** Makes bits writable: one mask for each byte from `offset` on. */
  allowWrites(offset: number, ...masks: number[]): this {
    masks.forEach((mask, index) => (this.#writable[offset + index] = mask));
    return this;
  }

  writeByte(offset: number, value: number): void {
    const mask = this.#writable[offset];
    this.config[offset] = (this.config[offset] & ~mask) | (value & mask);
  }
}
