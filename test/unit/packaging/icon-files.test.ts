/** The icon containers must say what they hold, where. */
import { describe, expect, it } from 'vitest';
import { icnsFile, icoFile } from '../../../scripts/icon-files.ts';

const images = new Map([16, 32, 256, 512, 1024].map((size) => [size, Buffer.from(`PNG of ${size}`)]));

describe('icon files', () => {
  it('put every size of up to 256 pixels into the .ico, each found at its offset', () => {
    const ico = icoFile(images);
    expect([ico.readUInt16LE(0), ico.readUInt16LE(2), ico.readUInt16LE(4)]).toEqual([0, 1, 3]);
    const entries = [0, 1, 2].map((index) => {
      const at = 6 + 16 * index;
      const offset = ico.readUInt32LE(at + 12);
      return [ico.readUInt8(at), ico.subarray(offset, offset + ico.readUInt32LE(at + 8)).toString()];
    });
    expect(entries).toEqual([
      [16, 'PNG of 16'],
      [32, 'PNG of 32'],
      [0, 'PNG of 256'],
    ]);
  });

  it('put every size of the .icns into a chunk whose length leads to the next', () => {
    const icns = icnsFile(images);
    expect(icns.toString('latin1', 0, 4)).toBe('icns');
    expect(icns.readUInt32BE(4)).toBe(icns.length);
    const chunks: [string, string][] = [];
    for (let at = 8; at < icns.length; at += icns.readUInt32BE(at + 4)) {
      chunks.push([icns.toString('latin1', at, at + 4), icns.toString('utf8', at + 8, at + icns.readUInt32BE(at + 4))]);
    }
    expect(chunks).toEqual([
      ['ic11', 'PNG of 32'],
      ['ic13', 'PNG of 256'],
      ['ic08', 'PNG of 256'],
      ['ic14', 'PNG of 512'],
      ['ic09', 'PNG of 512'],
      ['ic10', 'PNG of 1024'],
    ]);
  });
});
