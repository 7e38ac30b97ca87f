// Builds small kernel images for tests.

/** An ELF executable with one segment and optional notes. */
export function makeElf(options: {
  bits: 32 | 64;
  entry: bigint;
  virtualAddress: bigint;
  physicalAddress: bigint;
  data: Uint8Array;
  memorySize?: number;
  machine?: number;
  notes?: Uint8Array;
  /** What the note segment claims as its length; default: the notes'. */
  noteSize?: number;
}): Uint8Array {
  const wide = options.bits === 64;
  const header = wide ? 64 : 52;
  const entrySize = wide ? 56 : 32;
  const notes = options.notes ?? new Uint8Array(0);
  const count = notes.length > 0 ? 2 : 1;
  const dataAt = header + entrySize * count;
  const notesAt = dataAt + options.data.length;
  const bytes = new Uint8Array(notesAt + notes.length);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: bigint): void =>
    wide ? view.setBigUint64(at, value, true) : view.setUint32(at, Number(value), true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, options.machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, options.entry);
  word(wide ? 32 : 28, BigInt(header));
  view.setUint16(wide ? 52 : 40, header, true);
  view.setUint16(wide ? 54 : 42, entrySize, true);
  view.setUint16(wide ? 56 : 44, count, true);
  const program = (
    index: number,
    type: number,
    offset: number,
    vaddr: bigint,
    paddr: bigint,
    filesz: number,
    memsz: number,
  ): void => {
    const at = header + index * entrySize;
    view.setUint32(at, type, true);
    if (wide) {
      view.setUint32(at + 4, 7, true);
      word(at + 8, BigInt(offset));
      word(at + 16, vaddr);
      word(at + 24, paddr);
      word(at + 32, BigInt(filesz));
      word(at + 40, BigInt(memsz));
    } else {
      word(at + 4, BigInt(offset));
      word(at + 8, vaddr);
      word(at + 12, paddr);
      word(at + 16, BigInt(filesz));
      word(at + 20, BigInt(memsz));
      view.setUint32(at + 24, 7, true);
    }
  };
  const memorySize = options.memorySize ?? options.data.length;
  program(0, 1, dataAt, options.virtualAddress, options.physicalAddress, options.data.length, memorySize);
  if (count === 2) program(1, 4, notesAt, 0n, 0n, options.noteSize ?? notes.length, notes.length);
  bytes.set(options.data, dataAt);
  bytes.set(notes, notesAt);
  return bytes;
}

export function makeNote(name: string, type: number, description: Uint8Array): Uint8Array {
  const pad = (length: number): number => (length + 3) & ~3;
  const bytes = new Uint8Array(12 + pad(name.length + 1) + pad(description.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length + 1, true);
  view.setUint32(4, description.length, true);
  view.setUint32(8, type, true);
  bytes.set(new TextEncoder().encode(name), 12);
  bytes.set(description, 12 + pad(name.length + 1));
  return bytes;
}

/** A bzImage of protocol 2.15 with this protected-mode part and payload (appended to it). */
export function makeBzImage(code: Uint8Array, payload: Uint8Array, payloadSize: number): Uint8Array {
  const setup = 1024; // one setup sector
  const bytes = new Uint8Array(setup + code.length + payload.length + 4);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 1;
  view.setUint16(0x1fe, 0xaa55, true);
  bytes[0x200] = 0xeb;
  bytes[0x201] = 0x66;
  bytes.set(new TextEncoder().encode('HdrS'), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint16(0x20e, 0x100, true);
  bytes.set(new TextEncoder().encode('6.1.0-test (someone) #1'), 0x300);
  bytes[0x211] = 1;
  view.setUint32(0x214, 0x10_0000, true);
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, 0x20_0000, true);
  bytes[0x234] = 1;
  view.setUint32(0x238, 255, true);
  view.setUint32(0x248, code.length, true);
  view.setUint32(0x24c, payload.length + 4, true);
  view.setBigUint64(0x258, 0x20_0000n, true);
  view.setUint32(0x260, 0x10_0000, true);
  bytes.set(code, setup);
  bytes.set(payload, setup + code.length);
  view.setUint32(setup + code.length + payload.length, payloadSize, true);
  return bytes;
}
