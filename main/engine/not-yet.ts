// What this build does not do yet, as a typed refusal: nothing pretends to work.

import { BulkheadError } from '../../shared/errors.ts';

/** @throws BulkheadError not-supported, with a sentence that names what was asked for */
export function notYet(what: string): never {
  throw new BulkheadError({
    code: 'not-supported',
    what: `${what} is not possible yet.`,
    why: 'This build has no such part.',
    action: 'Use a newer build.',
  });
}
