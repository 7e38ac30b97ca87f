// The fixed sample of conformance cases whose outcome is kept.

export const SEED = 1;
export const CASES = 3000;
export const EXPECTED = new URL('./expected.bin.gz', import.meta.url);
