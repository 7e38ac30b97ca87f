// What is wrong with a stream, as sentences that name the record.

import { BulkheadError, type ErrorCode } from '../../../shared/errors.ts';

/** A stream that cannot be used: what is wrong and what would help. */
export function streamError(code: ErrorCode, why: string, action: string): BulkheadError {
  return new BulkheadError({ code, what: 'This saved domain cannot be restored.', why, action, field: 'path' });
}

/** Record `index` (counted from 1 in sentences) breaks the format. */
export function malformed(index: number, name: string, reason: string): BulkheadError {
  return streamError(
    'stream-corrupt',
    `Record ${index + 1} (${name}): ${reason}.`,
    'Use an intact copy of the file, or save the domain again.',
  );
}

/** Record `index` is well formed and asks for something that this host does not have. */
export function unsupported(index: number, name: string, reason: string): BulkheadError {
  return streamError(
    'stream-unsupported',
    `Record ${index + 1} (${name}): ${reason}.`,
    'Save a domain of a kind that Bulkhead runs: PV or PVH.',
  );
}

/** The bytes end before the stream does. */
export function truncated(records: number, bytes: number): BulkheadError {
  return streamError(
    'stream-corrupt',
    `It is cut off after ${records} whole ${records === 1 ? 'record' : 'records'} (${bytes} bytes), before its end record.`,
    'Use a complete copy of the file, or save the domain again.',
  );
}
