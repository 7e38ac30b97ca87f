// The writing rules for numbers, sizes and times.
import { describe, expect, it } from 'vitest';
import { formatAxisCount, formatNumber, formatPercent } from '../../../renderer/format/numbers.ts';
import { formatBandwidth, formatBytes, formatMiB } from '../../../renderer/format/memory.ts';
import { formatClock, formatDuration, formatInstant, formatSpeed, formatTick } from '../../../renderer/format/time.ts';

/** Both kinds of space, made visible so that the expectations below can be read. */
const plain = (text: string): string => text.replaceAll('\u2009', '_').replaceAll('\u00a0', '~');

describe('numbers', () => {
  it('groups in threes and keeps decimals together', () => {
    expect(plain(formatNumber(0))).toBe('0');
    expect(plain(formatNumber(1024))).toBe('1_024');
    expect(plain(formatNumber(1234567.891, 2))).toBe('1_234_567.89');
    expect(plain(formatNumber(-4096))).toBe('−4_096');
  });

  it('never writes a negative zero, and writes a missing value as a dash', () => {
    expect(formatNumber(-0.2)).toBe('0');
    expect(formatNumber(Number.NaN)).toBe('–');
  });

  it('does not round a busy domain down to nothing', () => {
    expect(plain(formatPercent(0.62))).toBe('62~%');
    expect(plain(formatPercent(0.001))).toBe('<~1~%');
    expect(plain(formatPercent(0))).toBe('0~%');
  });

  it('abbreviates on axes only from ten thousand', () => {
    expect(plain(formatAxisCount(9500))).toBe('9_500');
    expect(plain(formatAxisCount(15000))).toBe('15~k');
    expect(plain(formatAxisCount(1200000))).toBe('1.2~M');
    expect(plain(formatAxisCount(3000000))).toBe('3~M');
  });
});

describe('sizes', () => {
  it('writes memory in powers of two', () => {
    expect(plain(formatMiB(4096))).toBe('4_096~MiB');
    expect(plain(formatMiB(1.5))).toBe('1.5~MiB');
    expect(plain(formatBytes(512))).toBe('512~B');
    expect(plain(formatBytes(4096))).toBe('4~KiB');
    expect(plain(formatBytes(71.4 * 1024 * 1024))).toBe('71.4~MiB');
    expect(plain(formatBytes(3 * 1024 ** 3))).toBe('3~GiB');
  });

  it('writes link speeds in powers of ten', () => {
    expect(plain(formatBandwidth(100))).toBe('100~Mbit/s');
    expect(plain(formatBandwidth(1000))).toBe('1~Gbit/s');
    expect(plain(formatBandwidth(2500))).toBe('2.5~Gbit/s');
  });
});

describe('times', () => {
  it('splits the clock into seconds and microseconds', () => {
    const clock = formatClock(192_482_917_000);
    expect(clock.seconds).toBe('00:03:12');
    expect(plain(clock.micros)).toBe('.482_917');
    expect(formatClock(360_000e9).seconds).toBe('100:00:00');
  });

  it('writes an instant to the millisecond', () => {
    expect(formatInstant(194_208_551_000)).toBe('00:03:14.208');
  });

  it('writes ticks without a fraction unless the axis is finer than a second', () => {
    expect(formatTick(70e9)).toBe('1:10');
    expect(formatTick(3661e9)).toBe('1:01:01');
    expect(formatTick(0.5e9, 1)).toBe('0:00.5');
    expect(formatTick(59.96e9, 1)).toBe('1:00.0');
  });

  it('picks the unit of a duration', () => {
    expect(plain(formatDuration(0))).toBe('0~s');
    expect(plain(formatDuration(702))).toBe('702~ns');
    expect(plain(formatDuration(31_000))).toBe('31.0~µs');
    expect(plain(formatDuration(61.3e6))).toBe('61.3~ms');
    expect(plain(formatDuration(9.79e9))).toBe('9.8~s');
    expect(plain(formatDuration(191e9))).toBe('3~min 11~s');
    expect(plain(formatDuration(7500e9))).toBe('2~h 05~min');
  });

  it('writes speeds without trailing zeros', () => {
    expect(formatSpeed(1)).toBe('×1');
    expect(formatSpeed(0.05)).toBe('×0.05');
    expect(formatSpeed(0.7123)).toBe('×0.71');
    expect(formatSpeed(64)).toBe('×64');
  });
});
