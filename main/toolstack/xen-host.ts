// A host under the hypervisor: domains with their consoles and other backends, in the engine's terms.

import { createHash } from 'node:crypto';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainSpec, Figures, HostSpec } from '../../shared/model.ts';
import { BlockBackend } from '../backends/block/block-backend.ts';
import { NetBackend } from '../backends/network/net-backend.ts';
import { Switch } from '../backends/network/switch.ts';
import { Uplinks } from '../backends/network/uplink.ts';
import type { SplitBackend } from '../backends/split-driver.ts';
import { StoreRing } from '../backends/xenstore/ring.ts';
import { Store } from '../backends/xenstore/store.ts';
import { ConsoleRing } from '../backends/console/console-ring.ts';
import type { Domain } from '../hypervisor/domain.ts';
import { connectBackend } from '../hypervisor/events/event-channels.ts';
import { Host } from '../hypervisor/host.ts';
import { traceName } from '../hypervisor/trace.ts';
import { KernelImageError } from '../machine/boot/errors.ts';
import { HostMemory } from '../machine/cpu/host-memory.ts';
import { MAX_VCPUS } from '../machine/cpu/layout.ts';
import { buildError, type BuiltDomain, type DomainImage, type Rings } from './builder/domain-image.ts';
import { kernelError } from './builder/kernel-image.ts';
import { buildPv } from './builder/pv.ts';
import { buildPvh } from './builder/pvh.ts';
import { readXenKernel } from './builder/xen-kernel.ts';
import { Captures } from './captures.ts';
import { checkDisks, type Disk } from './domain-disks.ts';
import {
  introduceDomain,
  releaseDomain,
  requestMemory,
  requestShutdown,
  requestVcpus,
  watchesMemory,
} from './domain-store.ts';
import type { DomainRebuild, DomainSource, RebuildOptions } from './saving/contract.ts';
import { HostDomainRebuild } from './saving/rebuild.ts';
import { HostDomainSource } from './saving/source.ts';
import { EPOCH_SECONDS } from './epoch.ts';
import { digestOf, type Entry, figuresOf, memorySpans, statusOf } from './host-report.ts';
import { ParkedDomains } from './parked-domains.ts';
import type { DomainFiles, HostCallbacks, HostDomainStatus, SimulatedHost } from './simulated-host.ts';

const TRACE_CONSOLE = traceName('device', 'console prints', ['bytes']);
const CONSOLE_POLL_NS = 20_000_000;
/** Frames beyond a domain's own memory that building it may take. */
const PARKED_SLACK = 1024;

export class XenHost {
  private readonly spec: HostSpec;
  private readonly callbacks: HostCallbacks;
  readonly host: Host;
  private readonly entries = new Map<number, Entry>();
  readonly store = new Store();
  private readonly bridges = new Map<string, Switch>();
  /** Where its bridges go on to the other hosts. */
  readonly uplinks: Uplinks;
  private pollArmed = false;
  private readonly parked = new ParkedDomains((entry) => this.end(entry));
  private readonly captures: Captures;

  constructor(spec: HostSpec, seed: number, callbacks: HostCallbacks) {
    this.spec = spec;
    this.callbacks = callbacks;
    void seed;
    this.host = new Host({
      mem: new HostMemory(spec.memoryMiB * 2 ** 20),
      pcpus: spec.pcpus,
      clockMHz: spec.clockMHz,
      wallClockBaseNs: BigInt(EPOCH_SECONDS) * 1_000_000_000n,
    });
    this.uplinks = new Uplinks(this.host);
    this.captures = new Captures(() => this.host.wallClockBaseNs + BigInt(Math.floor(this.host.now())));
  }

  advance(until: number): { now: number; idleUntil: number } {
    this.armConsolePoll();
    return this.host.advance(until);
  }

  /**
   * Some guests (GRUB) fill their console ring without an event and then compute for long. While any vCPU can run, the
   * rings are looked at in fixed steps of virtual time; an idle host has no such steps.
   */
  private armConsolePoll(): void {
    if (this.pollArmed || !this.host.busyNow) return;
    this.pollArmed = true;
    const at = (Math.floor(this.host.now() / CONSOLE_POLL_NS) + 1) * CONSOLE_POLL_NS;
    this.host.schedule(at, () => {
      this.pollArmed = false;
      for (const entry of this.entries.values()) entry.console.service();
      this.armConsolePoll();
    });
  }

  createDomain(spec: DomainSpec, files: DomainFiles): number {
    if (spec.mode === 'hvm')
      throw new BulkheadError({
        code: 'not-supported',
        what: 'HVM domains do not run yet.',
        why: 'They need firmware and emulated devices that this build does not have.',
        action: 'Choose PV or PVH.',
        field: 'mode',
      });
    if (spec.cpus && !spec.cpus.some((pcpu) => pcpu < this.spec.pcpus))
      throw buildError(
        'invalid-argument',
        `${this.spec.name} has none of the pCPUs that ${spec.name} may run on (${spec.cpus.join(', ')}).`,
        `It has ${this.spec.pcpus}, counted from 0.`,
        'Name at least one of those, or none for all.',
        'cpus',
      );
    const disks = checkDisks(spec, files);
    const pvh = spec.mode === 'pvh';
    const { image, notes } = readXenKernel(files.kernel, pvh);
    const uuid = new Uint8Array(createHash('sha256').update(`${this.spec.name}/${spec.name}`).digest().subarray(0, 16));
    this.makeRoom(spec, spec.memoryMiB * 256);
    const domain = this.host.createDomain(pvh ? 'hvm' : image.bits === 64 ? 'pv64' : 'pv32', spec.name, uuid);
    if (!domain) throw this.noMemory(spec);
    try {
      return this.build(domain, spec, disks, (ports) => {
        const what: DomainImage = {
          kernel: files.kernel,
          ramdisk: files.ramdisk ?? null,
          cmdline: spec.cmdline,
          memoryBytes: spec.memoryMiB * 2 ** 20,
          vcpus: spec.vcpus,
        };
        return pvh ? buildPvh(domain, image, what, ports) : buildPv(domain, image, notes, what, ports);
      });
    } catch (error) {
      this.host.destroyDomain(domain);
      throw error instanceof KernelImageError ? kernelError(error) : error;
    }
  }

  private build(
    domain: Domain,
    spec: DomainSpec,
    disks: Disk[],
    build: (ports: { consolePort: number; storePort: number }) => BuiltDomain,
  ): number {
    if (this.host.frames.free < spec.memoryMiB * 256 + 64) throw this.noMemory(spec);
    this.addVcpus(domain, spec);
    const bits = { value: 64 as 32 | 64 };
    return this.wire(
      domain,
      spec,
      spec.nics.map((nic, i) => nic.mac ?? defaultMac(domain.uuid, i)),
      disks,
      false,
      (ports) => {
        const built = build(ports);
        bits.value = built.bits;
        domain.vcpus[0].online = true;
        return built.rings;
      },
      () => bits.value,
    );
  }

  /** Domains that were only put away give way to a new one. */
  private makeRoom(spec: DomainSpec, pages: number): void {
    this.parked.makeRoom(
      spec,
      () => this.host.frames.free >= pages + PARKED_SLACK && this.host.freeVcpus >= spec.vcpus,
    );
  }

  private addVcpus(domain: Domain, spec: DomainSpec): void {
    domain.weight = spec.weight;
    domain.cap = spec.cap;
    domain.affinity = spec.cpus ? new Set(spec.cpus) : null;
    for (let i = 0; i < spec.vcpus; i++)
      if (!this.host.addVcpu(domain))
        throw buildError(
          'host-busy',
          `${this.spec.name} has no virtual CPU left.`,
          `One simulated host has room for ${MAX_VCPUS} of them.`,
          'Destroy another domain first.',
          'vcpus',
        );
  }

  /** Connects a domain that is built or rebuilt with its backends and lets it run. */
  private wire(
    domain: Domain,
    spec: DomainSpec,
    macs: string[],
    disks: Disk[],
    paused: boolean,
    rings: (ports: { consolePort: number; storePort: number }) => Rings,
    bits: () => 32 | 64,
  ): number {
    const late: { console?: ConsoleRing; store?: StoreRing } = {};
    const consoleEnd = connectBackend(domain, () => late.console?.service());
    const storeEnd = connectBackend(domain, () => late.store?.service());
    if (typeof consoleEnd === 'number' || typeof storeEnd === 'number') throw this.noMemory(spec);
    const lent = rings({ consolePort: consoleEnd.guestPort, storePort: storeEnd.guestPort });
    const { domid } = domain;
    const entry: Entry = {
      domain,
      spec,
      bits: bits(),
      console: new ConsoleRing(domain, lent.consoleMfn, consoleEnd.notify, (bytes) => this.output(domid, bytes)),
      storeRing: new StoreRing(
        domain,
        this.store,
        lent.storeMfn,
        storeEnd.notify,
        (id) => this.host.domain(id) !== undefined,
      ),
      disks: [],
      nics: [],
      macs,
      consoleBytes: 0,
      suspension: null,
    };
    late.console = entry.console;
    late.store = entry.storeRing;
    this.entries.set(domid, entry);
    domain.onConsoleIo = (bytes) => this.output(domid, bytes);
    domain.onShutdown = () => {
      entry.console.service();
      if (entry.suspension) {
        entry.suspension.vcpu = this.host.loaded?.domain === domain ? this.host.loaded.id : 0;
        entry.suspension.stopped();
      }
      this.callbacks.stateChanged(domid);
    };
    // The console and xenstore pages are granted to the control domain, as libxc seeds the table.
    domain.grants.permit(0, 0, this.gfnOf(domain, lent.consoleMfn));
    domain.grants.permit(1, 0, this.gfnOf(domain, lent.storeMfn));
    introduceDomain(this.store, domain, spec, lent);
    for (const disk of disks)
      entry.disks.push(new BlockBackend(domain, this.store, disk.number, disk.name, disk.image, disk.readOnly));
    spec.nics.forEach((nic, i) =>
      entry.nics.push(
        new NetBackend(
          domain,
          this.store,
          i,
          macs[i]!,
          nic.bridge,
          this.bridge(nic.bridge),
          ((nic.rateKbit ?? 0) * 1000) / 8,
        ),
      ),
    );
    if (!paused) domain.unpause();
    for (const v of domain.vcpus) if (v.online) v.wakeIfRunnable();
    return domid;
  }

  /** A domain of this host as records of the stream. */
  domainSource(domid: number): DomainSource {
    return new HostDomainSource(this.entry(domid), this.store, this.spec.name);
  }

  /** Begins a domain that comes from a stream. @throws BulkheadError when this host cannot have it */
  rebuild(options: RebuildOptions): DomainRebuild {
    return new HostDomainRebuild(
      {
        emptyDomain: ({ saved, identity }) => {
          const spec = { ...(options.spec ?? saved.spec), name: identity.name };
          const pages = Math.min(saved.maxPages, spec.memoryMiB * 256);
          this.makeRoom(spec, pages);
          if (this.host.frames.free < pages + 64) throw this.noMemory(spec);
          const kind = spec.mode === 'pv' ? (saved.bits === 64 ? 'pv64' : 'pv32') : 'hvm';
          const domain = this.host.createDomain(kind, identity.name, uuidBytes(identity.uuid));
          if (!domain) throw this.noMemory(spec);
          try {
            domain.maxPages = saved.maxPages;
            this.addVcpus(domain, spec);
          } catch (error) {
            this.host.destroyDomain(domain);
            throw error;
          }
          return domain;
        },
        wire: (domain, { saved, identity, disks, paused }, bits, rings) => {
          const spec = { ...(options.spec ?? saved.spec), name: identity.name };
          const macs = spec.nics.map((_, i) => identity.macs[i] ?? defaultMac(domain.uuid, i));
          const files = { kernel: new Uint8Array(0), disks: disks() };
          const domid = this.wire(domain, spec, macs, checkDisks(spec, files), paused ?? false, rings, () => bits);
          if (saved.targetKiB !== undefined) requestMemory(this.store, domid, saved.targetKiB / 1024);
          return domid;
        },
        destroy: (domain) => {
          if (this.entries.has(domain.domid)) this.destroyDomain(domain.domid);
          else this.host.destroyDomain(domain);
        },
      },
      options,
    );
  }

  private gfnOf(domain: Domain, mfn: number): number {
    if (!domain.hvm) return mfn;
    let found = -1;
    domain.hvm.p2m.forEach((gfn, m) => {
      if (m === mfn) found = gfn;
    });
    return found;
  }

  private output(domid: number, bytes: Uint8Array): void {
    const entry = this.entries.get(domid);
    if (entry) entry.consoleBytes += bytes.length;
    if (this.host.trace.recording) this.host.trace.add(TRACE_CONSOLE, domid, 0, bytes.length);
    this.callbacks.console(domid, bytes);
  }

  private noMemory(spec: DomainSpec): BulkheadError {
    return buildError(
      'not-enough-memory',
      `${this.spec.name} has ${this.freeMiB()} MiB free and the domain asks for ${spec.memoryMiB} MiB.`,
      'The rest belongs to other domains and to the hypervisor.',
      'Give the domain less memory, or destroy another one.',
      'memoryMiB',
    );
  }

  /** The switch behind a bridge's name. */
  private bridge(name: string): Switch {
    let bridge = this.bridges.get(name);
    if (!bridge) {
      this.bridges.set(name, (bridge = new Switch()));
      this.uplinks.attach(name, bridge);
    }
    return bridge;
  }

  /** The disks of a domain, in the order of its spec. */
  disksOf(domid: number): readonly BlockBackend[] {
    return this.entry(domid).disks;
  }

  /** Tells the network that a domain's addresses are here now. */
  announce(domid: number): void {
    for (const nic of this.entry(domid).nics) nic.announce();
  }

  /** @throws BulkheadError not-found */
  entry(domid: number): Entry {
    const entry = this.entries.get(domid);
    if (!entry)
      throw new BulkheadError({
        code: 'not-found',
        what: `${this.spec.name} has no domain ${domid}.`,
        why: 'It has been destroyed, or it never existed.',
        action: 'Look at the list of domains.',
      });
    return entry;
  }

  pauseDomain(domid: number): void {
    const { domain } = this.entry(domid);
    if (domain.pauseCount === 0) domain.pause();
  }

  unpauseDomain(domid: number): void {
    const { domain } = this.entry(domid);
    if (domain.pauseCount > 0) domain.unpause();
  }

  shutdownDomain(domid: number, reason: 'poweroff' | 'reboot'): void {
    this.entry(domid);
    requestShutdown(this.store, domid, reason);
  }

  setMemoryTarget(domid: number, memoryMiB: number): void {
    const { spec } = this.entry(domid);
    if (memoryMiB > spec.memoryMiB)
      throw buildError(
        'invalid-argument',
        `${spec.name} cannot grow to ${memoryMiB} MiB.`,
        `It was built with ${spec.memoryMiB} MiB, and a balloon gives back no more than it took.`,
        `Ask for ${spec.memoryMiB} MiB or less.`,
        'memoryMiB',
      );
    requestMemory(this.store, domid, memoryMiB);
  }

  /** @see SimulatedHost.balloonable */
  balloonable(): number[] {
    return this.domains().filter((domid) => watchesMemory(this.store, domid));
  }

  setVcpus(domid: number, vcpus: number): void {
    const { spec } = this.entry(domid);
    if (vcpus > spec.vcpus)
      throw buildError(
        'invalid-argument',
        `${spec.name} cannot use ${vcpus} vCPUs.`,
        `It was built with ${spec.vcpus}.`,
        `Ask for ${spec.vcpus} or fewer.`,
        'vcpus',
      );
    requestVcpus(this.store, domid, vcpus, spec.vcpus);
  }

  /** @see SimulatedHost.destroyDomain */
  destroyDomain(domid: number, keep?: string): boolean {
    const entry = this.entry(domid);
    this.captures.stopAll(domid);
    this.entries.delete(domid);
    if (keep !== undefined && !entry.suspension && this.parked.park(keep, entry)) return true;
    this.end(entry);
    return false;
  }

  reviveDomain(key: string): number {
    const entry = this.parked.revive(key);
    if (!entry) return -1;
    this.entries.set(entry.domain.domid, entry);
    return entry.domain.domid;
  }

  dropDomain(key: string): void {
    this.parked.drop(key);
  }

  private end({ domain, storeRing, disks, nics }: Entry): void {
    for (const backend of [...disks, ...nics] as SplitBackend[]) backend.close();
    storeRing.close();
    releaseDomain(this.store, domain.domid);
    this.host.destroyDomain(domain);
  }

  /** Writes every frame of an interface to a file from now on (pcap). @throws BulkheadError when there is no such interface or file */
  startCapture(domid: number, nic: number, path: string): void {
    const { domain, nics } = this.entry(domid);
    this.captures.start(domid, domain.name, nics, nic, path);
  }

  /** Ends a capture; there need not be one. */
  stopCapture(domid: number, nic: number): void {
    this.captures.stop(domid, nic);
  }

  consoleInput(domid: number, bytes: Uint8Array): void {
    this.entry(domid).console.input(bytes);
  }

  domains(): number[] {
    return [...this.entries.keys()];
  }

  domainStatus(domid: number): HostDomainStatus {
    return { ...statusOf(this.entry(domid)), captures: this.captures.of(domid) };
  }

  figures(domid: number): Figures {
    return figuresOf(this.host, this.entry(domid));
  }

  freeMiB(): number {
    return Math.floor((this.host.frames.free + this.parked.frames) / 256);
  }

  memoryMap(): ReturnType<SimulatedHost['memoryMap']> {
    return memorySpans(this.host, (domid) => this.parked.has(domid));
  }

  pcpuUse(): ReturnType<SimulatedHost['pcpuUse']> {
    return this.host.pcpus.map((p) => {
      const busy = [...p.busy].map(([domid, cycles]) => ({ domid, ns: this.host.cyclesToNs(cycles) }));
      p.busy.clear();
      return { running: p.current?.domain.domid ?? null, busy };
    });
  }

  digest(): string {
    return digestOf(this.host);
  }
}

/** An address of Xen's own range (00:16:3e) that follows from the domain's identity. */
function defaultMac(uuid: Uint8Array, index: number): string {
  const bytes = [0x00, 0x16, 0x3e, uuid[0] & 0x7f, uuid[1], (uuid[2] + index) & 0xff];
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join(':');
}

/** The sixteen bytes of a UUID as text. */
function uuidBytes(uuid: string): Uint8Array {
  return Uint8Array.from(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
}
