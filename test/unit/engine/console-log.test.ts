// What is kept of a console: the newest bytes, in bounded memory, however a guest prints them.

import { expect, it } from 'vitest';
import { ConsoleLog, SCROLLBACK_BYTES } from '../../../main/engine/console-log.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

it('keeps the newest bytes of a guest that prints without end, and no more memory than that', () => {
  const log = new ConsoleLog();
  const total = 3 * SCROLLBACK_BYTES;
  const one = new Uint8Array(1);
  for (let n = 0; n < total; n++) {
    one[0] = n % 251;
    log.append(one);
  }
  expect(log.end).toBe(total);
  const kept = log.tail(Infinity);
  expect(kept.length).toBeGreaterThanOrEqual(SCROLLBACK_BYTES);
  expect(kept.length).toBeLessThan(SCROLLBACK_BYTES + 3 * 4096);
  expect(kept.every((byte, n) => byte === (total - kept.length + n) % 251)).toBe(true);
});

it('gives what came after a position, across its blocks and after a restore', () => {
  const log = new ConsoleLog();
  expect(log.tail(10)).toHaveLength(0);
  log.append(Buffer.from('a'.repeat(4095)));
  log.append(Buffer.from('bcd'));
  expect(text(log.since(4094))).toBe('abcd');
  expect(text(log.tail(2))).toBe('cd');
  log.restore(Buffer.from('old'), 1003);
  log.append(Buffer.from('new'));
  expect(log.end).toBe(1006);
  expect(text(log.since(1000))).toBe('oldnew');
  log.append(new Uint8Array(5 * SCROLLBACK_BYTES));
  expect(log.tail(Infinity).length).toBeLessThan(SCROLLBACK_BYTES + 3 * 4096);
});
