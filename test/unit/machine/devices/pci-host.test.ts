import { beforeEach, describe, expect, it } from 'vitest';
import { chipsetFunctions } from '../../../../main/machine/devices/pci-host/chipset.ts';
import { PciHost } from '../../../../main/machine/devices/pci-host/device.ts';

let host: PciHost;
const select = (device: number, fn: number, offset: number): void =>
  host.portWrite(0xcf8, 4, (0x8000_0000 | (device << 11) | (fn << 8) | offset) >>> 0);

beforeEach(() => {
  host = new PciHost(chipsetFunctions(0xb000));
});

describe('PCI host bridge', () => {
  it('shows its functions and all ones elsewhere', () => {
    select(0, 0, 0);
    expect(host.portRead(0xcfc, 4)).toBe(0x1237_8086);
    expect(host.portRead(0xcfe, 2)).toBe(0x1237);
    select(1, 0, 0x0c);
    expect(host.portRead(0xcfe, 1)).toBe(0x80); // multifunction
    select(1, 3, 0x40);
    expect(host.portRead(0xcfc, 4)).toBe(0xb001);
    select(5, 0, 0);
    expect(host.portRead(0xcfc, 4)).toBe(0xffff_ffff);
    host.portWrite(0xcf8, 4, 0);
    expect(host.portRead(0xcfc, 4)).toBe(0xffff_ffff);
  });

  it('changes only writable bits', () => {
    select(0, 0, 0);
    host.portWrite(0xcfc, 4, 0);
    expect(host.portRead(0xcfc, 4)).toBe(0x1237_8086);
    select(0, 0, 4);
    host.portWrite(0xcfc, 2, 0xffff);
    expect(host.portRead(0xcfc, 2)).toBe(0x0507);
  });

  it('reads its address back, 32 bits only', () => {
    host.portWrite(0xcf8, 1, 0x12);
    expect(host.portRead(0xcf8, 4)).toBe(0);
    host.portWrite(0xcf8, 4, 0x8000_0000);
    expect(host.portRead(0xcf8, 4)).toBe(0x8000_0000);
  });

  it('goes on after its state was taken and set', () => {
    select(0, 0, 0x3c);
    host.portWrite(0xcfc, 1, 11);
    const copy = new PciHost(chipsetFunctions(0xb000));
    copy.setState(structuredClone(host.getState()));
    expect(copy.portRead(0xcfc, 1)).toBe(11);
  });
});
