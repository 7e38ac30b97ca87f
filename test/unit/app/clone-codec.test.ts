/** The stand-in's wire format must lose nothing that structured clone keeps. */
import { describe, expect, it } from 'vitest';
import { decodeClone, encodeClone } from '../../standin/page/clone-codec.ts';

const roundTrip = (value: unknown): unknown => decodeClone(encodeClone(value));

describe('the clone codec', () => {
  it.each([
    ['undefined', undefined],
    ['null', null],
    ['booleans', [true, false]],
    ['integers', [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 53]],
    ['doubles', [0.1, Infinity, -Infinity, NaN, -0]],
    ['strings', ['', 'domain', 'Grüße 字 🧱', '\ufeffmark', '\ud800 alone']],
    ['big integers', [0n, -1n, 2n ** 64n - 1n, -(2n ** 200n)]],
    ['dates and patterns', [new Date(1234567), /a\/b+/giu]],
    [
      'maps and sets',
      new Map<unknown, unknown>([
        ['a', new Set([1, { b: 2 }])],
        [{ k: 1 }, undefined],
      ]),
    ],
    ['nested objects', { a: { b: [{ c: null }] }, '': 1 }],
    [
      'more of each kind than the first buffer holds',
      Array.from({ length: 9000 }, (_, i) => [i, i / 7, new Date(i), `\ud800${i}`][i % 4]),
    ],
    [
      'views',
      [new Uint8Array([1, 2, 3]), new BigUint64Array([5n]), new Float64Array([0.5]), new DataView(new ArrayBuffer(3))],
    ],
  ])('keeps %s', (_name, value) => {
    expect(roundTrip(value)).toStrictEqual(structuredClone(value));
  });

  it('keeps holes apart from undefined', () => {
    const array = [, undefined, 1];
    const copy = roundTrip(array) as unknown[];
    expect(copy).toHaveLength(3);
    expect(0 in copy).toBe(false);
    expect(1 in copy).toBe(true);
  });

  it('keeps shared references and cycles', () => {
    const shared = new Uint8Array([7]);
    const value: Record<string, unknown> = { one: shared, two: shared, buffer: shared.buffer, list: [] };
    value['self'] = value;
    const copy = roundTrip(value) as Record<string, unknown>;
    expect(copy['self']).toBe(copy);
    expect(copy['one']).toBe(copy['two']);
    expect((copy['one'] as Uint8Array).buffer).toBe(copy['buffer']);
  });

  it('keeps offset and length of a view on a larger buffer', () => {
    const copy = roundTrip(new Uint16Array(new Uint8Array([0, 0, 1, 0, 2, 0, 9, 9]).buffer, 2, 2)) as Uint16Array;
    expect([...copy]).toEqual([1, 2]);
    expect(copy.byteOffset).toBe(2);
    expect(copy.buffer.byteLength).toBe(8);
  });

  it('copies memory out of a Buffer of Node', () => {
    const bytes = Buffer.from(encodeClone(new Uint8Array([1, 2, 3])));
    const copy = decodeClone(bytes) as Uint8Array;
    bytes.fill(0);
    expect([...copy]).toEqual([1, 2, 3]);
    expect(copy.buffer.byteLength).toBe(3);
  });

  it('keeps name, message, stack and cause of errors', () => {
    const copy = roundTrip(new RangeError('too far', { cause: { field: 'memory' } })) as RangeError;
    expect(copy).toBeInstanceOf(RangeError);
    expect(copy.message).toBe('too far');
    expect(copy.cause).toEqual({ field: 'memory' });
    expect(copy.stack).toContain('clone-codec.test');
  });

  it('does not let a __proto__ key change the prototype', () => {
    const copy = roundTrip(JSON.parse('{"__proto__": {"polluted": true}}')) as Record<string, unknown>;
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(Object.keys(copy)).toEqual(['__proto__']);
  });

  it('puts ports where they were', () => {
    const port = { isPort: true };
    const bytes = encodeClone({ reply: port }, [port]);
    const other = { isPort: 'other' };
    expect((decodeClone(bytes, [other]) as { reply: unknown }).reply).toBe(other);
  });

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve()],
    ['a weak map', new WeakMap()],
    ['shared memory', new Uint8Array(new SharedArrayBuffer(1))],
    ['an object holding a function', { deep: [{ f: () => 1 }] }],
  ])('refuses %s as postMessage does', (_name, value) => {
    expect(() => encodeClone(value)).toThrow(expect.objectContaining({ name: 'DataCloneError' }));
  });

  it('refuses bytes that end too early', () => {
    const bytes = encodeClone({ a: 'text' });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeClone(bytes.subarray(0, length))).toThrow();
    }
  });
});
