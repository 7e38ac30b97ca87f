// Destroyed domains that could still be brought back: stopped, told to nobody, their memory lent out again as soon as somebody needs it.
// Invariant: a parked domain never runs, and never keeps a new domain from memory, a vCPU or a disk.

import type { DomainSpec } from '../../shared/model.ts';
import type { Entry } from './host-report.ts';

/** All together hold no more than this. */
const MOST_FRAMES = 2 ** 18;

export class ParkedDomains {
  /** Oldest first, by whatever key the engine chose. */
  private readonly parked = new Map<string, { entry: Entry; wasPaused: boolean }>();
  private readonly destroy: (entry: Entry) => void;

  /** @param destroy ends a domain for good */
  constructor(destroy: (entry: Entry) => void) {
    this.destroy = destroy;
  }

  /** Frames that are lent out as soon as they are needed. */
  get frames(): number {
    let sum = 0;
    for (const { entry } of this.parked.values()) sum += entry.domain.totalPages;
    return sum;
  }
  has(domid: number): boolean {
    for (const { entry } of this.parked.values()) if (entry.domain.domid === domid) return true;
    return false;
  }

  /** Stops a domain and keeps it. @returns false when it is too large: then nothing has happened */
  park(key: string, entry: Entry): boolean {
    const { domain } = entry;
    if (domain.totalPages > MOST_FRAMES) return false;
    const wasPaused = domain.pauseCount > 0;
    if (!wasPaused) domain.pause();
    this.parked.set(key, { entry, wasPaused });
    while (this.frames > MOST_FRAMES) this.dropOldest();
    return true;
  }

  /** Takes a domain out again, running if it ran; null when it had to make room meanwhile. */
  revive(key: string): Entry | null {
    const found = this.parked.get(key);
    if (!found) return null;
    this.parked.delete(key);
    if (!found.wasPaused) found.entry.domain.unpause();
    return found.entry;
  }

  drop(key: string): void {
    const found = this.parked.get(key);
    if (!found) return;
    this.parked.delete(key);
    this.destroy(found.entry);
  }
  dropAll(): void {
    for (const key of [...this.parked.keys()]) this.drop(key);
  }
  private dropOldest(): void {
    this.drop(this.parked.keys().next().value!);
  }

  /** Gives up what stands in the way of a new domain: the oldest until `enough` holds, and all that have one of its disks. */
  makeRoom(spec: DomainSpec, enough: () => boolean): void {
    const paths = new Set(spec.disks.map((d) => d.path));
    for (const [key, { entry }] of [...this.parked])
      if (entry.spec.disks.some((d) => paths.has(d.path))) this.drop(key);
    while (this.parked.size > 0 && !enough()) this.dropOldest();
  }
}
