// A domain without a machine: pages that count their writes, a dirty log over them, and a guest that suspends when it is told to.

import type { MovingDomain } from '../../../main/toolstack/migration/sender.ts';

const PAGE_RECORD = 4096 + 8;

export class FakeDomain implements MovingDomain {
  /** How often each page was written. */
  readonly versions: number[];
  /** What the other end has. */
  readonly copy = new Map<number, number>();
  readonly dirty = new Set<number>();
  logging = false;
  asked = false;
  resumed = 0;
  state: ReturnType<MovingDomain['condition']> = { is: 'running' };
  pageBytes = 0;
  readonly stateBytes = 5000;

  constructor(pages: number) {
    this.versions = new Array<number>(pages).fill(1);
  }
  write(pfn: number): void {
    this.versions[pfn]!++;
    if (this.logging) this.dirty.add(pfn);
  }
  startLog(): number {
    this.logging = true;
    this.dirty.clear();
    return this.versions.length;
  }
  peek(pfn: number): boolean {
    return this.dirty.has(pfn);
  }
  clean(found: (pfn: number) => void): void {
    for (const pfn of this.dirty) found(pfn);
    this.dirty.clear();
  }
  stopLog(): void {
    this.logging = false;
  }
  forEachPage(visit: (pfn: number) => void): void {
    this.versions.forEach((_, pfn) => visit(pfn));
  }
  head(): Uint8Array {
    return new Uint8Array(100);
  }
  pages(pfns: readonly number[]): Uint8Array {
    for (const pfn of pfns) this.copy.set(pfn, this.versions[pfn]!);
    this.pageBytes += pfns.length * PAGE_RECORD;
    return new Uint8Array(pfns.length * PAGE_RECORD);
  }
  /** Disk blocks by number: how often each was written, and what the other end has. */
  readonly diskVersions: number[] = [];
  readonly diskCopy = new Map<number, number>();
  readonly diskDirty = new Set<number>();
  writeBlock(n: number): void {
    this.diskVersions[n]!++;
    this.diskDirty.add(n);
  }
  startDisks(): number[] {
    this.diskDirty.clear();
    return this.diskVersions.map((_, n) => n);
  }
  takeDiskWrites(): number[] {
    const blocks = [...this.diskDirty];
    this.diskDirty.clear();
    return blocks;
  }
  blocks(keys: readonly number[], most: number): { bytes: Uint8Array; taken: number } {
    const taken = keys.slice(0, most);
    for (const n of taken) this.diskCopy.set(n, this.diskVersions[n]!);
    return { bytes: new Uint8Array(taken.length * 65_536), taken: taken.length };
  }
  askSuspend(): void {
    this.asked = true;
  }
  condition(): ReturnType<MovingDomain['condition']> {
    return this.state;
  }
  tail(): Uint8Array {
    if (this.state.is !== 'suspended') throw new Error('state of a running domain');
    return new Uint8Array(this.stateBytes);
  }
  resumeHere(): void {
    this.resumed++;
    this.state = { is: 'running' };
  }
  /** The other end has what this one has. */
  get same(): boolean {
    return this.versions.every((v, pfn) => this.copy.get(pfn) === v);
  }
}
