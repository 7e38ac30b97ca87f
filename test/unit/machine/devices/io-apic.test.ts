import { beforeEach, describe, expect, it } from 'vitest';
import { IoApic } from '../../../../main/machine/devices/io-apic/device.ts';
import type { InterruptMessage } from '../../../../main/machine/devices/local-apic/messages.ts';

let sent: InterruptMessage[];
let ioApic: IoApic;

function program(pin: number, low: number, high = 0): void {
  ioApic.mmioWrite(0, 4, 0x10 + 2 * pin + 1);
  ioApic.mmioWrite(0x10, 4, high);
  ioApic.mmioWrite(0, 4, 0x10 + 2 * pin);
  ioApic.mmioWrite(0x10, 4, low);
}

function entry(pin: number): number {
  ioApic.mmioWrite(0, 4, 0x10 + 2 * pin);
  return ioApic.mmioRead(0x10);
}

beforeEach(() => {
  sent = [];
  ioApic = new IoApic((message) => sent.push(message));
});

describe('I/O APIC', () => {
  it('has 24 pins, masked at power-on', () => {
    ioApic.mmioWrite(0, 4, 1);
    expect(ioApic.mmioRead(0x10)).toBe(0x0017_0011);
    expect(entry(23)).toBe(0x1_0000);
  });

  it('sends one message for each edge', () => {
    program(4, 0x0831, 0x0300_0000);
    ioApic.setLine(4, true);
    ioApic.setLine(4, true);
    ioApic.setLine(4, false);
    ioApic.setLine(4, true);
    expect(sent).toEqual([
      { destination: 3, logical: true, mode: 0, vector: 0x31, level: false },
      { destination: 3, logical: true, mode: 0, vector: 0x31, level: false },
    ]);
  });

  it('loses edges while masked, but not levels', () => {
    ioApic.setLine(4, true);
    program(4, 0x31);
    expect(sent.length).toBe(0);
    ioApic.setLine(9, true);
    program(9, 0x8041);
    expect(sent.map((message) => message.vector)).toEqual([0x41]);
  });

  it('sends a level again only after the end of interrupt', () => {
    program(9, 0x8041);
    ioApic.setLine(9, true);
    ioApic.setLine(9, false);
    ioApic.setLine(9, true);
    expect(sent.length).toBe(1);
    expect(entry(9) & 0x4000).toBe(0x4000);
    ioApic.endOfInterrupt(0x41);
    expect(sent.length).toBe(2);
    ioApic.setLine(9, false);
    ioApic.endOfInterrupt(0x41);
    expect(sent.length).toBe(2);
    expect(entry(9) & 0x4000).toBe(0);
  });

  it('does not let writes change remote IRR while level triggered', () => {
    program(9, 0x8041);
    ioApic.setLine(9, true);
    program(9, 0x1_8041);
    expect(entry(9) & 0x4000).toBe(0x4000);
    program(9, 0x1_0041);
    expect(entry(9) & 0x4000).toBe(0);
  });

  it('goes on after its state was taken and set', () => {
    program(9, 0x8041, 0x0200_0000);
    ioApic.setLine(9, true);
    const copied: InterruptMessage[] = [];
    const copy = new IoApic((message) => copied.push(message));
    copy.setState(structuredClone(ioApic.getState()));
    copy.endOfInterrupt(0x41);
    expect(copied).toEqual([{ destination: 2, logical: false, mode: 0, vector: 0x41, level: true }]);
  });
});
