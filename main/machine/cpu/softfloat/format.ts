// Floating-point formats and values taken apart: binary32, binary64 and the 80-bit extended format of the x87.
// Invariant: the value of a finite Value is (-1)^sign * sig * 2^exp exactly; sig of a NaN is its significand in the 80-bit format.

export const Kind = { Zero: 0, Finite: 1, Infinity: 2, NaN: 3, Unsupported: 4 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export interface Value {
  readonly kind: Kind;
  readonly sign: 0 | 1;
  readonly sig: bigint;
  readonly exp: number;
  /** The operand was denormal (or pseudo-denormal): the DE exception. */
  readonly denormal: boolean;
}

export interface Format {
  /** Bits of the significand, the leading one included. */
  readonly precision: number;
  /** Exponents (of the leading bit) of the smallest and the largest normal number. */
  readonly emin: number;
  readonly emax: number;
}
export const BINARY32: Format = { precision: 24, emin: -126, emax: 127 };
export const BINARY64: Format = { precision: 53, emin: -1022, emax: 1023 };
export const EXTENDED80: Format = { precision: 64, emin: -16382, emax: 16383 };

const QUIET = 1n << 62n;
const INTEGER = 1n << 63n;

export const zero = (sign: 0 | 1): Value => ({ kind: Kind.Zero, sign, sig: 0n, exp: 0, denormal: false });
export const infinity = (sign: 0 | 1): Value => ({ kind: Kind.Infinity, sign, sig: 0n, exp: 0, denormal: false });
export const finite = (sign: 0 | 1, sig: bigint, exp: number, denormal = false): Value => ({
  kind: Kind.Finite,
  sign,
  sig,
  exp,
  denormal,
});
const nan = (sign: 0 | 1, sig: bigint): Value => ({ kind: Kind.NaN, sign, sig, exp: 0, denormal: false });
/** The "real indefinite" quiet NaN, the masked answer to an invalid operation. */
export const DEFAULT_NAN: Value = nan(1, INTEGER | QUIET);

export const isSignaling = (v: Value): boolean => v.kind === Kind.NaN && (v.sig & QUIET) === 0n;
export const quiet = (v: Value): Value => (isSignaling(v) ? nan(v.sign, v.sig | QUIET) : v);
export const negate = (v: Value): Value => ({ ...v, sign: v.sign === 0 ? 1 : 0 });

/** Number of bits of a positive integer. */
export function bitLength(x: bigint): number {
  let n = 0;
  let v = x;
  while (v >= 0x1_0000_0000_0000_0000n) {
    v >>= 64n;
    n += 64;
  }
  const hi = Number(v >> 32n);
  return n + (hi !== 0 ? 64 - Math.clz32(hi) : 32 - Math.clz32(Number(v)));
}

/** Takes apart an integer, exactly. */
export function fromInteger(v: bigint): Value {
  if (v === 0n) return zero(0);
  return v < 0n ? finite(1, -v, 0) : finite(0, v, 0);
}

/** Takes apart a binary32 or binary64 bit pattern. */
export function fromBits(bits: bigint, format: Format): Value {
  const fractionBits = BigInt(format.precision - 1);
  const bias = format.emax;
  const exponentMask = BigInt(2 * format.emax + 1);
  const fraction = bits & ((1n << fractionBits) - 1n);
  const exponent = (bits >> fractionBits) & exponentMask;
  const sign = (bits >> (format === BINARY32 ? 31n : 63n)) & 1n ? 1 : 0;
  if (exponent === exponentMask)
    return fraction === 0n ? infinity(sign) : nan(sign, INTEGER | (fraction << (63n - fractionBits)));
  if (exponent === 0n) {
    if (fraction === 0n) return zero(sign);
    return finite(sign, fraction, format.emin - (format.precision - 1), true);
  }
  return finite(sign, fraction | (1n << fractionBits), Number(exponent) - bias - (format.precision - 1));
}

/** Takes apart an 80-bit register. Pseudo-NaNs, pseudo-infinities and unnormals are Unsupported (SDM vol. 1, 8.2.2). */
export function fromExtended(sig: bigint, signExponent: number): Value {
  const sign = (signExponent & 0x8000) !== 0 ? 1 : 0;
  const exponent = signExponent & 0x7fff;
  if (exponent === 0) return sig === 0n ? zero(sign) : finite(sign, sig, -16382 - 63, true);
  if ((sig & INTEGER) === 0n) return { kind: Kind.Unsupported, sign, sig, exp: 0, denormal: false };
  if (exponent === 0x7fff) return sig === INTEGER ? infinity(sign) : nan(sign, sig);
  return finite(sign, sig, exponent - 16383 - 63);
}

/** Bit pattern of a value that the format can hold exactly (a result of `round`, or a NaN, whose lowest payload bits are cut). */
export function toBits(v: Value, format: Format): bigint {
  const fractionBits = BigInt(format.precision - 1);
  const exponentMask = BigInt(2 * format.emax + 1);
  const sign = BigInt(v.sign) << (format === BINARY32 ? 31n : 63n);
  switch (v.kind) {
    case Kind.Zero:
      return sign;
    case Kind.Infinity:
      return sign | (exponentMask << fractionBits);
    case Kind.Finite: {
      const { fraction, exponent } = encode(v, format);
      return sign | (BigInt(exponent) << fractionBits) | (fraction & ((1n << fractionBits) - 1n));
    }
    default:
      return sign | (exponentMask << fractionBits) | ((v.sig & (INTEGER - 1n)) >> (63n - fractionBits));
  }
}

/** Significand and sign|exponent word of a value in the 80-bit format. */
export function toExtended(v: Value): { sig: bigint; signExponent: number } {
  const sign = v.sign << 15;
  switch (v.kind) {
    case Kind.Zero:
      return { sig: 0n, signExponent: sign };
    case Kind.Infinity:
      return { sig: INTEGER, signExponent: sign | 0x7fff };
    case Kind.Finite: {
      const { fraction, exponent } = encode(v, EXTENDED80);
      return { sig: fraction, signExponent: sign | exponent };
    }
    default:
      return { sig: v.sig, signExponent: sign | 0x7fff };
  }
}

/** Significand with its leading bit, and biased exponent (0 for denormals). */
function encode(v: Value, format: Format): { fraction: bigint; exponent: number } {
  const length = bitLength(v.sig);
  const e = v.exp + length - 1;
  if (e < format.emin) {
    const shift = v.exp - (format.emin - (format.precision - 1));
    return { fraction: shift >= 0 ? v.sig << BigInt(shift) : v.sig >> BigInt(-shift), exponent: 0 };
  }
  const shift = format.precision - length;
  return { fraction: shift >= 0 ? v.sig << BigInt(shift) : v.sig >> BigInt(-shift), exponent: e + format.emax };
}
