// The trace of a host, read: filters and pages over the hypervisor's ring.

import type { Trace } from '../../hypervisor/trace.ts';
import type { HostTraceRecord, InspectionCalls } from './calls.ts';

const EVERYTHING = Number.MAX_SAFE_INTEGER;

const recordOf = ({ failed: _failed, ...record }: ReturnType<Trace['select']>['records'][number]): HostTraceRecord =>
  record;

export function traceRecords(trace: Trace, args: InspectionCalls['traceRecords']['args']): HostTraceRecord[] {
  return trace.select(args.filter, 0, args.before ?? EVERYTHING, args.limit).records.map(recordOf);
}

/** What came after record `after`: the newest `limit`, and how many were left out. */
export function traceTail(
  trace: Trace,
  { filter, after, limit }: InspectionCalls['traceTail']['args'],
): InspectionCalls['traceTail']['result'] {
  const { records, more } = trace.select(filter, after, EVERYTHING, limit, true);
  return { records: records.map(recordOf), skipped: more, last: trace.last };
}
