import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { extractVmlinux, parseBzImage } from '../../../../main/machine/boot/bzimage.ts';
import { findNote, noteInteger, noteText, parseElf } from '../../../../main/machine/boot/elf.ts';
import { KernelImageError } from '../../../../main/machine/boot/errors.ts';
import { makeBzImage, makeElf, makeNote } from './images.ts';

/** 427 bytes full of CALL opcodes to a few targets, compressed by `xz --check=crc32 --x86 --lzma2`. */
const XZ_WITH_BRANCH_FILTER =
  '/Td6WFoAAAFpIt42AgEEACEBCADSuXTL4AGrAOJdACrjnGgSAF+xglk7D8pXuvcJzJ/QUBRdVMoZyM++oQw6mYg+wFWSnWsWaEzZI4DvKqOu8k3vOts542po92O5Gpx1O5DhzCFTb+aMIgc8nh3U6n2sLm1bYp15XjgVO2zykh77ZCmTLqEgKoeh0+OOvTtzJ7ZJZqY1ygrTurQD6yoIiShb7XEmI3tsXfBvfovIs3kGZ1p+xJeXJGcc+YEc86BWBhUoGTcNgJ3gycdu+CeLTnizzlQmBvAVbNIKv04KlbuG/hByb+JPEsEF+bBvINuPmVgseptB9qcPVIlw+gZzIAAAAAAaYcKHAAH6AawDAAD238dPPjANiwIAAAAAAVla';
const XZ_RESULT_SHA256 = '8581f5edba1a53a43e74bce2378bd125847f3d1a3eb0c997e317ab7664fd06c2';
/** "The quick brown fox " eight times, compressed by `lz4 -l`. */
const LZ4_LEGACY = 'AiFMGB8AAAD/BVRoZSBxdWljayBicm93biBmb3ggFAB0UCBmb3gg';
const LZ4_RESULT = 'The quick brown fox '.repeat(8);

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const unpack = (payload: Uint8Array, size: number): Promise<Uint8Array> =>
  extractVmlinux(parseBzImage(makeBzImage(new Uint8Array(64), payload, size)));

describe('the kernel inside a bzImage', () => {
  it('comes out of xz with the branch filter undone and the checksum right', async () => {
    const result = await unpack(fromBase64(XZ_WITH_BRANCH_FILTER), 428);
    expect(createHash('sha256').update(result).digest('hex')).toBe(XZ_RESULT_SHA256);
  });

  it('comes out of lz4, gzip and zstd', async () => {
    expect(new TextDecoder().decode(await unpack(fromBase64(LZ4_LEGACY), 160))).toBe(LZ4_RESULT);
    const kernel = new TextEncoder().encode(LZ4_RESULT);
    const image = makeBzImage(new Uint8Array(64), gzipSync(kernel).subarray(0, -4), 160); // its own length is the last field
    expect(await extractVmlinux(parseBzImage(image))).toEqual(Uint8Array.from(kernel));
    expect(Uint8Array.from(await unpack(zstdCompressSync(kernel), 160))).toEqual(kernel);
  });

  it('is refused when damaged, whatever byte it is', async () => {
    const good = fromBase64(XZ_WITH_BRANCH_FILTER);
    for (const at of [60, 150, good.length - 40, good.length - 20, good.length - 3]) {
      const bad = good.slice();
      bad[at] ^= 0x55;
      await expect(unpack(bad, 428)).rejects.toThrow(KernelImageError);
    }
    await expect(unpack(good.subarray(0, 100), 428)).rejects.toThrow(/end is missing/);
    await expect(unpack(fromBase64(LZ4_LEGACY).subarray(0, 20), 160)).rejects.toThrow(/damaged/);
    await expect(unpack(Uint8Array.of(1, 2, 3, 4, 5), 5)).rejects.toThrow(/begins with 01 02 03 04/);
  });

  it('has a header that is checked', () => {
    const good = makeBzImage(new Uint8Array(64), new Uint8Array(16), 16);
    expect(parseBzImage(good)).toMatchObject({
      protocol: 0x20f,
      kernelVersion: '6.1.0-test (someone) #1',
      relocatable: true,
    });
    const old = good.slice();
    old[0x207] = 2;
    old[0x206] = 3;
    expect(() => parseBzImage(old)).toThrow(/protocol 2.3/);
    expect(() => parseBzImage(good.subarray(0, 1100))).toThrow(/cut off/);
    expect(() => parseBzImage(new Uint8Array(4096))).toThrow(/not a Linux kernel/);
  });
});

describe('ELF', () => {
  const options = {
    entry: 0xffff_ffff_8000_0010n,
    virtualAddress: 0xffff_ffff_8000_0000n,
    physicalAddress: 0x20_0000n,
    data: Uint8Array.from([1, 2, 3, 4]),
    memorySize: 100,
  };

  it('is read in 64 and in 32 bits', () => {
    const wide = parseElf(makeElf({ bits: 64, ...options }));
    expect(wide).toMatchObject({ bits: 64, machine: 62, entry: options.entry });
    expect(wide.segments).toEqual([
      {
        virtualAddress: options.virtualAddress,
        physicalAddress: 0x20_0000n,
        data: options.data,
        memorySize: 100,
        flags: 7,
      },
    ]);
    const narrow = parseElf(makeElf({ bits: 32, ...options, entry: 0xc000_0010n, virtualAddress: 0xc000_0000n }));
    expect(narrow).toMatchObject({ bits: 32, machine: 3, entry: 0xc000_0010n });
    expect(narrow.segments[0].memorySize).toBe(100);
  });

  it('gives its notes, also one that overruns its segment', () => {
    const first = makeNote('Xen', 6, new TextEncoder().encode('linux\0'));
    const last = makeNote('Xen', 18, Uint8Array.from([0x10, 0x00, 0x20, 0x00]));
    const notes = new Uint8Array([...first, ...last]);
    const image = parseElf(
      makeElf({ bits: 32, ...options, entry: 0n, virtualAddress: 0n, notes, noteSize: first.length + 14 }),
    );
    expect(noteText(findNote(image, 'Xen', 6)!)).toBe('linux');
    expect(noteInteger(findNote(image, 'Xen', 18)!)).toBe(0x20_0010n);
    expect(findNote(image, 'GNU', 18)).toBe(null);
  });

  it('is refused when cut off or not ELF', () => {
    const good = makeElf({ bits: 64, ...options });
    expect(() => parseElf(good.subarray(0, good.length - 1))).toThrow(/ends before/);
    expect(() => parseElf(good.subarray(0, 70))).toThrow(/points past its end/);
    expect(() => parseElf(new Uint8Array(100))).toThrow(/not an ELF/);
    const bigEndian = good.slice();
    bigEndian[5] = 2;
    expect(() => parseElf(bigEndian)).toThrow(/big endian/);
    for (let at = 4; at < 120; at++) {
      const bad = good.slice();
      bad[at] ^= 0xff;
      try {
        parseElf(bad);
      } catch (error) {
        expect(error).toBeInstanceOf(KernelImageError);
      }
    }
  });
});
