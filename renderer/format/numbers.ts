// Numbers as the app writes them: groups of three parted by a thin space, and a space that does not
// break before a unit or a percent sign. (SI Brochure, 9th edition, sections 5.4.3 and 5.4.4.)

/** Parts groups of three digits. */
export const THIN = '\u2009';

/** Parts a value from its unit, and keeps them on one line. */
export const NBSP = '\u00a0';

/** Minus sign, not the hyphen of the keyboard. */
const MINUS = '\u2212';

/**
 * Writes a count or quantity.
 * @param value any finite number; anything else is written as an en dash, "no value"
 * @param decimals digits after the point
 */
export function formatNumber(value: number, decimals = 0): string {
  if (!Number.isFinite(value)) return '–';
  const [whole, fraction] = Math.abs(value).toFixed(decimals).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** A share between 0 and 1, as "62 %". Shares that are not nothing but round to it read "< 1 %". */
export function formatPercent(share: number, decimals = 0): string {
  if (!Number.isFinite(share)) return '–';
  const percent = share * 100;
  if (percent > 0 && percent < 0.5 && decimals === 0) return `<${NBSP}1${NBSP}%`;
  return `${formatNumber(percent, decimals)}${NBSP}%`;
}

/** A count large enough to abbreviate on an axis: 950, 15 k, 1.2 M. */
export function formatAxisCount(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${formatNumber(value / 1e9, size < 1e10 && value % 1e9 !== 0 ? 1 : 0)}${NBSP}G`;
  if (size >= 1e6) return `${formatNumber(value / 1e6, size < 1e7 && value % 1e6 !== 0 ? 1 : 0)}${NBSP}M`;
  if (size >= 1e4) return `${formatNumber(value / 1e3)}${NBSP}k`;
  return formatNumber(value, size > 0 && size < 1 ? 2 : 0);
}
