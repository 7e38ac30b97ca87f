// Live migration as one host offers it: the ends of all runs that leave from here or arrive here, by number.

import { BulkheadError } from '../../../shared/errors.ts';
import type { MigrationPolicy } from '../../../shared/migration-service.ts';
import type { DomainSpec } from '../../../shared/model.ts';
import type { BlockBackend } from '../../backends/block/block-backend.ts';
import type { Domain } from '../../hypervisor/domain.ts';
import type { DomainSource } from '../saving/contract.ts';
import type { DiskBacking } from '../simulated-host.ts';
import { StreamWriter } from '../stream/writer.ts';
import { CopiedDisks } from './disk-copy.ts';
import { MigrationReceiver, type ReceivingHost } from './receiver.ts';
import { type Chunk, MigrationSender, type MovingDomain, type SenderReport } from './sender.ts';

/** How long a guest may take from the request until it is suspended. */
const SUSPEND_LIMIT_NS = 60e9;
const REASONS = [
  'switched itself off',
  'rebooted',
  'suspended',
  'crashed',
  'was stopped by its watchdog',
  'reset itself',
];

/** What this needs of its host under the hypervisor. */
export interface MigratingHost extends ReceivingHost {
  readonly host: { domain(domid: number): Domain | undefined; now(): number };
  domainSource(domid: number): DomainSource;
  disksOf(domid: number): readonly BlockBackend[];
}

/** What the target is told of the domain before its first byte. */
export interface Arrival {
  spec: DomainSpec;
  name: string;
  disks: () => DiskBacking[];
}

export class MigrationEnds {
  private readonly xen: MigratingHost;
  private readonly outgoing = new Map<number, { sender: MigrationSender; domid: number }>();
  private readonly incoming = new Map<number, MigrationReceiver>();

  constructor(xen: MigratingHost) {
    this.xen = xen;
  }

  /** Begins to send; `copied`: positions of the disks that go along. @throws BulkheadError when this kind of domain cannot be read */
  send(id: number, domid: number, policy: MigrationPolicy, latencyNs: number, copied: readonly number[]): SenderReport {
    const domain = movingDomain(this.xen, domid, copied);
    const sender = new MigrationSender(domain, policy, this.xen.host.now(), latencyNs);
    this.outgoing.set(id, { sender, domid });
    return sender.report();
  }

  /** One stretch of time on the link; see MigrationSender.turn. */
  turn(id: number, from: number, to: number, bytesPerNs: number): { chunks: Chunk[]; report: SenderReport } {
    const { sender } = this.sending(id);
    const chunks = sender.turn(from, to, bytesPerNs);
    return { chunks, report: sender.report() };
  }

  /** No live round after this one. @returns false when the live rounds have ended already */
  stopLive(id: number): boolean {
    return this.sending(id).sender.stopLive();
  }

  /** The target has the domain: it ends here. */
  release(id: number): void {
    const { sender, domid } = this.sending(id);
    this.outgoing.delete(id);
    sender.release();
    this.xen.destroyDomain(domid);
  }

  /** The domain stays here and runs on, unless its guest ended by itself. Harmless for a run that is not known. */
  rollBack(id: number): void {
    const run = this.outgoing.get(id);
    this.outgoing.delete(id);
    // destroyed meanwhile: nothing to go back to
    if (run && this.xen.host.domain(run.domid)) run.sender.rollBack();
  }

  /** Expects a domain. */
  receive(id: number, arrival: Arrival): void {
    let opened: DiskBacking[] | null = null;
    const disks = (): DiskBacking[] => (opened ??= arrival.disks());
    this.incoming.set(
      id,
      new MigrationReceiver(this.xen, disks, (saved) => ({
        saved,
        identity: { name: arrival.name, uuid: saved.uuid, macs: saved.macs },
        spec: arrival.spec,
        disks,
        paused: true,
      })),
    );
  }

  /** @returns true when the domain is complete @throws BulkheadError; then nothing of it is left here */
  feed(id: number, pieces: readonly Uint8Array[]): boolean {
    const receiver = this.arriving(id);
    let ready = false;
    try {
      for (const bytes of pieces) ready = receiver.feed(bytes) || ready;
    } catch (error) {
      this.abandon(id);
      throw error;
    }
    return ready;
  }

  /** @returns the number it has here */
  activate(id: number): number {
    const domid = this.arriving(id).activate();
    this.incoming.delete(id);
    return domid;
  }

  /** Harmless for a run that is not known. */
  abandon(id: number): void {
    const receiver = this.incoming.get(id);
    this.incoming.delete(id);
    receiver?.abandon();
  }

  private sending(id: number): { sender: MigrationSender; domid: number } {
    const run = this.outgoing.get(id);
    if (!run) throw unknownRun(id);
    return run;
  }
  private arriving(id: number): MigrationReceiver {
    const run = this.incoming.get(id);
    if (!run) throw unknownRun(id);
    return run;
  }
}

function unknownRun(id: number): BulkheadError {
  return new BulkheadError({
    code: 'not-found',
    what: `This host knows no migration ${id}.`,
    why: 'It has ended, or the host was started anew.',
    action: 'Start the migration again.',
  });
}

/** A domain of this host as the sender moves it: the dirty log and the records of saving/, in the bytes of the stream. */
function movingDomain(xen: MigratingHost, domid: number, copied: readonly number[]): MovingDomain {
  const source = xen.domainSource(domid);
  const domain = xen.host.domain(domid)!;
  let written: Uint8Array[] = [];
  const writer = new StreamWriter((bytes) => written.push(bytes));
  const take = (): Uint8Array => {
    const pieces = written;
    written = [];
    return pieces.length === 1 ? pieces[0]! : new Uint8Array(Buffer.concat(pieces));
  };
  const disks = new CopiedDisks(new Map(copied.map((n) => [n, xen.disksOf(domid)[n]!])));
  let suspendedAt: number | null = null;
  let refused: string | null = null;
  return {
    startLog: () => {
      domain.logDirty.start();
      return source.pfnLimit;
    },
    peek: (pfn) => domain.logDirty.peek(pfn),
    clean: (found) => void domain.logDirty.clean(found),
    stopLog: () => {
      domain.logDirty.stop();
      disks.stop();
    },
    startDisks: () => disks.start(),
    takeDiskWrites: () => disks.takeWritten(),
    blocks: (keys, most) => {
      const { record, taken } = disks.record(keys.slice(0, most));
      writer.record(record);
      return { bytes: take(), taken };
    },
    forEachPage: (visit) => source.pfns().forEach(visit),
    head: () => {
      writer.headers(source.saved());
      for (const r of source.headerRecords()) writer.record(r);
      return take();
    },
    pages: (pfns) => {
      writer.record(source.pageRecord(pfns));
      return take();
    },
    askSuspend: () =>
      source.suspend((refusal) => {
        if (refusal) refused = `${refusal.sentences.what} ${refusal.sentences.why}`;
        else suspendedAt = xen.host.now();
      }, SUSPEND_LIMIT_NS),
    condition: () => {
      if (!xen.host.domain(domid)) return { is: 'failed', why: 'The domain was destroyed.' };
      if (suspendedAt !== null) return { is: 'suspended', since: suspendedAt };
      const { shutdownReason, crashReason } = domain;
      // Why it ended says more than that it did not suspend; 2 is the suspension itself, told a moment later.
      if (shutdownReason !== null && shutdownReason !== 2)
        return { is: 'failed', why: crashReason ?? `The guest ${REASONS[shutdownReason] ?? 'stopped'}.` };
      return refused === null ? { is: 'running' } : { is: 'failed', why: refused };
    },
    tail: () => {
      for (const r of source.stateRecords()) writer.record(r);
      writer.record({ type: 'END' });
      return take();
    },
    resumeHere: () => source.resumeHere(),
  };
}
