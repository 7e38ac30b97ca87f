// Short histories of what the engine reported, for lines and strips: a fixed number of reports, oldest first. A report that
// brings no new lab time adds nothing, so that a paused lab stands still.
import type { HostStatus, LabStatus } from '../../shared/model.ts';
import { withSample } from './samples.ts';
import type { Sample } from './samples.ts';

/** Reports kept for a tile's line and a pCPU's strip. */
export const HISTORY_SAMPLES = 60;

export interface StripSlice {
  /** Colour of the domain. */
  readonly colour: number;
  /** Share of the interval, 0 to 1. */
  readonly share: number;
}

export interface Histories {
  readonly at: number;
  /** Share of all its vCPUs by domain, 0 to 1. */
  readonly cpu: ReadonlyMap<string, readonly number[]>;
  /** CPU time and memory of the last minute by domain; what is counted in detail only for the domain looked at is not here. */
  readonly use: ReadonlyMap<string, readonly Sample[]>;
  /** By host, then pCPU: who ran in each report's interval. */
  readonly pcpus: ReadonlyMap<string, readonly (readonly (readonly StripSlice[])[])[]>;
}

export const emptyHistories = (): Histories => ({ at: -1, cpu: new Map(), use: new Map(), pcpus: new Map() });

/** A new list with one more entry at its end and no more than `capacity` in all. */
export function pushed<T>(list: readonly T[] | undefined, entry: T, capacity: number = HISTORY_SAMPLES): T[] {
  const kept = list ? list.slice(Math.max(0, list.length - capacity + 1)) : [];
  kept.push(entry);
  return kept;
}

/**
 * The slices of a column that can be seen, in order; what is too narrow is added to the widest, so that busy time stays as long as
 * it was.
 * @param least share of the interval that can be seen
 */
export function visibleSlices(slices: readonly StripSlice[], least: number): readonly StripSlice[] {
  if (slices.every(({ share }) => share >= least)) return slices;
  const seen = slices.filter(({ share }) => share >= least);
  const widest = slices.reduce((best, slice) => (slice.share > best.share ? slice : best));
  const hidden = slices.reduce((sum, { share }) => (share < least ? sum + share : sum), 0);
  if (seen.length === 0) return [{ colour: widest.colour, share: hidden }];
  return seen.map((slice) => (slice === widest ? { ...slice, share: slice.share + hidden } : slice));
}

export function recordHistories(before: Histories, status: LabStatus): Histories {
  const at = status.clock.now;
  if (at === before.at) return before;
  const cpu = new Map<string, readonly number[]>();
  const use = new Map<string, readonly Sample[]>();
  const colours = new Map<string, number>();
  for (const domain of status.domains) {
    colours.set(domain.uuid, domain.colour);
    const share = Math.max(0, Math.min(1, domain.cpuPercent / 100 / domain.vcpus));
    cpu.set(domain.uuid, pushed(before.cpu.get(domain.uuid), share));
    const { cpuNs, memoryMiB } = domain;
    use.set(domain.uuid, withSample(before.use.get(domain.uuid) ?? [], { at, cpuNs, memoryMiB }));
  }
  const slices = (pcpu: HostStatus['pcpus'][number]): StripSlice[] =>
    pcpu.shares.flatMap(({ uuid, share }) => {
      const colour = colours.get(uuid);
      return colour === undefined ? [] : [{ colour, share }];
    });
  const pcpus = new Map(
    status.hosts.map((host) => {
      const lists = before.pcpus.get(host.spec.name);
      return [host.spec.name, host.pcpus.map((pcpu, i) => pushed(lists?.[i], slices(pcpu)))] as const;
    }),
  );
  return { at, cpu, use, pcpus };
}
