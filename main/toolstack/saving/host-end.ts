// Saving and restoring as one host offers them, piece by piece: the runs that are under way, by the engine's number.
// Invariant: nothing of a restored domain exists before its stream's configuration has been read, and nothing after it was abandoned.

import { BulkheadError, toSentences } from '../../../shared/errors.ts';
import type { DomainSpec } from '../../../shared/model.ts';
import type { DiskBacking } from '../simulated-host.ts';
import type { SavedDomain } from '../stream/config.ts';
import { foreignDomain } from '../stream/foreign.ts';
import { StreamReader } from '../stream/reader.ts';
import { MAX_BATCH } from '../stream/records.ts';
import { StreamWriter } from '../stream/writer.ts';
import type { SuspensionState } from './calls.ts';
import type { DomainRebuild, DomainSource, RebuildOptions } from './contract.ts';

/** What this needs of its host under the hypervisor. */
export interface SavingHost {
  readonly host: { domain(domid: number): unknown };
  domainSource(domid: number): DomainSource;
  rebuild(options: RebuildOptions): DomainRebuild;
}

interface Saving {
  source: DomainSource;
  state: SuspensionState;
  writer: StreamWriter;
  written: Uint8Array[];
  /** Frames still to be written; null before the head. */
  pfns: number[] | null;
  ended: boolean;
}
interface Restoring {
  reader: StreamReader;
  options: Pick<RebuildOptions, 'spec' | 'identity' | 'disks' | 'paused'>;
  spec: DomainSpec;
  bits: 32 | 64;
  saved: SavedDomain | null;
  rebuild: DomainRebuild | null;
}

export class SavingEnds {
  private readonly xen: SavingHost;
  private readonly saving = new Map<number, Saving>();
  private readonly restoring = new Map<number, Restoring>();

  constructor(xen: SavingHost) {
    this.xen = xen;
  }

  /** Asks the guest to suspend itself. @throws BulkheadError when this domain cannot be read */
  begin(id: number, domid: number): void {
    const source = this.xen.domainSource(domid);
    // Refuses guests that cannot be read at all before they are asked.
    source.headerRecords();
    const written: Uint8Array[] = [];
    const run: Saving = {
      source,
      state: { is: 'asked' },
      writer: new StreamWriter((bytes) => written.push(bytes)),
      written,
      pfns: null,
      ended: false,
    };
    this.saving.set(id, run);
    source.suspend((refusal) => {
      run.state = refusal ? { is: 'refused', why: toSentences(refusal) } : { is: 'suspended' };
    });
  }

  state(id: number): SuspensionState {
    const run = this.saving.get(id);
    if (!run) throw unknownRun(id);
    if (!this.xen.host.domain(run.source.domid))
      return { is: 'refused', why: toSentences(gone('It was destroyed meanwhile.')) };
    return run.state;
  }

  /** The next piece, at most 4 MiB of pages; null after the last. The domain must be suspended. */
  piece(id: number, scrollback?: Uint8Array): Uint8Array | null {
    const run = this.saving.get(id);
    if (!run) throw unknownRun(id);
    if (run.ended) return null;
    const { source, writer } = run;
    if (!run.pfns) {
      const saved = source.saved();
      if (scrollback) saved.scrollback = Buffer.from(scrollback).toString('base64');
      writer.headers(saved);
      for (const r of source.headerRecords()) writer.record(r);
      run.pfns = source.pfns();
    } else if (run.pfns.length) writer.record(source.pageRecord(run.pfns.splice(0, MAX_BATCH)));
    else {
      for (const r of source.stateRecords()) writer.record(r);
      writer.record({ type: 'END' });
      run.ended = true;
    }
    const pieces = run.written.splice(0);
    return pieces.length === 1 ? pieces[0]! : Uint8Array.from(Buffer.concat(pieces));
  }

  end(id: number, goOn: boolean): void {
    const run = this.saving.get(id);
    this.saving.delete(id);
    if (run && goOn && this.xen.host.domain(run.source.domid)) run.source.resumeHere();
  }

  /** @param bits width of the guest, for streams that do not say it in front */
  expect(id: number, spec: DomainSpec, bits: 32 | 64, uuid: string, paused: boolean, disks: () => DiskBacking[]): void {
    this.restoring.set(id, {
      reader: new StreamReader(),
      options: {
        identity: { name: spec.name, uuid, macs: spec.nics.map((nic) => nic.mac ?? null) },
        disks,
        paused,
      },
      spec,
      bits,
      saved: null,
      rebuild: null,
    });
  }

  /** @throws BulkheadError; then nothing of it is left here */
  feed(id: number, bytes: Uint8Array): void {
    const run = this.arriving(id);
    try {
      for (const item of run.reader.push(bytes)) {
        if (item.kind === 'config') run.saved = item.config.saved;
        else if (item.kind === 'libxc-header') {
          const saved = run.saved ?? foreignDomain(run.spec, item.header.type, run.bits);
          run.rebuild = this.xen.rebuild({ saved, spec: run.spec, ...run.options });
        } else if (item.kind === 'record') run.rebuild!.record(item.record);
      }
    } catch (error) {
      this.abandon(id);
      throw error;
    }
  }

  /** @throws BulkheadError; then nothing of it is left here */
  finish(id: number): number {
    const run = this.arriving(id);
    try {
      run.reader.finish();
      const domid = run.rebuild!.finish();
      this.restoring.delete(id);
      return domid;
    } catch (error) {
      this.abandon(id);
      throw error;
    }
  }

  abandon(id: number): void {
    const run = this.restoring.get(id);
    this.restoring.delete(id);
    run?.rebuild?.abandon();
  }

  private arriving(id: number): Restoring {
    const run = this.restoring.get(id);
    if (!run) throw unknownRun(id);
    return run;
  }
}

const gone = (why: string) =>
  new BulkheadError({ code: 'not-possible-now', what: 'The domain was not saved.', why, action: '' });

function unknownRun(id: number): BulkheadError {
  return new BulkheadError({
    code: 'not-found',
    what: `This host knows nothing of run ${id}.`,
    why: 'It has ended, or the host was started anew.',
    action: 'Start it again.',
  });
}
