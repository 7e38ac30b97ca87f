// Names of hosts and domains in a lab.

import { BulkheadError } from '../../shared/errors.ts';

/** The refusal of a name that another has. */
export function nameTaken(kind: 'host' | 'domain', name: string): BulkheadError {
  return new BulkheadError({
    code: 'name-taken',
    what: `The name ${name} is taken.`,
    why: `Another ${kind} of this lab has it.`,
    action: 'Choose another name.',
    field: 'name',
  });
}

/** `base`, or `base-2`, `base-3` ... : the first that is not taken. */
export function freeName(base: string, taken: (name: string) => boolean): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (!taken(name)) return name;
  }
}
