// A small writer of ACPI Machine Language, enough to describe a fixed board (ACPI Specification 6.4, chapter 20).

export type Aml = readonly number[];

/** Four-character name segments joined by dots; a leading backslash means the root. */
function nameString(path: string): Aml {
  const root = path.startsWith('\\');
  const segments = (root ? path.slice(1) : path).split('.').map((segment) => segment.padEnd(4, '_'));
  const characters = segments.flatMap((segment) => [...segment].map((character) => character.charCodeAt(0)));
  const prefix = segments.length === 1 ? [] : segments.length === 2 ? [0x2e] : [0x2f, segments.length];
  return [...(root ? [0x5c] : []), ...prefix, ...characters];
}

/** PkgLength (20.2.4) in front of its contents: the length counts itself. */
function packaged(contents: Aml): Aml {
  const length = contents.length;
  if (length + 1 < 0x40) return [length + 1, ...contents];
  const bytes = length + 2 < 0x1000 ? 1 : length + 3 < 0x10_0000 ? 2 : 3;
  const total = length + 1 + bytes;
  const lead = [(bytes << 6) | (total & 15)];
  for (let index = 0; index < bytes; index++) lead.push((total >> (4 + 8 * index)) & 0xff);
  return [...lead, ...contents];
}

export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x1_0000) return [0x0b, ...little(value, 2)];
  return [0x0c, ...little(value, 4)];
}

export function name(path: string, value: Aml): Aml {
  return [0x08, ...nameString(path), ...value];
}

export function scope(path: string, ...contents: Aml[]): Aml {
  return [0x10, ...packaged([...nameString(path), ...contents.flat()])];
}

export function device(path: string, ...contents: Aml[]): Aml {
  return [0x5b, 0x82, ...packaged([...nameString(path), ...contents.flat()])];
}

export function packageOf(...elements: Aml[]): Aml {
  return [0x12, ...packaged([elements.length, ...elements.flat()])];
}

/** A compressed EISA identifier such as PNP0A03 (19.3.4 "EISAID"). */
export function eisaId(id: string): Aml {
  const letter = (index: number): number => id.charCodeAt(index) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  return [0x0c, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

/** A resource template: descriptors and the end tag, as a buffer (chapter 6.4). */
export function resources(...descriptors: Aml[]): Aml {
  const bytes = [...descriptors.flat(), 0x79, 0];
  return [0x11, ...packaged([...integer(bytes.length), ...bytes])];
}

/** A fixed range of I/O ports, 16-bit decode. */
export function ioPorts(first: number, count: number): Aml {
  return [0x47, 1, ...little(first, 2), ...little(first, 2), 1, count];
}

/** An ISA interrupt: edge triggered, active high. */
export function irq(line: number): Aml {
  return [0x22, ...little(1 << line, 2)];
}

/** Producer windows of a bus bridge. */
export function busNumbers(first: number, last: number): Aml {
  return [0x88, 13, 0, 2, 0x0c, 0, ...[0, first, last, 0, last - first + 1].flatMap((value) => little(value, 2))];
}

export function ioWindow(first: number, last: number): Aml {
  return [0x88, 13, 0, 1, 0x0c, 3, ...[0, first, last, 0, last - first + 1].flatMap((value) => little(value, 2))];
}

/** `last - first` must be below 4 GiB. */
export function memoryWindow(first: number, last: number): Aml {
  return [0x87, 23, 0, 0, 0x0c, 1, ...[0, first, last, 0, last - first + 1].flatMap((value) => little(value, 4))];
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, index) => Math.floor(value / 2 ** (8 * index)) & 0xff);
}
