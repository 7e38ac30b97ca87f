// What every device of the PC has in common: port ranges, interrupt lines, named and versioned state.
// Invariant: a device knows only its clock, its lines and its registers; who is wired to whom is platform/'s business.

/** An interrupt request line. Setting the level it already has does nothing. */
export interface IrqLine {
  set(level: boolean): void;
}

/** A device behind I/O ports. Offsets and sizes are the guest's: size is 1, 2 or 4 bytes, values are unsigned. */
export interface PortDevice {
  /** First port and number of ports of each range this device answers. */
  readonly ports: readonly (readonly [first: number, count: number])[];
  portRead(port: number, size: number): number;
  portWrite(port: number, size: number, value: number): void;
  /** True when accesses of 2 and 4 bytes reach the device whole; without it the bus takes them apart into bytes. */
  readonly wide?: boolean;
}

/** A device behind memory. Offsets are relative to the range the platform mapped it at; sizes are 1, 2 or 4. */
export interface MmioDevice {
  mmioRead(offset: number, size: number): number;
  mmioWrite(offset: number, size: number, value: number): void;
}

/** A device whose whole state is one plain, named, versioned object. */
export interface StatefulDevice<S extends { readonly version: number }> {
  getState(): S;
  /** @throws DeviceStateError when the version is not known. */
  setState(state: S): void;
}

/** A saved device state that this build cannot take. */
export class DeviceStateError extends Error {
  override readonly name = 'DeviceStateError';
}

/** Refuses a state of another version with a sentence that names it. */
export function requireVersion(device: string, found: number, supported: number): void {
  if (found === supported) return;
  throw new DeviceStateError(
    `The saved state of the ${device} has version ${found}, and this build reads version ${supported}. Open it with the version of the program that saved it.`,
  );
}

/** What an access of `size` bytes reads where nothing answers: all ones. */
export function allOnes(size: number): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}
