// One pass over a whole stream before anything is done with it: that it is complete and unharmed, and what it says of its domain.

import type { DomainSpec } from '../../../shared/model.ts';
import type { StreamConfig } from './config.ts';
import { streamError } from './errors.ts';
import { ForeignFacts, foreignSpec } from './foreign.ts';
import type { ImageHeader } from './headers.ts';
import { StreamReader } from './reader.ts';
import type { RecordName } from './records.ts';

export interface StreamSummary {
  config: StreamConfig | null;
  header: ImageHeader;
  facts: ForeignFacts;
  /** Our checksum was there and right. */
  checked: boolean;
}

/** Without these a domain cannot be rebuilt. */
const NEEDED: Readonly<Record<'PV' | 'HVM', readonly RecordName[]>> = {
  PV: ['PAGE_DATA', 'X86_PV_INFO', 'X86_PV_P2M_FRAMES', 'SHARED_INFO', 'X86_PV_VCPU_BASIC'],
  HVM: ['PAGE_DATA', 'HVM_CONTEXT', 'HVM_PARAMS'],
};

/** Reads all of a stream. @throws BulkheadError stream-corrupt, stream-unsupported */
export async function summariseStream(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<StreamSummary> {
  const reader = new StreamReader();
  const facts = new ForeignFacts();
  const found = new Set<string>();
  let config: StreamConfig | null = null;
  let header: ImageHeader | null = null;
  let checked = false;
  const take = (items: ReturnType<StreamReader['push']>): void => {
    for (const item of items)
      if (item.kind === 'config') config = item.config;
      else if (item.kind === 'libxc-header') header = item.header;
      else if (item.kind === 'record') {
        facts.note(item.record);
        found.add(item.record.type);
      } else if (item.kind === 'end') ({ checked } = item);
  };
  for await (const bytes of pieces) take(reader.push(bytes));
  take(reader.finish());
  const seen = header as ImageHeader | null;
  if (!seen) throw streamError('stream-corrupt', 'It holds no domain.', 'Use an intact copy of the file.');
  const missing = NEEDED[seen.type === 1 ? 'PV' : 'HVM'].find((name) => !found.has(name));
  if (missing)
    throw streamError(
      'stream-corrupt',
      `It has no ${missing} record.`,
      'Use an intact copy, or save the domain again.',
    );
  return { config, header: seen, facts, checked };
}

/** The spec of the domain in a stream, as it was or as far as it can be worked out. */
export function specOf(s: StreamSummary, name: string): DomainSpec {
  return s.config?.saved?.spec ?? foreignSpec(s.config, s.header.type, s.facts, name);
}
