// Round robin: one queue for the host, equal slices, no weights.

import type { GuestVcpu } from '../vcpu.ts';
import { type Decision, mayRunOn, type Scheduler } from './scheduler.ts';

const SLICE_NS = 10_000_000;

export class RoundRobin implements Scheduler {
  readonly name = 'rr';
  private readonly queue: GuestVcpu[] = [];

  add(): void {}

  remove(v: GuestVcpu): void {
    this.sleep(v);
  }

  wake(v: GuestVcpu): void {
    if (v.runningOn < 0 && !this.queue.includes(v)) this.queue.push(v);
  }

  sleep(v: GuestVcpu): void {
    const i = this.queue.indexOf(v);
    if (i >= 0) this.queue.splice(i, 1);
  }

  yield(): void {}

  pick(pcpu: number): Decision | null {
    const i = this.queue.findIndex((v) => mayRunOn(v, pcpu));
    return i < 0 ? null : { vcpu: this.queue.splice(i, 1)[0], sliceNs: SLICE_NS };
  }

  returned(v: GuestVcpu): void {
    if (v.runnable) this.wake(v);
  }

  shouldPreempt(): boolean {
    return false;
  }
}
