// Memory sizes and link speeds. Memory counts in powers of two (KiB, MiB, GiB), links in powers of ten (Mbit/s, Gbit/s).
import { formatNumber, NBSP } from './numbers.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** A size in MiB, always in MiB: the unit in which domains and hosts are given memory. */
export function formatMiB(mib: number): string {
  const decimals = Number.isInteger(mib) || mib >= 10 ? 0 : 1;
  return `${formatNumber(mib, decimals)}${NBSP}MiB`;
}

/** A size in bytes, in the unit that keeps it readable. */
export function formatBytes(bytes: number): string {
  const size = Math.abs(bytes);
  if (size < KIB) return `${formatNumber(bytes)}${NBSP}B`;
  const [unit, scale] = size < MIB ? ['KiB', KIB] : size < GIB ? ['MiB', MIB] : ['GiB', GIB];
  const value = bytes / (scale as number);
  const decimals = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${formatNumber(value, decimals)}${NBSP}${unit}`;
}

/** A link's bandwidth given in Mbit/s: Gbit/s from a thousand on. */
export function formatBandwidth(mbit: number): string {
  if (mbit < 1000) return `${formatNumber(mbit, Number.isInteger(mbit) ? 0 : 1)}${NBSP}Mbit/s`;
  const gbit = mbit / 1000;
  return `${formatNumber(gbit, Number.isInteger(gbit) ? 0 : 1)}${NBSP}Gbit/s`;
}
