// Saving and restoring a domain of a Booted host in one go, for tests.

import type { Identity } from '../../main/toolstack/saving/contract.ts';
import type { DiskBacking } from '../../main/toolstack/simulated-host.ts';
import type { SavedDomain } from '../../main/toolstack/stream/config.ts';
import { StreamReader } from '../../main/toolstack/stream/reader.ts';
import type { LibxcRecord } from '../../main/toolstack/stream/records.ts';
import { StreamWriter } from '../../main/toolstack/stream/writer.ts';
import type { Booted } from './booted.ts';

/** Asks a guest to suspend itself and runs its host until it has, or has refused. */
export function suspend(b: Booted, domid: number, timeoutNs?: number): ReturnType<Booted['xen']['domainSource']> {
  const source = b.xen.domainSource(domid);
  let answer: Error | null | undefined;
  source.suspend((refusal) => (answer = refusal), timeoutNs);
  while (answer === undefined) b.advance(1);
  if (answer) throw answer;
  return source;
}

/** The stream of a suspended domain. */
export function streamOf(source: ReturnType<Booted['xen']['domainSource']>): Uint8Array {
  const pieces: Uint8Array[] = [];
  const writer = new StreamWriter((bytes) => pieces.push(bytes));
  writer.headers(source.saved());
  for (const r of source.headerRecords()) writer.record(r);
  const pfns = source.pfns();
  while (pfns.length) writer.record(source.pageRecord(pfns.splice(0, 700)));
  for (const r of source.stateRecords()) writer.record(r);
  writer.record({ type: 'END' });
  return Uint8Array.from(Buffer.concat(pieces));
}

export interface ReadStream {
  saved: SavedDomain;
  records: LibxcRecord[];
}
export function readStream(bytes: Uint8Array): ReadStream {
  const reader = new StreamReader();
  const items = [...reader.push(bytes), ...reader.finish()];
  const config = items.find((i) => i.kind === 'config');
  if (!config?.config.saved) throw new Error('not a stream of ours');
  return { saved: config.config.saved, records: items.flatMap((i) => (i.kind === 'record' ? [i.record] : [])) };
}

/** Brings a domain up from its records; what fails leaves nothing. */
export function restore(b: Booted, stream: ReadStream, identity: Partial<Identity>, disks: DiskBacking[] = []): number {
  const { saved, records } = stream;
  const rebuild = b.xen.rebuild({
    saved,
    identity: { name: saved.spec.name, uuid: saved.uuid, macs: saved.spec.nics.map(() => null), ...identity },
    disks: () => disks,
  });
  try {
    for (const r of records) rebuild.record(r);
    return rebuild.finish();
  } catch (error) {
    rebuild.abandon();
    throw error;
  }
}
