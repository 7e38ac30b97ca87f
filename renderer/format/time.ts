// Times. Lab time is virtual and given in nanoseconds; times on the user's own clock are given in milliseconds and the
// sentence around them says "on your clock".
import { formatNumber, NBSP, THIN } from './numbers.ts';

const SECOND_NS = 1e9;

/** The parts of a point of lab time: "00:03:12" and ".482 917" (microseconds), drawn in two inks. */
export interface ClockText {
  readonly seconds: string;
  readonly micros: string;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** A point of lab time for the clock. Hours grow past 99 rather than wrap. */
export function formatClock(ns: number): ClockText {
  const micros = Math.floor(ns / 1000);
  const total = Math.floor(micros / 1e6);
  const rest = String(micros % 1e6).padStart(6, '0');
  const seconds = `${two(Math.floor(total / 3600))}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  return { seconds, micros: `.${rest.slice(0, 3)}${THIN}${rest.slice(3)}` };
}

/** A point of lab time in running text: 00:03:14.208. */
export function formatInstant(ns: number): string {
  const { seconds, micros } = formatClock(ns);
  return seconds + micros.slice(0, 4);
}

/** A point of lab time on the tape's axis: 0:30, 1:10, 1:00:00, or with a fraction where the axis is fine. */
export function formatTick(ns: number, decimals = 0): string {
  const scale = 10 ** decimals;
  const units = Math.round((ns / SECOND_NS) * scale);
  const total = Math.floor(units / scale);
  const fraction = decimals > 0 ? `.${String(units % scale).padStart(decimals, '0')}` : '';
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const seconds = two(total % 60) + fraction;
  return hours > 0 ? `${hours}:${two(minutes)}:${seconds}` : `${minutes}:${seconds}`;
}

/** A length of time, in the unit that keeps it readable: 702 ns, 31 µs, 61.3 ms, 9.8 s, 3 min 11 s, 2 h 05 min. */
export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns)) return '–';
  if (ns === 0) return `0${NBSP}s`;
  if (ns < 1e3) return `${formatNumber(ns)}${NBSP}ns`;
  if (ns < 1e6) return `${formatNumber(ns / 1e3, ns < 1e5 ? 1 : 0)}${NBSP}µs`;
  if (ns < SECOND_NS) return `${formatNumber(ns / 1e6, ns < 1e8 ? 1 : 0)}${NBSP}ms`;
  if (ns < 10 * SECOND_NS) return `${formatNumber(ns / SECOND_NS, 1)}${NBSP}s`;
  const total = Math.floor(ns / SECOND_NS);
  if (total < 60) return `${total}${NBSP}s`;
  if (total < 3600) return `${Math.floor(total / 60)}${NBSP}min ${two(total % 60)}${NBSP}s`;
  return `${Math.floor(total / 3600)}${NBSP}h ${two(Math.floor(total / 60) % 60)}${NBSP}min`;
}

/** A speed against the user's clock: ×1, ×0.05, ×0.7. */
export function formatSpeed(speed: number): string {
  const text = speed >= 10 ? speed.toFixed(0) : String(Number(speed.toPrecision(2)));
  return `×${text}`;
}
