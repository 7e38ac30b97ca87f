// The target's end of a live migration: takes the stream as it arrives and ends with a domain that is complete and does not run yet.
// Invariant: until activate() nothing of the domain runs here; abandon() leaves nothing of it.

import type { DomainRebuild, RebuildOptions } from '../saving/contract.ts';
import type { SavedDomain } from '../stream/config.ts';
import type { DiskBacking } from '../simulated-host.ts';
import { StreamReader } from '../stream/reader.ts';
import { streamError } from '../stream/errors.ts';
import { DISK_BLOCKS, writeBlocks } from './disk-copy.ts';

/** What the receiver needs of its host. */
export interface ReceivingHost {
  rebuild(options: RebuildOptions): DomainRebuild;
  unpauseDomain(domid: number): void;
  destroyDomain(domid: number): void;
  /** Tells the network that its addresses are here now. */
  announce(domid: number): void;
}

export class MigrationReceiver {
  private readonly host: ReceivingHost;
  private readonly options: (saved: SavedDomain) => RebuildOptions;
  private readonly disks: () => readonly DiskBacking[];
  private readonly reader = new StreamReader();
  private rebuild: DomainRebuild | null = null;
  /** Its number once it is complete. */
  private domid = -1;

  /**
   * @param disks its images here, opened at the first call
   * @param options how the domain is rebuilt, once the stream has said what it is
   */
  constructor(
    host: ReceivingHost,
    disks: () => readonly DiskBacking[],
    options: (saved: SavedDomain) => RebuildOptions,
  ) {
    this.host = host;
    this.disks = disks;
    this.options = options;
  }

  /**
   * Takes what arrived.
   * @returns true when the domain is complete
   * @throws BulkheadError when the stream is wrong or this host cannot hold the domain; the caller then calls abandon()
   */
  feed(bytes: Uint8Array): boolean {
    for (const item of this.reader.push(bytes)) {
      if (item.kind === 'config') {
        if (!item.config.saved)
          throw streamError('stream-unsupported', 'It does not say what the domain is.', 'Migrate from Bulkhead.');
        this.rebuild = this.host.rebuild(this.options(item.config.saved));
      } else if (item.kind === 'record') {
        const r = item.record;
        if (r.type === 'OTHER' && r.number === DISK_BLOCKS) writeBlocks(r.body, this.disks());
        else this.rebuild!.record(r);
      } else if (item.kind === 'end') {
        if (!item.checked)
          throw streamError('stream-corrupt', 'It ends without its checksum.', 'Start the migration again.');
        this.domid = this.rebuild!.finish();
        return true;
      }
    }
    return false;
  }

  /** It is this host's now, and runs. @returns its number */
  activate(): number {
    this.host.unpauseDomain(this.domid);
    this.host.announce(this.domid);
    return this.domid;
  }

  abandon(): void {
    if (this.domid >= 0) this.host.destroyDomain(this.domid);
    else this.rebuild?.abandon();
    this.rebuild = null;
  }
}
