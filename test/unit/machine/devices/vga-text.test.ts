import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../main/machine/clock.ts';
import { VgaText } from '../../../../main/machine/devices/vga-text/device.ts';

const TEXT = 0x1_8000;
let vga: VgaText;
const crtc = (index: number, value: number): void => vga.portWrite(0x3d4, 2, index | (value << 8));

beforeEach(() => {
  vga = new VgaText(new ManualClock());
});

describe('VGA text', () => {
  it('shows what is written at 0xb8000', () => {
    [...'Hello'].forEach((letter, index) => vga.mmioWrite(TEXT + 160 + index * 2, 2, 0x1f00 | letter.charCodeAt(0)));
    expect(vga.text().split('\n')[1]).toBe('Hello');
    expect(vga.screen().cells[161]).toBe(0x1f);
    expect(vga.mmioRead(TEXT + 160, 4)).toBe(0x1f65_1f48);
    expect(vga.mmioRead(0, 4)).toBe(0xffff_ffff);
  });

  it('scrolls by the start address and places the cursor', () => {
    vga.mmioWrite(TEXT + 160, 1, 0xdb);
    crtc(0x0c, 0);
    crtc(0x0d, 80);
    crtc(0x0e, 0);
    crtc(0x0f, 80 + 83);
    expect(vga.text().split('\n')[0]).toBe('█');
    expect(vga.screen().cursor).toEqual({ row: 1, column: 3 });
    crtc(0x0a, 0x20);
    expect(vga.screen().cursor).toBe(null);
  });

  it('resets the attribute flip-flop by reading the status', () => {
    vga.portRead(0x3da, 1);
    vga.portWrite(0x3c0, 1, 0x10);
    vga.portWrite(0x3c0, 1, 0x0c);
    vga.portRead(0x3da, 1);
    vga.portWrite(0x3c0, 1, 0x10);
    expect(vga.portRead(0x3c1, 1)).toBe(0x0c);
  });

  it('goes on after its state was taken and set', () => {
    vga.mmioWrite(TEXT, 1, 0x41);
    crtc(0x0f, 5);
    const copy = new VgaText(new ManualClock());
    copy.setState(structuredClone(vga.getState()));
    expect(copy.text()).toBe(vga.text());
    expect(copy.screen()).toEqual(vga.screen());
  });
});
