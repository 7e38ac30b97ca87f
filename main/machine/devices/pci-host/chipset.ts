// The functions a PC of the i440FX and PIIX generation has: host bridge, ISA bridge, power management
// (Intel 82441FX and 82371AB/EB data sheets). Kernels know them, and no driver expects more behind them.
import { PciFunction } from './function.ts';

const INTEL = 0x8086;

/** @param pmBase I/O base of the power-management registers (32 bytes, see acpi-pm) */
export function chipsetFunctions(pmBase: number): PciFunction[] {
  const host = new PciFunction({
    device: 0,
    function: 0,
    vendorId: INTEL,
    deviceId: 0x1237,
    revision: 2,
    classCode: [0x06, 0x00, 0x00],
  });
  host.allowWrites(0x59, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff); // programmable attribute map
  const isa = new PciFunction({
    device: 1,
    function: 0,
    vendorId: INTEL,
    deviceId: 0x7110,
    revision: 2,
    classCode: [0x06, 0x01, 0x00],
    multifunction: true,
    status: 0x0200,
  });
  isa.config.set([0x80, 0x80, 0x80, 0x80], 0x60); // PIRQA-D not routed
  isa.allowWrites(0x60, 0x8f, 0x8f, 0x8f, 0x8f);
  const power = new PciFunction({
    device: 1,
    function: 3,
    vendorId: INTEL,
    deviceId: 0x7113,
    revision: 3,
    classCode: [0x06, 0x80, 0x00],
    status: 0x0280,
  });
  power.set32(0x40, pmBase | 1); // PMBA
  power.config[0x80] = 1; // PMREGMISC: PM I/O space enabled
  return [host, isa, power];
}
