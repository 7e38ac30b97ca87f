// Lists a stream for people: its layers, its records with sizes and what they hold, and why it cannot be restored here.
// Unlike everything else that reads streams it goes as far as it can and reports what is wrong in place of refusing.

import type { StreamRecord, StreamReport } from '../../../shared/migration-service.ts';
import { BulkheadError } from '../../../shared/errors.ts';
import { DomainType, LibxlRecord } from './headers.ts';
import { StreamReader, type StreamItem } from './reader.ts';
import { hasContents, type LibxcRecord, type PageData, PageType, recordName } from './records.ts';

const MAX_ROWS = 2000;
const LIBXL_NAMES = new Map(Object.entries(LibxlRecord).map(([name, number]) => [number as number, name]));

/** What is wrong, where, when reading stopped early. */
interface Problem {
  text: string;
  /** Byte offset of the record that it is about. */
  offset: number;
}

/** @param path shown in the report; the bytes come from `pieces` */
export async function inspectStream(
  path: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<StreamReport> {
  const listing = new Listing();
  const reader = new StreamReader();
  let bytes = 0;
  let problem: Problem | null = null;
  const failed = (e: unknown): Problem => {
    if (!(e instanceof BulkheadError)) throw e;
    return { text: e.sentences.why, offset: reader.at };
  };
  for await (const piece of pieces) {
    bytes += piece.length;
    if (problem) continue;
    try {
      reader.push(piece, (item) => listing.add(item));
    } catch (e) {
      problem = failed(e);
    }
  }
  if (!problem)
    try {
      for (const item of reader.finish()) listing.add(item);
    } catch (e) {
      problem = failed(e);
    }
  if (problem) listing.fail(problem);
  return listing.report(path, bytes, problem);
}

class Listing {
  private readonly rows: StreamRecord[] = [];
  private readonly facts: { label: string; value: string }[] = [];
  private kind = 'Not a saved domain';
  private name: string | null = null;
  private type: number | null = null;
  private run: { records: number; pages: number; tables: number; absent: number; first: number } | null = null;
  private dropped = 0;
  private pages = 0;
  private foreign = true;
  private refusal: string | null = null;

  private fact(label: string, value: string | number): void {
    this.facts.push({ label, value: String(value) });
  }

  private row(r: StreamRecord): void {
    if (this.rows.length < MAX_ROWS) this.rows.push(r);
    else this.dropped++;
  }

  add(item: StreamItem): void {
    if (item.kind === 'record' && item.record.type === 'PAGE_DATA') return this.addPages(item.record, item);
    this.run = null;
    switch (item.kind) {
      case 'config': {
        const { config } = item;
        this.kind = 'A domain saved by xl';
        this.fact('xl header', `configuration of ${item.bytes} bytes`);
        this.name = config.saved?.spec.name ?? config.name;
        if (this.name) this.fact('Name', this.name);
        if (config.uuid) this.fact('UUID', config.uuid);
        if (config.type) this.fact('Kind', config.type);
        if (config.memoryKiB) this.fact('Memory', `${config.memoryKiB / 1024} MiB`);
        if (config.vcpus) this.fact('vCPUs', config.vcpus);
        if (config.saved) {
          this.foreign = false;
          this.kind = 'A domain saved by Bulkhead';
          this.fact('Saved', `on ${config.saved.host} at ${(config.saved.savedAt / 1e9).toFixed(6)} s of lab time`);
          this.fact('Format of Bulkhead', config.saved.version);
        }
        return;
      }
      case 'libxl-header':
        if (this.kind.startsWith('Not')) this.kind = 'A domain saved by libxl';
        return this.fact('libxl header', 'version 2, little endian');
      case 'libxl-record':
        return this.row({
          index: item.index,
          offset: item.offset,
          type: `libxl ${LIBXL_NAMES.get(item.number) ?? `0x${item.number.toString(16)}`}`,
          bytes: item.bytes,
          summary:
            item.number === LibxlRecord.LIBXC_CONTEXT
              ? 'The libxc stream follows.'
              : item.number === LibxlRecord.END
                ? 'The end of the outer stream.'
                : 'State of a device emulator.',
          problem: null,
        });
      case 'libxc-header':
        if (this.kind.startsWith('Not')) this.kind = 'A domain saved by libxc';
        this.type = item.header.type;
        this.fact('libxc header', `version ${item.header.version}, little endian`);
        this.fact(
          'Domain header',
          `${item.header.type === DomainType.PV ? 'x86 PV' : 'x86 HVM'}, Xen ${item.header.xen}`,
        );
        return;
      case 'record':
        return this.row({
          index: item.index,
          offset: item.offset,
          type: recordName(item.number),
          bytes: item.bytes,
          summary: this.describe(item.record),
          problem: null,
        });
      case 'end':
        return this.fact('Checksum', item.checked ? 'right' : 'none (only Bulkhead writes one)');
    }
  }

  /** Runs of page records are one row. */
  private addPages(r: PageData, item: Extract<StreamItem, { kind: 'record' }>): void {
    const last = this.rows.at(-1);
    const run = this.run ?? { records: 0, pages: 0, tables: 0, absent: 0, first: r.pfns[0]! };
    run.records++;
    run.pages += r.pfns.length;
    run.tables += r.types.filter((t) => hasContents(t) && t !== PageType.Normal).length;
    run.absent += r.types.filter((t) => !hasContents(t)).length;
    this.pages += r.pfns.length;
    const tables = run.tables ? `, ${run.tables} of them page tables` : '';
    const absent = run.absent ? `, ${run.absent} without contents` : '';
    const summary = `${run.pages} pages in ${run.records} ${run.records === 1 ? 'record' : 'records'}, from frame 0x${run.first.toString(16)} on${tables}${absent}.`;
    if (this.run && last) {
      last.bytes += item.bytes;
      last.summary = summary;
    } else
      this.row({
        index: item.index,
        offset: item.offset,
        type: 'PAGE_DATA',
        bytes: item.bytes,
        summary,
        problem: null,
      });
    this.run = run;
  }

  private describe(r: LibxcRecord): string {
    switch (r.type) {
      case 'END':
        return 'The end of the libxc stream.';
      case 'VERIFY':
        return 'Memory that follows is compared, not loaded.';
      case 'CHECKPOINT':
        this.refusal = 'It is the stream of a domain that is being replicated.';
        return 'A consistent state of the domain ends here; another follows.';
      case 'STATIC_DATA_END':
        return 'What never changes about the domain ends here.';
      case 'X86_PV_INFO':
        return `A ${r.guestWidth * 8}-bit guest with ${r.ptLevels} levels of page tables.`;
      case 'X86_PV_P2M_FRAMES':
        return `The guest's list of frames 0x${r.startPfn.toString(16)} to 0x${r.endPfn.toString(16)} lies in ${r.frames.length} frames.`;
      case 'X86_PV_VCPU_BASIC':
        return `Registers, traps and callbacks of vCPU ${r.vcpu}.`;
      case 'X86_PV_VCPU_EXTENDED':
        return `Further callbacks of vCPU ${r.vcpu}.`;
      case 'X86_PV_VCPU_XSAVE':
        if (r.context.length > 16) this.refusal = 'The guest uses XSAVE, which the simulated CPU does not have.';
        return `Extended registers of vCPU ${r.vcpu}.`;
      case 'X86_PV_VCPU_MSRS':
        return `${r.context.length / 16} model-specific registers of vCPU ${r.vcpu}.`;
      case 'SHARED_INFO':
        return 'The page that the domain shares with the hypervisor.';
      case 'X86_TSC_INFO':
        return `Time-stamp counter of ${r.khz / 1000} MHz, mode ${r.mode}; the domain's clock was at ${(Number(r.nsec) / 1e9).toFixed(6)} s.`;
      case 'HVM_CONTEXT':
        return `${r.context.length} bytes of vCPUs and devices, as the hypervisor keeps them.`;
      case 'HVM_PARAMS':
        return `Parameters ${r.params.map(([index]) => index).join(', ')}.`;
      case 'X86_CPUID_POLICY':
        return `${r.leaves.length} CPUID leaves that the guest has seen.`;
      case 'X86_MSR_POLICY':
        return `${r.msrs.length} model-specific registers that the guest has seen.`;
      case 'OTHER':
        return r.number >= 0x8000_0000
          ? 'Not known here; it may be skipped.'
          : 'Known, and not used by domains that run here.';
      case 'PAGE_DATA':
        return '';
    }
  }

  fail(problem: Problem): void {
    this.refusal = problem.text;
    this.row({
      index: this.rows.length ? this.rows.at(-1)!.index + 1 : 0,
      offset: problem.offset,
      type: 'unreadable',
      bytes: 0,
      summary: 'Reading stopped here.',
      problem: problem.text,
    });
  }

  report(path: string, bytes: number, problem: Problem | null): StreamReport {
    if (this.dropped) this.fact('Not listed', `${this.dropped} further records`);
    this.fact('Pages', this.pages);
    this.fact('Bytes', bytes);
    const known =
      this.type === null
        ? ''
        : `: ${this.type === DomainType.PV ? 'PV' : 'HVM or PVH'}${this.name ? ` "${this.name}"` : ''}, ${this.pages} pages`;
    return {
      path,
      summary: `${this.kind}${known}${problem ? ', damaged or incomplete' : ''}.`,
      facts: this.facts,
      records: this.rows,
      refusal: this.refusal ?? (this.foreign && this.type === null ? 'It holds no domain.' : null),
    };
  }
}
