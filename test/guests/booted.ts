// A domain on a host of its own, driven by its console: for tests with whole guests.

import { existsSync, readFileSync } from 'node:fs';
import type { DomainSpec } from '../../shared/model.ts';
import { prepareKernel } from '../../main/toolstack/builder/kernel-image.ts';
import type { DiskBacking } from '../../main/toolstack/simulated-host.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';

const cache = new URL('../../.cache/guests/', import.meta.url);

/** True when `npm run guests` has put these files into its cache. */
export function fetched(...names: string[]): boolean {
  return names.every((name) => existsSync(new URL(name, cache)));
}
export function guestFile(name: string): Uint8Array {
  return readFileSync(new URL(name, cache));
}

/** A raw disk in memory. */
export class MemoryDisk implements DiskBacking {
  readonly data: Uint8Array;
  constructor(data: Uint8Array) {
    this.data = data;
  }
  get bytes(): number {
    return this.data.length;
  }
  read(offset: number, length: number): Uint8Array {
    return this.data.slice(offset, offset + length);
  }
  write(offset: number, data: Uint8Array): void {
    this.data.set(data, offset);
  }
  flush(): void {}
}

export interface Guest {
  spec: Partial<DomainSpec> & Pick<DomainSpec, 'mode'>;
  kernel: Uint8Array;
  ramdisk?: Uint8Array;
  disks?: DiskBacking[];
}

export class Booted {
  readonly xen: XenHost;
  private readonly text = new Map<number, string>();
  /** How much of a console `expect` has already consumed. */
  private readonly seen = new Map<number, number>();

  constructor(memoryMiB = 512, pcpus = 2) {
    this.xen = new XenHost({ name: 'test', pcpus, memoryMiB, clockMHz: 1000 }, 1, {
      console: (domid, bytes) =>
        void this.text.set(domid, this.console(domid) + new TextDecoder('latin1').decode(bytes)),
      stateChanged: () => {},
    });
  }

  async start(guest: Guest): Promise<number> {
    const spec: DomainSpec = {
      name: `guest${this.xen.domains().length}`,
      kernel: 'test',
      cmdline: '',
      memoryMiB: 64,
      vcpus: 1,
      disks: [],
      nics: [],
      weight: 256,
      cap: 0,
      ...guest.spec,
    };
    return this.xen.createDomain(spec, {
      kernel: await prepareKernel(guest.kernel),
      ramdisk: guest.ramdisk,
      disks: guest.disks ?? [],
    });
  }

  console(domid: number): string {
    return this.text.get(domid) ?? '';
  }

  advance(ms: number): void {
    this.xen.advance(this.xen.host.now() + ms * 1_000_000);
  }

  type(domid: number, line: string): void {
    this.xen.consoleInput(domid, new TextEncoder().encode(`${line}\r`));
  }

  /** Runs until the console shows `wanted` after what was seen before; throws with its end when it does not within `ms` of virtual time. */
  expect(domid: number, wanted: RegExp, ms: number): RegExpExecArray {
    const end = this.xen.host.now() + ms * 1_000_000;
    for (;;) {
      const from = this.seen.get(domid) ?? 0;
      const match = wanted.exec(this.console(domid).slice(from));
      if (match) {
        this.seen.set(domid, from + match.index + match[0].length);
        return match;
      }
      const status = this.xen.domainStatus(domid);
      if (this.xen.host.now() >= end || status.shutdown !== null)
        throw new Error(
          `${wanted} did not come within ${ms} ms (${status.state}${status.reason ? `: ${status.reason}` : ''}). The console ends:\n${this.console(domid).slice(-1500)}`,
        );
      this.advance(10);
    }
  }

  /** Runs until the domain has shut down. */
  expectShutdown(domid: number, ms: number): string {
    const end = this.xen.host.now() + ms * 1_000_000;
    while (this.xen.host.now() < end && this.xen.domainStatus(domid).shutdown === null) this.advance(10);
    return this.xen.domainStatus(domid).shutdown ?? `still ${this.xen.domainStatus(domid).state}`;
  }
}
