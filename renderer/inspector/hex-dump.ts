// Memory as a debugger prints it: sixteen bytes a row, in hexadecimal and as characters; what is not mapped is dots of its own.

export interface DumpRow {
  readonly address: string;
  readonly hex: string;
  readonly text: string;
}

const PER_ROW = 16;

export function isAddress(text: string): boolean {
  return /^0x[0-9a-f]{1,16}$/i.test(text);
}

/** @param address of the first byte, 0x… */
export function dumpRows(address: string, bytes: readonly (number | null)[]): DumpRow[] {
  const start = BigInt(address);
  const rows: DumpRow[] = [];
  for (let i = 0; i < bytes.length; i += PER_ROW) {
    const row = bytes.slice(i, i + PER_ROW);
    rows.push({
      address: `0x${(start + BigInt(i)).toString(16).padStart(address.length > 10 ? 16 : 8, '0')}`,
      hex: row.map((byte) => (byte === null ? '··' : byte.toString(16).padStart(2, '0'))).join(' '),
      text: row
        .map((byte) => (byte === null ? '·' : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'))
        .join(''),
    });
  }
  return rows;
}
