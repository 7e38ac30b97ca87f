// The credit scheduler as Xen's documentation and common/sched/credit.c describe it: every 30 ms credits are shared out
// among the active domains by weight; running costs credits; UNDER (credits left) runs before OVER; a vCPU that wakes
// with credits left is boosted until it has run a tick; a cap parks a domain that has used its share.

import type { GuestVcpu } from '../vcpu.ts';
import { type Decision, mayRunOn, type Scheduler } from './scheduler.ts';

const SLICE_NS = 30_000_000;
const TICK_NS = 10_000_000;
const CREDITS_PER_ACCT = 300;
const NS_PER_CREDIT = SLICE_NS / CREDITS_PER_ACCT;

const Priority = { Boost: 0, Under: 1, Over: 2 } as const;

interface Account {
  v: GuestVcpu;
  /** Nanoseconds it may still run before it is OVER. */
  creditNs: number;
  priority: number;
  queued: boolean;
  yielded: boolean;
  /** Ran or waited since the last accounting. */
  active: boolean;
  parked: boolean;
}

export class Credit implements Scheduler {
  readonly name = 'credit';
  private readonly pcpus: number;
  private readonly accounts = new Map<GuestVcpu, Account>();
  private readonly queue: Account[] = [];
  private lastAccounting = 0;

  constructor(pcpus: number) {
    this.pcpus = pcpus;
  }

  add(v: GuestVcpu): void {
    this.accounts.set(v, {
      v,
      creditNs: SLICE_NS,
      priority: Priority.Under,
      queued: false,
      yielded: false,
      active: false,
      parked: false,
    });
  }

  remove(v: GuestVcpu): void {
    this.sleep(v);
    this.accounts.delete(v);
  }

  wake(v: GuestVcpu): void {
    const a = this.accounts.get(v);
    if (!a || a.queued || v.runningOn >= 0) return;
    if (a.priority === Priority.Under) a.priority = Priority.Boost;
    this.enqueue(a);
  }

  sleep(v: GuestVcpu): void {
    const a = this.accounts.get(v);
    if (!a?.queued) return;
    this.queue.splice(this.queue.indexOf(a), 1);
    a.queued = false;
  }

  yield(v: GuestVcpu): void {
    const a = this.accounts.get(v);
    if (a) a.yielded = true;
  }

  pick(pcpu: number, now: number): Decision | null {
    this.account(now);
    const i = this.queue.findIndex((a) => !a.parked && mayRunOn(a.v, pcpu));
    if (i < 0) return null;
    const a = this.queue[i];
    this.queue.splice(i, 1);
    a.queued = false;
    a.active = true;
    return { vcpu: a.v, sliceNs: a.priority === Priority.Boost ? TICK_NS : SLICE_NS };
  }

  returned(v: GuestVcpu, _pcpu: number, ranNs: number): void {
    const a = this.accounts.get(v);
    if (!a) return;
    a.creditNs -= ranNs;
    if (a.priority === Priority.Boost && ranNs >= TICK_NS) a.priority = Priority.Under;
    if (a.creditNs < 0) a.priority = Priority.Over;
    if (v.runnable) this.enqueue(a);
  }

  shouldPreempt(pcpu: number, current: GuestVcpu): boolean {
    const first = this.queue.find((a) => !a.parked && mayRunOn(a.v, pcpu));
    const running = this.accounts.get(current);
    return first !== undefined && running !== undefined && first.priority < running.priority;
  }

  private enqueue(a: Account): void {
    // After everyone of its priority; one that yielded goes behind everyone this time.
    let i = this.queue.length;
    if (!a.yielded) while (i > 0 && this.queue[i - 1].priority > a.priority) i--;
    a.yielded = false;
    this.queue.splice(i, 0, a);
    a.queued = true;
    a.active = true;
  }

  private account(now: number): void {
    if (now - this.lastAccounting < SLICE_NS) return;
    const periods = Math.min(10, Math.floor((now - this.lastAccounting) / SLICE_NS));
    this.lastAccounting += Math.floor((now - this.lastAccounting) / SLICE_NS) * SLICE_NS;
    const byDomain = new Map<number, Account[]>();
    for (const a of this.accounts.values()) {
      if (!a.active && a.creditNs >= 0) continue;
      const id = a.v.domain.domid;
      byDomain.set(id, [...(byDomain.get(id) ?? []), a]);
    }
    const shares = this.shares([...byDomain.values()], periods);
    for (const list of byDomain.values()) {
      const d = list[0].v.domain;
      const share = shares.get(list)!;
      const capNs = (SLICE_NS * d.cap * periods) / 100;
      for (const a of list) {
        a.creditNs = Math.min(a.creditNs + Math.floor(share / list.length), SLICE_NS);
        a.priority = a.creditNs >= 0 ? Priority.Under : Priority.Over;
        a.parked = d.cap > 0 && a.creditNs < -capNs / list.length;
        if (!a.queued && a.v.runningOn < 0) a.active = false;
      }
    }
    this.queue.sort((x, y) => x.priority - y.priority);
  }

  /**
   * Nanoseconds for each active domain, by weight. What one cannot use, because of its cap or because it has fewer vCPUs than its share has
   * pCPUs, is shared out among the others, again by weight: otherwise all of them would be OVER for good, where weights do not count.
   */
  private shares(domains: Account[][], periods: number): Map<Account[], number> {
    const shares = new Map<Account[], number>();
    let left = CREDITS_PER_ACCT * NS_PER_CREDIT * this.pcpus * periods;
    let open = domains;
    for (;;) {
      let weights = 0;
      for (const list of open) weights += list[0].v.domain.weight;
      const perWeight = left / weights;
      const full = open.filter((list) => perWeight * list[0].v.domain.weight >= most(list, periods));
      if (full.length === 0) {
        for (const list of open) shares.set(list, perWeight * list[0].v.domain.weight);
        return shares;
      }
      for (const list of full) {
        shares.set(list, most(list, periods));
        left -= most(list, periods);
      }
      open = open.filter((list) => !shares.has(list));
    }
  }
}

/** Nanoseconds that a domain can use in so many periods. */
function most(list: Account[], periods: number): number {
  const { cap } = list[0].v.domain;
  return SLICE_NS * periods * Math.min(list.length, cap > 0 ? cap / 100 : Infinity);
}
