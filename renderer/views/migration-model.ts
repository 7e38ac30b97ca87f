// A migration run as the Migrations view shows it: a projection of the engine's report.
import type { Downtime, MigrationReport } from '../../shared/migration-service.ts';

/** Parts of the downtime, in order. */
export const DOWNTIME_PARTS = ['suspendNs', 'lastPagesNs', 'stateNs', 'resumeNs', 'networkNs'] as const;

/** The parts that took any time, with their number in the order of the whole. */
export function downtimeParts(
  downtime: Downtime,
): { part: (typeof DOWNTIME_PARTS)[number]; number: number; ns: number }[] {
  return DOWNTIME_PARTS.map((part, i) => ({ part, number: i + 1, ns: downtime[part] })).filter(({ ns }) => ns > 0);
}

export interface HeatCells {
  /** By cell: in how many rounds it was dirtied. */
  readonly rounds: readonly number[];
  /** By cell: how often in all. */
  readonly pages: readonly number[];
  /** Rounds that were recorded. */
  readonly of: number;
}

/** The working set over all rounds of a run. */
export function heatCells(heat: MigrationReport['heat']): HeatCells {
  const cells = Math.max(0, ...heat.map((round) => round.dirtied.length));
  const rounds = new Array<number>(cells).fill(0);
  const pages = new Array<number>(cells).fill(0);
  for (const { dirtied } of heat)
    dirtied.forEach((n, cell) => {
      if (n > 0) rounds[cell] += 1;
      pages[cell] += n;
    });
  return { rounds, pages, of: heat.length };
}

/** One of the six heat steps (0 to 5) for a cell that was dirtied in so many of all rounds. */
export function heatStep(rounds: number, of: number): number {
  if (rounds <= 0 || of <= 0) return 0;
  return of <= 5 ? Math.min(5, rounds) : Math.max(1, Math.min(5, Math.ceil((rounds / of) * 5)));
}

/** Ticks of a logarithmic axis: the powers of ten that hold all values. */
export function powersOfTen(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(Math.max(1, low))); ; power++) {
    ticks.push(10 ** power);
    if (10 ** power >= high) return ticks;
  }
}
