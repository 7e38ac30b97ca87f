// What a scheduler must do. Hosts call it; it never touches a guest.
// Times are virtual nanoseconds of the host. Invariant: a scheduler is work-conserving unless a cap says otherwise, and
// deterministic: equal calls give equal answers.

import type { GuestVcpu } from '../vcpu.ts';

export interface Decision {
  vcpu: GuestVcpu;
  /** It may run this long before the scheduler is asked again. */
  sliceNs: number;
}

/** Whether a vCPU may run on a pCPU (hard affinity). */
export function mayRunOn(v: GuestVcpu, pcpu: number): boolean {
  const { affinity } = v.domain;
  return !affinity || affinity.has(pcpu);
}

export interface Scheduler {
  readonly name: string;
  add(v: GuestVcpu): void;
  remove(v: GuestVcpu): void;
  /** `v` became runnable. */
  wake(v: GuestVcpu, now: number): void;
  /** `v` is not runnable any more. */
  sleep(v: GuestVcpu): void;
  /** `v` gives up the rest of its slice but stays runnable. */
  yield(v: GuestVcpu): void;
  /** The next vCPU for a pCPU, or null when it should idle. The vCPU leaves the queue until `returned`. */
  pick(pcpu: number, now: number): Decision | null;
  /** `v` stops running on `pcpu` after `ranNs`; still runnable unless sleep() was called. */
  returned(v: GuestVcpu, pcpu: number, ranNs: number, now: number): void;
  /** True when something that should run before `current` waits for `pcpu`. */
  shouldPreempt(pcpu: number, current: GuestVcpu): boolean;
}
