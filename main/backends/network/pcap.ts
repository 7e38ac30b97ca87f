// The classic capture format that tcpdump and Wireshark read (draft-ietf-opsawg-pcap, sections 4 and 5), with nanoseconds.

const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET = 1;
const SNAP_LENGTH = 65_535;

/** The head of a capture file: 24 bytes. */
export function pcapHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, MAGIC_NANOSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_LENGTH, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return new Uint8Array(view.buffer);
}

/** One frame as it follows in the file. @param unixNs when it passed, in ns since 1970 */
export function pcapRecord(frame: Uint8Array, unixNs: bigint): Uint8Array {
  const bytes = new Uint8Array(16 + frame.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Number(unixNs / 1_000_000_000n), true);
  view.setUint32(4, Number(unixNs % 1_000_000_000n), true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, frame.length, true);
  bytes.set(frame, 16);
  return bytes;
}
