// The trace of all hosts for the page: recording, reading with filters, following, and the export as JSON Lines.

import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { BulkheadError } from '../../../shared/errors.ts';
import type { TraceFilter, TraceRecord } from '../../../shared/inspection-service.ts';
import type { HostTraceFilter, HostTraceRecord } from '../../toolstack/inspection/calls.ts';
import type { LabHost } from '../hosts.ts';
import type { Lab } from '../lab.ts';
import { poll } from './poll.ts';
import type { InspectionService } from './service-part.ts';

/** Records in one message of the event. */
const MESSAGE_RECORDS = 200;
/** Records asked of a host at once for an export. */
const EXPORT_PAGE = 5_000;

/** The hosts that a filter asks for, with the filter in their terms. */
function asked(lab: Lab, filter: TraceFilter): { h: LabHost; filter: HostTraceFilter }[] {
  return lab.hosts.running().flatMap((h) => {
    if (filter.hosts.length && !filter.hosts.includes(h.spec.name)) return [];
    const domids = filter.uuids.flatMap((uuid) => lab.hosts.domidsOf(h, uuid));
    if (filter.uuids.length && !domids.length) return [];
    return [{ h, filter: { domids, kinds: filter.kinds, text: filter.text, failed: filter.failed } }];
  });
}

function named(lab: Lab, h: LabHost, records: HostTraceRecord[]): TraceRecord[] {
  return records.map(({ domid, ...record }) => ({
    ...record,
    host: h.spec.name,
    uuid: domid === null ? null : lab.hosts.uuidOf(h, domid),
  }));
}

/** In order of lab time; records of one host keep their order. */
function merged(lists: TraceRecord[][]): TraceRecord[] {
  if (lists.length === 1) return lists[0]!;
  return lists.flat().sort((a, b) => (a.host === b.host ? a.index - b.index : a.at - b.at));
}

/** Every kept record of one host that passes, oldest first. */
async function everything(lab: Lab, h: LabHost, filter: HostTraceFilter): Promise<TraceRecord[]> {
  const pages: TraceRecord[][] = [];
  for (let before: number | null = null; ;) {
    const page: HostTraceRecord[] = await h.proxy.call('traceRecords', { filter, before, limit: EXPORT_PAGE });
    pages.unshift(named(lab, h, page));
    if (page.length < EXPORT_PAGE) return pages.flat();
    before = page[0]!.index;
  }
}

/** Writes lines; an existing file is replaced only when all are written. */
async function writeLines(path: string, records: readonly TraceRecord[]): Promise<void> {
  const part = `${path}.part`;
  try {
    await pipeline(function* () {
      for (const record of records) yield `${JSON.stringify(record)}\n`;
    }, createWriteStream(part));
    await rename(part, path);
  } catch (e) {
    await rm(part, { force: true });
    throw new BulkheadError({
      code: 'file-unreadable',
      what: `The trace ${path} could not be written.`,
      why: (e as Error).message,
      action: 'Choose another folder.',
      field: 'path',
    });
  }
}

export function traceService(
  lab: Lab,
): InspectionService<'traceStatus' | 'setTracing' | 'trace' | 'exportTrace', 'trace'> {
  return {
    methods: {
      traceStatus: async () => {
        const all = await Promise.all(lab.hosts.running().map((h) => h.proxy.call('traceStatus', {})));
        return {
          recording: lab.hosts.tracing,
          kept: all.reduce((sum, s) => sum + s.kept, 0),
          lost: all.reduce((sum, s) => sum + s.lost, 0),
        };
      },
      setTracing: async ({ recording }) => {
        lab.hosts.tracing = recording;
        await Promise.all(lab.hosts.running().map((h) => h.proxy.call('setTracing', { recording })));
        lab.onChanged();
      },
      trace: async ({ filter, before, limit }) => {
        const lists = await Promise.all(
          asked(lab, filter).map(async ({ h, filter: f }) =>
            named(
              lab,
              h,
              await h.proxy.call('traceRecords', { filter: f, before: before?.[h.spec.name] ?? null, limit }),
            ),
          ),
        );
        return merged(lists).slice(-limit);
      },
      exportTrace: async ({ filter, path }) => {
        const lists = await Promise.all(asked(lab, filter).map(({ h, filter: f }) => everything(lab, h, f)));
        const records = merged(lists);
        await writeLines(path, records);
        return { records: records.length };
      },
    },
    events: {
      trace: (filter, send) => {
        /** By host thread, the last record seen. A host that started again counts from 1. */
        const seen = new WeakMap<LabHost, number>();
        return poll(async () => {
          const answers = await Promise.all(
            asked(lab, filter).map(async ({ h, filter: f }) => {
              const after = seen.get(h);
              // the first question only finds out where the end is
              const limit = after === undefined ? 0 : MESSAGE_RECORDS;
              const tail = await h.proxy.call('traceTail', {
                filter: f,
                after: after ?? Number.MAX_SAFE_INTEGER - 1,
                limit,
              });
              seen.set(h, tail.last);
              return { records: named(lab, h, tail.records), skipped: tail.skipped };
            }),
          );
          const all = merged(answers.map((a) => a.records));
          const records = all.slice(-MESSAGE_RECORDS);
          const skipped = answers.reduce((sum, a) => sum + a.skipped, 0) + all.length - records.length;
          if (records.length) send({ records, skipped });
        });
      },
    },
  };
}
