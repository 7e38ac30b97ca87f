// Numbers whose units must not be mixed, as branded types. A brand costs nothing at run time.

type Brand<Name extends string> = number & { readonly __unit?: Name };

/** Nanoseconds of the lab's virtual clock. Exact up to 2^53 (104 days). */
export type VirtualNs = Brand<'virtual ns'>;
/** Milliseconds on the user's clock. */
export type WallMs = Brand<'wall ms'>;
export type Bytes = Brand<'bytes'>;
/** Pages of 4 KiB. */
export type Pages = Brand<'pages'>;
/** Pseudo-physical frame number of a paravirtual guest. */
export type Pfn = Brand<'pfn'>;
/** Machine frame number of a host. */
export type Mfn = Brand<'mfn'>;
/** Guest frame number of a translated guest. */
export type Gfn = Brand<'gfn'>;

export const NS_PER_SECOND = 1_000_000_000;
export const PAGE_BYTES = 4096;
