// The schedule of a host under the hypervisor: slices that have ended, and those that run now.

import type { Host } from '../../hypervisor/host.ts';
import type { HostSlice } from './calls.ts';

/** Slices that ended after the first `after`, the newest `limit` of them, and how many have ended. */
export function scheduleTail(host: Host, after: number, limit: number): { slices: HostSlice[]; ended: number } {
  const { count } = host.slices;
  return { slices: host.slices.latest(Math.min(limit, Math.max(0, count - after))), ended: count };
}

/** Slices that overlap [from, to) virtual ns, oldest first; the newest `limit` of them. */
export function hostSchedule(host: Host, from: number, to: number, limit: number): HostSlice[] {
  const running = host.pcpus.flatMap((p): HostSlice[] => {
    const v = p.current;
    const began = host.cyclesToNs(p.sliceStart);
    const now = host.cyclesToNs(p.cycles);
    return v && now > began && began < to && now > from
      ? [{ pcpu: p.index, domid: v.domain.domid, vcpu: v.id, from: began, to: now, ended: 'running' }]
      : [];
  });
  const ended = host.slices.between(from, to, Math.max(0, limit - running.length));
  return [...ended, ...running].slice(-limit);
}
