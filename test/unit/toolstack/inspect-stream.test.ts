// What the inspector says of streams: whole, damaged, foreign, and files that are no stream.

import { expect, it } from 'vitest';
import { inspectStream } from '../../../main/toolstack/stream/inspect.ts';
import { XL_HEADER_BYTES } from '../../../main/toolstack/stream/headers.ts';
import type { LibxcRecord } from '../../../main/toolstack/stream/records.ts';
import { RECORDS, stream } from './stream-records.ts';

const page = (pfn: number): LibxcRecord => ({
  type: 'PAGE_DATA',
  pfns: [pfn],
  types: [pfn % 2 ? 1 : 0],
  data: new Uint8Array(4096),
});
const usual: LibxcRecord[] = [
  ...RECORDS.slice(0, 5),
  page(6),
  page(7),
  page(8),
  ...RECORDS.slice(6, 9),
  page(9),
  { type: 'END' },
];
const bytes = stream(usual);

it('lists every record with its place and size, runs of pages as one row', async () => {
  const report = await inspectStream('/x/web.save', [bytes.subarray(0, 5000), bytes.subarray(5000)]);
  expect(report.refusal).toBeNull();
  expect(report.summary).toBe('A domain saved by Bulkhead: PV "web", 4 pages.');
  expect(report.records.map((r) => r.type)).toEqual([
    'libxl LIBXC_CONTEXT',
    'X86_PV_INFO',
    'X86_CPUID_POLICY',
    'X86_MSR_POLICY',
    'STATIC_DATA_END',
    'X86_PV_P2M_FRAMES',
    'PAGE_DATA',
    'X86_TSC_INFO',
    'SHARED_INFO',
    'X86_PV_VCPU_BASIC',
    'PAGE_DATA',
    'END',
    'libxl END',
  ]);
  const pages = report.records[6]!;
  expect(pages.summary).toBe('3 pages in 3 records, from frame 0x6 on, 1 of them page tables.');
  expect(pages.bytes).toBe(3 * (8 + 8 + 4096));
  const view = new DataView(bytes.buffer, pages.offset);
  expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([1, 8 + 8 + 4096]);
  expect(report.facts).toContainEqual({ label: 'Checksum', value: 'right' });
  expect(report.facts).toContainEqual({ label: 'Domain header', value: 'x86 PV, Xen 4.17' });
});

it('lists what there is of a damaged stream, and what is wrong with the rest', async () => {
  const report = await inspectStream('/x/web.save', [bytes.subarray(0, bytes.length - 6000)]);
  expect(report.refusal).toMatch(/cut off after \d+ whole records/);
  expect(report.summary).toMatch(/damaged or incomplete/);
  expect(report.records.at(-1)).toMatchObject({ type: 'unreadable', problem: report.refusal });
  expect(report.records.length).toBeGreaterThan(7);
});

it("shows a stream that Xen made, without Bulkhead's part", async () => {
  const config = new DataView(bytes.buffer).getUint32(44, true);
  const report = await inspectStream('/x/xen.save', [bytes.subarray(XL_HEADER_BYTES + config, bytes.length - 8)]);
  expect(report.summary).toBe('A domain saved by libxl: PV, 4 pages.');
  expect(report.facts).toContainEqual({ label: 'Checksum', value: 'none (only Bulkhead writes one)' });
  expect(report.refusal).toBeNull();
});

it('says of another file that it is none', async () => {
  const report = await inspectStream('/x/a.txt', [new TextEncoder().encode('not a domain at all, '.repeat(9))]);
  expect(report.summary).toBe('Not a saved domain, damaged or incomplete.');
  expect(report.refusal).toMatch(/does not begin as a saved domain/);
});

it('keeps the list short', async () => {
  const many: LibxcRecord[] = [];
  for (let i = 0; i < 1500; i++) many.push(page(i), RECORDS[6]!);
  const report = await inspectStream('/x/many', [stream([...many, { type: 'END' }])]);
  expect(report.records).toHaveLength(2000);
  expect(report.facts).toContainEqual({ label: 'Not listed', value: '1003 further records' });
});
