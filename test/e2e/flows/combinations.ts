/**
 * In which looks and sizes the flows are driven, and with which hand. Each flow meets every theme at every size: with the mouse in
 * two of the four combinations and with the keyboard in the other two. BULKHEAD_E2E=all drives both hands in all four.
 */
export interface Combination {
  readonly theme: 'dark' | 'light';
  readonly windowSize: { readonly width: number; readonly height: number };
  readonly hands: readonly ('mouse' | 'keyboard')[];
}

const WIDE = { width: 1440, height: 900 };
const SMALL = { width: 1024, height: 700 };
const all = process.env['BULKHEAD_E2E'] === 'all';
const hands = (one: 'mouse' | 'keyboard'): Combination['hands'] => (all ? ['mouse', 'keyboard'] : [one]);

export const combinations: readonly Combination[] = [
  { theme: 'dark', windowSize: WIDE, hands: hands('mouse') },
  { theme: 'light', windowSize: WIDE, hands: hands('keyboard') },
  { theme: 'dark', windowSize: SMALL, hands: hands('keyboard') },
  { theme: 'light', windowSize: SMALL, hands: hands('mouse') },
];

/** For what takes long: each hand once, in the other theme and at the other size. */
export const opposites: readonly Combination[] = all
  ? combinations
  : [
      { theme: 'dark', windowSize: WIDE, hands: ['mouse'] },
      { theme: 'light', windowSize: SMALL, hands: ['keyboard'] },
    ];
