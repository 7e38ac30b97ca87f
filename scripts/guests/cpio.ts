// A writer of "newc" cpio archives, the format of a Linux initial RAM file system
// (Linux Documentation/driver-api/early-userspace/buffer-format.rst). Invariant: equal input, equal bytes.

/** One archive member. `data` is the file's bytes, or the target of a symbolic link. */
export interface CpioEntry {
  readonly path: string;
  /** st_mode: type and permission bits. */
  readonly mode: number;
  readonly data?: Uint8Array;
  /** Device number of a character or block special file. */
  readonly device?: { readonly major: number; readonly minor: number };
}

export const FileMode = { Directory: 0o040755, Executable: 0o100755, Symlink: 0o120777, CharDevice: 0o020600 } as const;

const TRAILER = 'TRAILER!!!';

/** Writes the archive, members in the order given, every owner root and every time 0, padded to 512 bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  const push = (bytes: Uint8Array): void => {
    parts.push(bytes);
    length += bytes.length;
  };
  const padTo = (alignment: number): void => push(new Uint8Array((alignment - (length % alignment)) % alignment));
  const member = (entry: CpioEntry, inode: number): void => {
    const name = new TextEncoder().encode(`${entry.path}\0`);
    const data = entry.data ?? new Uint8Array(0);
    const fields = [
      inode,
      entry.mode,
      0, // uid
      0, // gid
      1, // links
      0, // mtime
      data.length,
      0, // device the file is on
      0,
      entry.device?.major ?? 0,
      entry.device?.minor ?? 0,
      name.length,
      0, // check, unused in newc
    ];
    const header = `070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('')}`;
    push(new TextEncoder().encode(header));
    push(name);
    padTo(4);
    push(data);
    padTo(4);
  };
  entries.forEach((entry, index) => member(entry, index + 1));
  member({ path: TRAILER, mode: 0 }, 0);
  padTo(512);
  const archive = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    archive.set(part, offset);
    offset += part.length;
  }
  return archive;
}
