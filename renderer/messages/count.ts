// "1 domain", "2 domains": a count with its noun in the number that the language asks for.
import { formatNumber } from '../format/numbers.ts';

const plural = new Intl.PluralRules('en');
/** @param one the noun for one, `other` for all else */
export const count = (n: number, one: string, other: string): string =>
  `${formatNumber(n)}\u00a0${plural.select(n) === 'one' ? one : other}`;
