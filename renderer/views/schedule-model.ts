// Who ran where, as the Scheduler view shows it: slices clipped to what is on screen, and what each vCPU got of it.
import type { ScheduleSlice } from '../../shared/inspection-service.ts';

export interface VcpuTotals {
  readonly uuid: string;
  readonly vcpu: number;
  readonly ranNs: number;
  readonly slices: number;
  readonly longestNs: number;
  /** Times it went on on another pCPU than before. */
  readonly moves: number;
  readonly blocked: number;
  readonly preempted: number;
}

/** The parts of slices that lie in [from, to), in order of time. */
export function clipped(slices: readonly ScheduleSlice[], from: number, to: number): ScheduleSlice[] {
  return slices
    .filter((slice) => slice.to > from && slice.from < to)
    .map((slice) => ({ ...slice, from: Math.max(from, slice.from), to: Math.min(to, slice.to) }))
    .sort((a, b) => a.from - b.from || a.pcpu - b.pcpu);
}

/** What each vCPU got of [from, to), the one that ran most first. */
export function vcpuTotals(slices: readonly ScheduleSlice[], from: number, to: number): VcpuTotals[] {
  const byVcpu = new Map<string, { -readonly [K in keyof VcpuTotals]: VcpuTotals[K] } & { last: number }>();
  for (const slice of clipped(slices, from, to)) {
    const key = `${slice.uuid} ${slice.vcpu}`;
    let total = byVcpu.get(key);
    if (!total) {
      const { uuid, vcpu, pcpu } = slice;
      total = { uuid, vcpu, ranNs: 0, slices: 0, longestNs: 0, moves: 0, blocked: 0, preempted: 0, last: pcpu };
      byVcpu.set(key, total);
    }
    const length = slice.to - slice.from;
    total.ranNs += length;
    total.slices += 1;
    total.longestNs = Math.max(total.longestNs, length);
    if (slice.pcpu !== total.last) total.moves += 1;
    total.last = slice.pcpu;
    if (slice.ended === 'blocked') total.blocked += 1;
    if (slice.ended === 'preempted' || slice.ended === 'slice') total.preempted += 1;
  }
  return [...byVcpu.values()].map(({ last: _last, ...total }) => total).sort((a, b) => b.ranNs - a.ranNs);
}

/** Who ran on a pCPU at a time; undefined when it was idle. */
export function sliceAt(slices: readonly ScheduleSlice[], pcpu: number, at: number): ScheduleSlice | undefined {
  return slices.find((slice) => slice.pcpu === pcpu && slice.from <= at && at < slice.to);
}

/** The beginning of the next (1) or previous (-1) slice on a pCPU, as seen from a time; undefined at the end. */
export function neighbourSlice(
  slices: readonly ScheduleSlice[],
  pcpu: number,
  at: number,
  direction: 1 | -1,
): number | undefined {
  const starts = slices
    .filter((slice) => slice.pcpu === pcpu)
    .map((slice) => slice.from)
    .sort((a, b) => a - b);
  return direction > 0 ? starts.find((start) => start > at) : starts.findLast((start) => start < at);
}

/** Slices as comma-separated values, times in ns of lab time. */
export function scheduleCsv(slices: readonly ScheduleSlice[], nameOf: (uuid: string) => string): string {
  const rows = slices.map((s) => [s.host, s.pcpu, nameOf(s.uuid), s.uuid, s.vcpu, s.from, s.to, s.ended].join(','));
  return `host,pcpu,domain,uuid,vcpu,from_ns,to_ns,ended\n${rows.join('\n')}\n`;
}
