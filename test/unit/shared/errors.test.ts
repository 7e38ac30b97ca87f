// Errors: sentences for people, and the line between what a user or guest caused and what is our defect.
import { describe, expect, it } from 'vitest';
import { BulkheadError, toSentences, type ErrorSentences } from '../../../shared/errors.ts';
import { invalidArgument } from '../../../shared/rpc.ts';
import { z } from 'zod';

const sentences: ErrorSentences = {
  code: 'not-enough-memory',
  what: 'web-01 cannot be created on alder.',
  why: 'Needs 512 MiB, 212 free.',
  action: 'Give it less memory.',
  field: 'memoryMiB',
};

describe('toSentences', () => {
  it('gives a typed error its own sentences, also after a structured clone of them', () => {
    expect(toSentences(new BulkheadError(sentences))).toEqual(sentences);
    expect(new BulkheadError(structuredClone(toSentences(new BulkheadError(sentences)))).sentences).toEqual(sentences);
  });
  it.each([new RangeError('offset 9'), 'text', undefined, null, { code: 'not-found' }])(
    'calls %s our defect and blames nobody else',
    (thrown) => {
      const s = toSentences(thrown);
      expect(s.code).toBe('internal');
      expect(s.why).toContain('defect of the program');
      expect(typeof s.details).toBe('string');
    },
  );
});

describe('invalidArgument', () => {
  const schema = z.strictObject({ hosts: z.array(z.strictObject({ name: z.string(), pcpus: z.int().min(1) })) });
  const refused = (value: unknown, at?: string): ErrorSentences =>
    invalidArgument(schema.safeParse(value).error!, 'Refused.', at, value).sentences;

  it('names the field with its path, what was found and what is allowed', () => {
    const s = refused({
      hosts: [
        { name: 'alder', pcpus: 1 },
        { name: 'birch', pcpus: -3 },
      ],
    });
    expect(s.field).toBe('hosts[1].pcpus');
    expect(s.why).toMatch(/^hosts\[1\]\.pcpus: .*>=1; found -3\.$/);
  });
  it('puts the path below the place it was given', () => {
    expect(refused({ hosts: [{ name: 1, pcpus: 1 }] }, 'lab').field).toBe('lab.hosts[0].name');
  });
  it('quotes text, shortens it when it is long, and leaves out what has no short form', () => {
    expect(refused({ hosts: 'none' }).why).toContain('found "none"');
    expect(refused({ hosts: 'x'.repeat(500) }).why.length).toBeLessThan(200);
    expect(refused({ hosts: { a: 1 } }).why).not.toContain('found');
    expect(refused({}).why).not.toContain('found');
  });
  it('speaks of the value itself when it has no fields', () => {
    expect(refused(7).why).toMatch(/^The value: /);
  });
});
