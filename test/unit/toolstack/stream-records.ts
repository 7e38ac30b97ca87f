// One record of every kind, and a small stream made of them.

import { StreamWriter } from '../../../main/toolstack/stream/writer.ts';
import type { LibxcRecord } from '../../../main/toolstack/stream/records.ts';
import { SAVED_VERSION, type SavedDomain } from '../../../main/toolstack/stream/config.ts';
import { DomainSpec } from '../../../shared/model.ts';

const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

export const RECORDS: readonly LibxcRecord[] = [
  { type: 'X86_PV_INFO', guestWidth: 8, ptLevels: 4 },
  { type: 'X86_CPUID_POLICY', leaves: [{ leaf: 1, subleaf: 0xffff_ffff, a: 1, b: 2, c: 3, d: 0xffff_fffe }] },
  { type: 'X86_MSR_POLICY', msrs: [{ index: 0xce, flags: 0, value: 0x8000_0000_0000_0001n }] },
  { type: 'STATIC_DATA_END' },
  { type: 'X86_PV_P2M_FRAMES', startPfn: 0, endPfn: 1023, frames: [5, 0xffff_fff0] },
  // a plain page, a pinned L4, one that does not exist, one without contents
  { type: 'PAGE_DATA', pfns: [3, 0xf_fffe, 9, 10], types: [0, 0xc, 0xf, 0xe], data: bytes(8192, 1) },
  { type: 'X86_TSC_INFO', mode: 2, khz: 2_500_000, nsec: 123_456_789_012_345n, incarnation: 3 },
  { type: 'SHARED_INFO', page: bytes(4096, 2) },
  { type: 'X86_PV_VCPU_BASIC', vcpu: 1, context: bytes(5168, 3) },
  { type: 'X86_PV_VCPU_EXTENDED', vcpu: 1, context: bytes(61, 4) },
  { type: 'X86_PV_VCPU_XSAVE', vcpu: 1, context: bytes(16, 5) },
  { type: 'X86_PV_VCPU_MSRS', vcpu: 1, context: bytes(32, 6) },
  { type: 'HVM_CONTEXT', context: bytes(99, 7) },
  {
    type: 'HVM_PARAMS',
    params: [
      [1, 0xfeffcn],
      [17, 0xfefffn],
    ],
  },
  { type: 'VERIFY' },
  { type: 'CHECKPOINT' },
  { type: 'OTHER', number: 0x8000_0123, body: bytes(5, 8) },
  { type: 'END' },
];

export const SAVED: SavedDomain = {
  version: SAVED_VERSION,
  spec: DomainSpec.parse({ name: 'web', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 16 }),
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  bits: 64,
  host: 'alder',
  savedAt: 1_500_000_000,
  clockMHz: 1000,
  maxPages: 4096,
  memoryMap: [{ address: 0, size: 16 << 20, type: 1 }],
  consoleBytes: 77,
  macs: [],
  scrollback: Buffer.from('printed before').toString('base64'),
};

/** A whole stream as one array of bytes. */
export function stream(records: readonly LibxcRecord[] = RECORDS, saved = SAVED): Uint8Array {
  const pieces: Uint8Array[] = [];
  const writer = new StreamWriter((piece) => pieces.push(piece));
  writer.headers(saved);
  for (const r of records) writer.record(r);
  return Uint8Array.from(Buffer.concat(pieces));
}
