// The symbols of a kernel image: which function an address is in. Most distribution kernels come without.
// Source: System V gABI 4.1, symbol tables.

import { isElf } from '../../machine/boot/elf.ts';

const SHT_SYMTAB = 2;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const STT_NOTYPE = 0;
const STT_FUNC = 2;
/** Farther than this behind a symbol without a size, an address is not said to belong to it. */
const MAX_DISTANCE = 1n << 20n;

export class Symbols {
  readonly #addresses: BigUint64Array;
  readonly #names: readonly string[];

  private constructor(entries: { address: bigint; name: string }[]) {
    entries.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    this.#addresses = BigUint64Array.from(entries, (e) => e.address);
    this.#names = entries.map((e) => e.name);
  }

  /** The functions and labels of an ELF file; null when it has none or is no ELF file. */
  static of(file: Uint8Array): Symbols | null {
    if (!isElf(file)) return null;
    try {
      const entries = readSymbols(file);
      return entries.length ? new Symbols(entries) : null;
    } catch (error) {
      // a table that points past the end of the file: the kernel has been loaded without it
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  /** `name`, or `name+0x12`; null when nothing lies close below. */
  at(address: bigint): string | null {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return null;
    const distance = address - this.#addresses[low - 1]!;
    if (distance > MAX_DISTANCE) return null;
    const name = this.#names[low - 1]!;
    return distance === 0n ? name : `${name}+0x${distance.toString(16)}`;
  }
}

function readSymbols(file: Uint8Array): { address: bigint; name: string }[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const wide = file[4] === 2;
  const word = (at: number): number => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const headers = word(wide ? 40 : 32);
  const size = view.getUint16(wide ? 58 : 46, true);
  const count = view.getUint16(wide ? 60 : 48, true);
  const section = (n: number): { type: number; offset: number; bytes: number; link: number } => {
    const at = headers + n * size;
    return {
      type: view.getUint32(at + 4, true),
      offset: word(at + (wide ? 24 : 16)),
      bytes: word(at + (wide ? 32 : 20)),
      link: view.getUint32(at + (wide ? 40 : 24), true),
    };
  };
  const entries: { address: bigint; name: string }[] = [];
  const decoder = new TextDecoder('latin1');
  for (let n = 0; headers !== 0 && n < count; n++) {
    const table = section(n);
    if (table.type !== SHT_SYMTAB) continue;
    const strings = section(table.link);
    const entry = wide ? 24 : 16;
    for (let at = table.offset; at + entry <= table.offset + table.bytes; at += entry) {
      const type = view.getUint8(at + (wide ? 4 : 12)) & 15;
      const place = view.getUint16(at + (wide ? 6 : 14), true);
      const defined = place !== SHN_UNDEF && place !== SHN_ABS;
      const address = wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
      if (!defined || address === 0n || (type !== STT_FUNC && type !== STT_NOTYPE)) continue;
      const start = strings.offset + view.getUint32(at, true);
      const end = file.indexOf(0, start);
      if (end > start) entries.push({ address, name: decoder.decode(file.subarray(start, end)) });
    }
  }
  return entries;
}
