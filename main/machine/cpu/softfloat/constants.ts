// Irrational constants as fixed-point integers, computed once from series.
// Invariant: `constant` is truncated from more than 190 correct bits, so that a sticky bit below it is always true.

export type ConstantName = 'pi' | 'lnOf2' | 'log2ofE' | 'log2of10' | 'log10of2';

const BITS = 256n;
const ONE = 1n << BITS;

/** atan(1/n) * 2^256 by its Taylor series. */
function arctanOfInverse(n: bigint): bigint {
  let term = ONE / n;
  let sum = term;
  for (let k = 3n, minus = true; term !== 0n; k += 2n, minus = !minus) {
    term /= n * n;
    sum += minus ? -(term / k) : term / k;
  }
  return sum;
}
/** atanh(1/n) * 2^256. */
function arctanhOfInverse(n: bigint): bigint {
  let term = ONE / n;
  let sum = term;
  for (let k = 3n; term !== 0n; k += 2n) {
    term /= n * n;
    sum += term / k;
  }
  return sum;
}

const memo = new Map<string, bigint>();
/** pi or ln 2 times 2^256, with an error of some units in the last place. */
export function fixed(name: 'pi' | 'lnOf2' | 'lnOf10'): bigint {
  let v = memo.get(name);
  if (v === undefined) {
    if (name === 'pi')
      v = 4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n)); // Machin
    else if (name === 'lnOf2') v = 2n * arctanhOfInverse(3n);
    else v = 3n * fixed('lnOf2') + 2n * arctanhOfInverse(9n); // ln 10 = 3 ln 2 + ln(10/8)
    memo.set(name, v);
  }
  return v;
}
export const FIXED_BITS = Number(BITS);

/** A constant as sig * 2^exp (truncated to about 200 bits). */
export function constant(name: ConstantName): { sig: bigint; exp: number } {
  let v: bigint;
  switch (name) {
    case 'pi':
      v = fixed('pi');
      break;
    case 'lnOf2':
      v = fixed('lnOf2');
      break;
    case 'log2ofE':
      v = (ONE * ONE) / fixed('lnOf2');
      break;
    case 'log2of10':
      v = (fixed('lnOf10') * ONE) / fixed('lnOf2');
      break;
    default:
      v = (fixed('lnOf2') * ONE) / fixed('lnOf10');
  }
  return { sig: v >> 56n, exp: 56 - FIXED_BITS };
}
