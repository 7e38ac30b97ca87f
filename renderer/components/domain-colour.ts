// Which colour a domain has. Domain-0 is steel; guests take the eight hues in order of creation and keep theirs for life,
// also across hosts. The ninth guest reuses the first hue hatched, the seventeenth dotted.

const HUES = 8;

export interface DomainColour {
  /** Custom property of the fill. */
  readonly fill: string;
  /** Custom property of a label drawn on the fill (4.5:1 or better). */
  readonly label: string;
  readonly pattern: 'plain' | 'hatched' | 'dotted';
}

/**
 * @param index 0 for Domain-0, then 1, 2, 3, … in order of creation
 */
export function domainColour(index: number): DomainColour {
  if (index <= 0) return { fill: '--d0', label: '--on-d0', pattern: 'plain' };
  const hue = ((index - 1) % HUES) + 1;
  const turn = Math.floor((index - 1) / HUES);
  const pattern = turn === 0 ? 'plain' : turn % 2 === 1 ? 'hatched' : 'dotted';
  return { fill: `--d${hue}`, label: `--on-d${hue}`, pattern };
}
