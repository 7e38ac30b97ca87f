// The headers of the three layers of a saved domain: xl's file header (tools/xl/xl.h), libxl's and libxc's (docs/specs). All are little
// endian but the marks and versions of libxl and libxc, which are big endian whatever made them.

import { XEN_MAJOR, XEN_MINOR } from '../../hypervisor/cpuid.ts';
import { streamError } from './errors.ts';

export const XL_MAGIC = 'Xen saved domain, xl format\n \0 \r';
const XL_BYTE_ORDER = 0x0102_0304;
/** XL_MANDATORY_FLAG_JSON | XL_MANDATORY_FLAG_STREAMv2. */
const XL_FLAGS = 3;
export const XL_HEADER_BYTES = 48;
/** "LibxlFmt". */
const LIBXL_IDENT = 0x4c69_6278_6c46_6d74n;
const LIBXL_VERSION = 2;
export const LIBXL_HEADER_BYTES = 16;
const LIBXC_MARKER = 0xffff_ffff_ffff_ffffn;
/** "XENF". */
const LIBXC_IDENT = 0x5845_4e46;
export const LIBXC_VERSION = 3;
export const LIBXC_HEADER_BYTES = 24;
export const DOMAIN_HEADER_BYTES = 16;

export const DomainType = { PV: 1, HVM: 2 } as const;
/** Records of the libxl layer. */
export const LibxlRecord = {
  END: 0,
  LIBXC_CONTEXT: 1,
  EMULATOR_XENSTORE_DATA: 2,
  EMULATOR_CONTEXT: 3,
  CHECKPOINT_END: 4,
  CHECKPOINT_STATE: 5,
} as const;

const asciiBytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const notThat = (why: string) => streamError('stream-unsupported', why, 'Choose a file that Bulkhead or xl save made.');

/** xl's header with the configuration behind it. */
export function encodeXlHeader(config: string): Uint8Array {
  const json = new TextEncoder().encode(config);
  const out = new Uint8Array(XL_HEADER_BYTES + json.length);
  out.set(asciiBytes(XL_MAGIC));
  const view = new DataView(out.buffer);
  view.setUint32(32, XL_BYTE_ORDER, true);
  view.setUint32(36, XL_FLAGS, true);
  view.setUint32(44, json.length, true);
  out.set(json, XL_HEADER_BYTES);
  return out;
}

/** Whether bytes begin as an xl file does. Needs 32 bytes. */
export function isXl(bytes: Uint8Array): boolean {
  return asciiBytes(XL_MAGIC).every((b, i) => bytes[i] === b);
}

/** Length of the configuration behind an xl header of XL_HEADER_BYTES. @throws BulkheadError stream-unsupported */
export function decodeXlHeader(bytes: Uint8Array): { configBytes: number; json: boolean } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(32, true) !== XL_BYTE_ORDER) throw notThat('A computer of the other byte order made it.');
  const flags = view.getUint32(36, true);
  if (flags & ~XL_FLAGS) throw notThat(`It needs features of xl that are not known here (0x${flags.toString(16)}).`);
  if (!(flags & 2)) throw notThat('It has the format from before Xen 4.6.');
  return { configBytes: view.getUint32(44, true), json: (flags & 1) !== 0 };
}

export function encodeLibxlHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(LIBXL_HEADER_BYTES));
  view.setBigUint64(0, LIBXL_IDENT);
  view.setUint32(8, LIBXL_VERSION);
  return new Uint8Array(view.buffer);
}

export function isLibxl(bytes: Uint8Array): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) === LIBXL_IDENT;
}

/** @throws BulkheadError stream-unsupported */
export function checkLibxlHeader(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (!isLibxl(bytes)) throw notThat('It does not begin as a libxl stream does.');
  const version = view.getUint32(8);
  if (version !== LIBXL_VERSION)
    throw notThat(`Its libxl format is ${version}; format ${LIBXL_VERSION} is known here.`);
  const options = view.getUint32(12);
  if (options & 1) throw notThat('A computer of the other byte order made it.');
  if (options & ~3) throw notThat(`Its libxl options 0x${options.toString(16)} are not known here.`);
}

export interface ImageHeader {
  version: number;
  type: (typeof DomainType)[keyof typeof DomainType];
  xen: string;
}

/** libxc's image header and domain header. */
export function encodeLibxcHeaders(type: ImageHeader['type']): Uint8Array {
  const view = new DataView(new ArrayBuffer(LIBXC_HEADER_BYTES + DOMAIN_HEADER_BYTES));
  view.setBigUint64(0, LIBXC_MARKER);
  view.setUint32(8, LIBXC_IDENT);
  view.setUint32(12, LIBXC_VERSION);
  view.setUint32(24, type, true);
  view.setUint16(28, 12, true);
  view.setUint32(32, XEN_MAJOR, true);
  view.setUint32(36, XEN_MINOR, true);
  return new Uint8Array(view.buffer);
}

export function isLibxc(bytes: Uint8Array): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) === LIBXC_MARKER;
}

/** @throws BulkheadError stream-unsupported, stream-corrupt */
export function decodeLibxcHeaders(bytes: Uint8Array): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (!isLibxc(bytes) || view.getUint32(8) !== LIBXC_IDENT) throw notThat('It does not begin as a saved domain does.');
  const version = view.getUint32(12);
  if (version < 2 || version > LIBXC_VERSION)
    throw streamError(
      'stream-unsupported',
      `Its libxc format is ${version}; formats 2 and ${LIBXC_VERSION} are known here.`,
      version > LIBXC_VERSION ? 'Use a newer Bulkhead.' : 'Save the domain again with a newer Xen.',
    );
  if (view.getUint16(16) & 1) throw notThat('A computer of the other byte order made it.');
  if (view.getUint16(16) & ~1 || view.getUint16(18) || view.getUint32(20))
    throw streamError('stream-corrupt', 'Reserved bits of its image header are set.', 'Use an intact copy.');
  const type = view.getUint32(24, true);
  if (type !== DomainType.PV && type !== DomainType.HVM)
    throw notThat(`Its domain is of type ${type}, which no x86 Xen has.`);
  if (view.getUint16(28, true) !== 12) throw notThat(`Its pages have 2^${view.getUint16(28, true)} bytes, not 4096.`);
  return { version, type, xen: `${view.getUint32(32, true)}.${view.getUint32(36, true)}` };
}
