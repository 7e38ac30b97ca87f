// Errors as people and programs need them: a stable code, what happened, why, what to do, and the field it is about.
// Invariant: whatever a user or a guest can cause is a BulkheadError; any other thrown object is a defect of ours.

export type ErrorCode =
  | 'invalid-argument'
  | 'not-found'
  | 'name-taken'
  | 'not-enough-memory'
  | 'host-busy'
  | 'host-lost'
  | 'kernel-unsupported'
  | 'kernel-corrupt'
  | 'file-missing'
  | 'file-unreadable'
  | 'disk-in-use'
  | 'not-possible-now'
  | 'not-supported'
  | 'lab-file-unknown'
  | 'lab-file-corrupt'
  | 'lab-file-in-use'
  | 'scenario-invalid'
  | 'stream-corrupt'
  | 'stream-unsupported'
  | 'guest-refused'
  | 'cancelled'
  | 'engine-stopped'
  | 'internal';

export interface ErrorSentences {
  readonly code: ErrorCode;
  /** What happened, as a sentence. */
  readonly what: string;
  /** Why, as a sentence. */
  readonly why: string;
  /** What to do, as a sentence. */
  readonly action: string;
  /** The argument or file field it is about, as a path such as `domains[0].memoryMiB`. */
  readonly field?: string;
  /** For those who want to know more: technical detail, never needed to understand the sentences. */
  readonly details?: string;
}

export class BulkheadError extends Error {
  readonly sentences: ErrorSentences;

  constructor(sentences: ErrorSentences) {
    super(`${sentences.what} ${sentences.why} ${sentences.action}`.trim());
    this.name = 'BulkheadError';
    this.sentences = sentences;
  }
  get code(): ErrorCode {
    return this.sentences.code;
  }
}

/** Any thrown object as sentences: a BulkheadError's own, or `internal` with the message under details. */
export function toSentences(thrown: unknown): ErrorSentences {
  if (thrown instanceof BulkheadError) return thrown.sentences;
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return {
    code: 'internal',
    what: 'Something in Bulkhead itself went wrong.',
    why: 'This is a defect of the program, not of what you did.',
    action: 'Please report it with the details below; the rest of the lab goes on.',
    details: message,
  };
}
