// What differs between two results of a case, in words.

import { At, Case, Fx, WINDOW } from './case.ts';

const NAMES = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
/** CF PF AF ZF SF DF OF. */
const FLAGS = 0xcd5;
const hex = (v: bigint | number): string => v.toString(16);
const bytesHex = (b: Uint8Array): string => Buffer.from(b).toString('hex');

/**
 * Differences between what hardware did and what the core did; empty if none. All flags are compared, those that the SDM leaves undefined as well:
 * the core follows the reference CPU. x87 registers may differ by `ulps`.
 */
export function differences(expected: Case, actual: Case, ulps = 0): string[] {
  const out: string[] = [];
  const say = (what: string, e: bigint | number, a: bigint | number) => {
    if (e !== a) out.push(`${what}: hardware ${hex(e)}, core ${hex(a)}`);
  };
  say('vector', expected.vector, actual.vector);
  // addresses of the host's own kernel fault as present pages there: only the P bit differs
  const kernel = expected.vector === 14 && expected.view.getBigUint64(At.cr2, true) >> 63n === 1n;
  if (!kernel) say('error', expected.get(At.error), actual.get(At.error));
  say('cr2', expected.view.getBigUint64(At.cr2, true), actual.view.getBigUint64(At.cr2, true));
  say('rip', expected.view.getBigUint64(At.rip, true), actual.view.getBigUint64(At.rip, true));
  say('flags', expected.get(At.rflags) & FLAGS, actual.get(At.rflags) & FLAGS);
  const wide = expected.mode === 64;
  for (let n = 0; n < (wide ? 16 : 8); n++)
    say(NAMES[n]!, BigInt.asUintN(expected.mode, expected.gpr(n)), BigInt.asUintN(expected.mode, actual.gpr(n)));
  const fx = (c: Case, offset: number) => c.view.getUint16(At.fx + offset, true);
  say('fcw', fx(expected, Fx.control), fx(actual, Fx.control));
  // a result that may differ in its last bit may have been rounded the other way
  const status = ulps ? ~0x200 : ~0;
  say('fsw', fx(expected, Fx.status) & status, fx(actual, Fx.status) & status);
  say('ftw', fx(expected, Fx.tags) & 0xff, fx(actual, Fx.tags) & 0xff);
  say('mxcsr', expected.get(At.fx + Fx.mxcsr), actual.get(At.fx + Fx.mxcsr));
  for (let n = 0; n < 8; n++) {
    const at = At.fx + Fx.st + n * 16;
    const [e, a] = [expected.bytes.subarray(at, at + 10), actual.bytes.subarray(at, at + 10)];
    if (bytesHex(e) !== bytesHex(a) && distance(e, a) > BigInt(ulps))
      out.push(`st${n}: hardware ${extended(e)}, core ${extended(a)}`);
  }
  for (let n = 0; n < (wide ? 16 : 8); n++) {
    const at = At.fx + Fx.xmm + n * 16;
    const [e, a] = [expected.bytes.subarray(at, at + 16), actual.bytes.subarray(at, at + 16)];
    if (bytesHex(e) !== bytesHex(a)) out.push(`xmm${n}: hardware ${bytesHex(e)}, core ${bytesHex(a)}`);
  }
  const [e, a] = [
    expected.bytes.subarray(At.window, At.window + WINDOW),
    actual.bytes.subarray(At.window, At.window + WINDOW),
  ];
  if (bytesHex(e) !== bytesHex(a)) {
    const first = e.findIndex((x, n) => x !== a[n]);
    out.push(
      `memory +${first}: hardware ${bytesHex(e.subarray(first, first + 16))}, core ${bytesHex(a.subarray(first, first + 16))}`,
    );
  }
  return out;
}

/** Units in the last place between two 80-bit numbers, as their order in the format has it. */
function distance(e: Uint8Array, a: Uint8Array): bigint {
  const rank = (b: Uint8Array): bigint => {
    const d = new DataView(b.buffer, b.byteOffset, 10);
    const word = d.getUint16(8, true);
    const magnitude = (BigInt(word & 0x7fff) << 63n) | (d.getBigUint64(0, true) & 0x7fff_ffff_ffff_ffffn);
    return word & 0x8000 ? -magnitude : magnitude;
  };
  const difference = rank(e) - rank(a);
  return difference < 0n ? -difference : difference;
}

/** sign|exponent:significand of an 80-bit register. */
export function extended(b: Uint8Array): string {
  const d = new DataView(b.buffer, b.byteOffset, 10);
  return `${hex(d.getUint16(8, true)).padStart(4, '0')}:${hex(d.getBigUint64(0, true)).padStart(16, '0')}`;
}

/** The inputs of a case that matter for reading a difference. */
export function describe(c: Case): string {
  const fx = At.fx;
  const parts = [`${c.mode}-bit ${bytesHex(c.code)}`, `flags ${hex(c.get(At.rflags) & FLAGS)}`];
  parts.push(Array.from({ length: c.mode === 64 ? 16 : 8 }, (_, n) => `${NAMES[n]}=${hex(c.gpr(n))}`).join(' '));
  parts.push(
    `fcw ${hex(c.view.getUint16(fx, true))} fsw ${hex(c.view.getUint16(fx + 2, true))} ftw ${hex(c.bytes[fx + 4]!)} mxcsr ${hex(c.get(fx + 24))}`,
  );
  parts.push(
    Array.from(
      { length: 8 },
      (_, n) => `st${n}=${extended(c.bytes.subarray(fx + Fx.st + n * 16, fx + Fx.st + n * 16 + 10))}`,
    ).join(' '),
  );
  parts.push(
    Array.from(
      { length: 8 },
      (_, n) => `xmm${n}=${bytesHex(c.bytes.subarray(fx + Fx.xmm + n * 16, fx + Fx.xmm + n * 16 + 16))}`,
    ).join(' '),
  );
  return parts.join('\n    ');
}
