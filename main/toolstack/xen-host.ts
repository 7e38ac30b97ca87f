// A host under the hypervisor: domains with their consoles and other backends, in the engine's terms.

import { createHash } from 'node:crypto';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainSpec, DomainState, Figures, HostSpec } from '../../shared/model.ts';
import { BlockBackend, deviceNumber } from '../backends/block/block-backend.ts';
import { NetBackend } from '../backends/network/net-backend.ts';
import { Switch } from '../backends/network/switch.ts';
import type { SplitBackend } from '../backends/split-driver.ts';
import { StoreRing } from '../backends/xenstore/ring.ts';
import { Store } from '../backends/xenstore/store.ts';
import { ConsoleRing } from '../backends/console/console-ring.ts';
import type { Domain } from '../hypervisor/domain.ts';
import { DOMID_XEN, Runstate } from '../hypervisor/abi/constants.ts';
import { connectBackend } from '../hypervisor/events/event-channels.ts';
import { Host } from '../hypervisor/host.ts';
import { FrameType, OWNER_NONE } from '../hypervisor/memory/frame-table.ts';
import { KernelImageError } from '../machine/boot/errors.ts';
import { HostMemory } from '../machine/cpu/host-memory.ts';
import { buildError, type BuiltDomain, type DomainImage } from './builder/domain-image.ts';
import { kernelError, readElfKernel } from './builder/kernel-image.ts';
import { buildPv } from './builder/pv.ts';
import { buildPvh } from './builder/pvh.ts';
import { readXenNotes } from './builder/xen-notes.ts';
import { introduceDomain, releaseDomain, requestShutdown } from './domain-store.ts';
import { EPOCH_SECONDS } from './epoch.ts';
import type { DiskBacking, DomainFiles, HostCallbacks, HostDomainStatus, SimulatedHost } from './simulated-host.ts';

const CONSOLE_POLL_NS = 20_000_000;

const SHUTDOWN_NAMES = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft-reset'];
const SHUTDOWN_SENTENCES = [
  'The guest switched itself off.',
  'The guest asked to be restarted.',
  'The guest suspended itself.',
  'The guest crashed.',
  "The guest's watchdog ran out.",
  'The guest asked for a soft reset.',
];

/** A disk as the backend wants it. */
interface Disk {
  number: number;
  name: string;
  image: DiskBacking;
  readOnly: boolean;
}

/** A domain with what belongs to it outside the hypervisor. */
interface Entry {
  readonly domain: Domain;
  readonly spec: DomainSpec;
  readonly bits: 32 | 64;
  readonly console: ConsoleRing;
  readonly storeRing: StoreRing;
  readonly disks: BlockBackend[];
  readonly nics: NetBackend[];
  consoleBytes: number;
}

export class XenHost {
  private readonly spec: HostSpec;
  private readonly callbacks: HostCallbacks;
  readonly host: Host;
  private readonly entries = new Map<number, Entry>();
  readonly store = new Store();
  private readonly bridges = new Map<string, Switch>();
  private pollArmed = false;

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
    const disks = this.checkDisks(spec, files);
    const image = readElfKernel(files.kernel);
    const notes = readXenNotes(image);
    if (!notes)
      throw buildError(
        'kernel-unsupported',
        'This ELF kernel says nothing about Xen.',
        'It has neither Xen notes nor a __xen_guest section.',
        'Use a kernel built for Xen, or start it in native mode.',
        'kernel',
      );
    const pvh = spec.mode === 'pvh';
    if (pvh && notes.pvhEntry === null)
      throw buildError(
        'kernel-unsupported',
        'This kernel has no PVH entry point.',
        'Its Xen notes lack PHYS32_ENTRY.',
        'Start it as a PV domain.',
        'mode',
      );
    if (!pvh && notes.source === 'notes' && notes.loader === '' && notes.guestOs === '' && notes.pvhEntry !== null)
      throw buildError(
        'kernel-unsupported',
        'This kernel is not paravirtual.',
        'Its only Xen note is a PVH entry point.',
        'Start it as a PVH domain.',
        'mode',
      );
    const uuid = new Uint8Array(createHash('sha256').update(`${this.spec.name}/${spec.name}`).digest().subarray(0, 16));
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
    domain.weight = spec.weight;
    domain.cap = spec.cap;
    for (let i = 0; i < spec.vcpus; i++)
      if (!this.host.addVcpu(domain))
        throw buildError(
          'host-busy',
          `${this.spec.name} has no virtual CPU left.`,
          'One simulated host has room for 64 of them.',
          'Destroy another domain first.',
          'vcpus',
        );
    const late: { console?: ConsoleRing; store?: StoreRing } = {};
    const consoleEnd = connectBackend(domain, () => late.console?.service());
    const storeEnd = connectBackend(domain, () => late.store?.service());
    if (typeof consoleEnd === 'number' || typeof storeEnd === 'number') throw this.noMemory(spec);
    const built = build({ consolePort: consoleEnd.guestPort, storePort: storeEnd.guestPort });
    const { domid } = domain;
    const entry: Entry = {
      domain,
      spec,
      bits: built.bits,
      console: new ConsoleRing(domain, built.rings.consoleMfn, consoleEnd.notify, (bytes) => this.output(domid, bytes)),
      storeRing: new StoreRing(
        domain,
        this.store,
        built.rings.storeMfn,
        storeEnd.notify,
        (id) => this.host.domain(id) !== undefined,
      ),
      disks: [],
      nics: [],
      consoleBytes: 0,
    };
    late.console = entry.console;
    late.store = entry.storeRing;
    this.entries.set(domid, entry);
    domain.onConsoleIo = (bytes) => this.output(domid, bytes);
    domain.onShutdown = () => {
      entry.console.service();
      this.callbacks.stateChanged(domid);
    };
    // The console and xenstore pages are granted to the control domain, as libxc seeds the table.
    domain.grants.permit(0, 0, this.gfnOf(domain, built.rings.consoleMfn));
    domain.grants.permit(1, 0, this.gfnOf(domain, built.rings.storeMfn));
    introduceDomain(this.store, domain, spec, built.rings);
    for (const disk of disks)
      entry.disks.push(new BlockBackend(domain, this.store, disk.number, disk.name, disk.image, disk.readOnly));
    spec.nics.forEach((nic, i) =>
      entry.nics.push(
        new NetBackend(
          domain,
          this.store,
          i,
          nic.mac ?? defaultMac(domain.uuid, i),
          nic.bridge,
          this.bridge(nic.bridge),
        ),
      ),
    );
    domain.vcpus[0].bringUp();
    domain.unpause();
    return domid;
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
    if (!bridge) this.bridges.set(name, (bridge = new Switch()));
    return bridge;
  }

  private checkDisks(spec: DomainSpec, files: DomainFiles): Disk[] {
    return spec.disks.map((disk, i) => {
      const field = `disks[${i}]`;
      const number = deviceNumber(disk.vdev);
      if (number === null)
        throw buildError(
          'invalid-argument',
          `${disk.vdev} is not the name of a disk.`,
          'Names are like xvda, xvdb1, sda or hda.',
          'Choose one of those.',
          `${field}.vdev`,
        );
      if (spec.disks.findIndex((other) => other.vdev === disk.vdev) < i)
        throw buildError(
          'invalid-argument',
          `Two disks are called ${disk.vdev}.`,
          'The guest tells them apart by name.',
          'Give each its own.',
          `${field}.vdev`,
        );
      if (disk.format === 'qcow2')
        throw buildError(
          'not-supported',
          'This disk image is qcow2.',
          'This build reads raw and ISO images only.',
          'Convert it with `qemu-img convert -O raw`.',
          `${field}.format`,
        );
      return { number, name: disk.vdev, image: files.disks[i], readOnly: disk.readOnly || disk.format === 'iso' };
    });
  }

  private entry(domid: number): Entry {
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

  destroyDomain(domid: number): void {
    const { domain, storeRing, disks, nics } = this.entry(domid);
    this.entries.delete(domid);
    for (const backend of [...disks, ...nics] as SplitBackend[]) backend.close();
    storeRing.close();
    releaseDomain(this.store, domid);
    this.host.destroyDomain(domain);
  }

  consoleInput(domid: number, bytes: Uint8Array): void {
    this.entry(domid).console.input(bytes);
  }

  domains(): number[] {
    return [...this.entries.keys()];
  }

  domainStatus(domid: number): HostDomainStatus {
    const entry = this.entry(domid);
    const d = entry.domain;
    let state: DomainState = 'blocked';
    if (d.crashReason !== null || d.shutdownReason === 3) state = 'crashed';
    else if (d.shutdownReason !== null) state = 'shutdown';
    else if (d.pauseCount > 0) state = 'paused';
    else if (d.vcpus.some((v) => v.runnable)) state = 'running';
    return {
      domid,
      state,
      reason: d.crashReason ?? (d.shutdownReason === null ? null : SHUTDOWN_SENTENCES[d.shutdownReason]),
      shutdown: d.shutdownReason === null ? null : SHUTDOWN_NAMES[d.shutdownReason],
      bits: entry.bits,
      cpuNs: d.vcpus.reduce((sum, v) => sum + v.runstateSnapshot()[Runstate.Running], 0),
      memoryMiB: Math.round((d.totalPages / 256) * 100) / 100,
      consoleBytes: entry.consoleBytes,
    };
  }

  figures(domid: number): Figures {
    const entry = this.entry(domid);
    const d = entry.domain;
    const { frames } = this.host;
    const pages: Record<string, number> = {};
    const names: Record<number, string> = {
      [FrameType.None]: 'untyped',
      [FrameType.L1]: 'L1',
      [FrameType.L2]: 'L2',
      [FrameType.L3]: 'L3',
      [FrameType.L4]: 'L4',
      [FrameType.SegDesc]: 'descriptors',
      [FrameType.L2Xen]: 'L2',
      [FrameType.Writable]: 'writable',
    };
    for (let mfn = 0; mfn < frames.frames; mfn++) {
      if (frames.owner[mfn] !== domid) continue;
      const name = frames.typeCount[mfn] ? names[frames.type[mfn]] : 'untyped';
      pages[name] = (pages[name] ?? 0) + 1;
    }
    const { counters } = d;
    return {
      instructions: d.vcpus.reduce((sum, v) => sum + v.instructions, 0),
      cpuNs: d.vcpus.reduce((sum, v) => sum + v.runstateSnapshot()[Runstate.Running], 0),
      hypercalls: Object.fromEntries(counters.hypercalls),
      exits: Object.fromEntries(counters.exits),
      faults: { page: counters.pageFaults, emulatedTableWrites: counters.emulatedWrites, delivered: counters.injected },
      pages,
      io: {
        eventsSent: d.events.sent,
        storeRequests: entry.storeRing.requests,
        ...sumFigures(entry.disks),
        ...sumFigures(entry.nics),
      },
    };
  }

  freeMiB(): number {
    return Math.floor(this.host.frames.free / 256);
  }

  memoryMap(): ReturnType<SimulatedHost['memoryMap']> {
    const { owner, frames } = this.host.frames;
    const spans: ReturnType<SimulatedHost['memoryMap']> = [];
    for (let mfn = 0; mfn < frames;) {
      const first = mfn;
      const who = owner[mfn];
      while (mfn < frames && owner[mfn] === who) mfn++;
      spans.push({
        owner: who === OWNER_NONE ? null : who === DOMID_XEN ? 'hypervisor' : who,
        firstFrame: first,
        frames: mfn - first,
      });
    }
    return spans;
  }

  pcpuUse(): ReturnType<SimulatedHost['pcpuUse']> {
    return this.host.pcpus.map((p) => {
      const busy = [...p.busy].map(([domid, cycles]) => ({ domid, ns: this.host.cyclesToNs(cycles) }));
      p.busy.clear();
      return { running: p.current?.domain.domid ?? null, busy };
    });
  }

  /** Over all vCPU states and all frames that domains own, in order. */
  digest(): string {
    const hash = createHash('sha256');
    const { frames, mem } = this.host;
    for (const d of this.host.domains.values())
      for (const v of d.vcpus)
        hash.update(
          JSON.stringify(v.machine.saveState(), (_k, value: unknown) =>
            typeof value === 'bigint' ? value.toString(16) : value,
          ),
        );
    for (let mfn = 0; mfn < frames.frames; mfn++) if (frames.owner[mfn] < 0x7ff0) hash.update(mem.frame(mfn));
    return hash.digest('hex');
  }
}

/** Figures of several devices of one kind, added up. */
function sumFigures(devices: readonly { readonly figures: object }[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { figures } of devices)
    for (const [key, n] of Object.entries(figures) as [string, number][]) sum[key] = (sum[key] ?? 0) + n;
  return sum;
}

/** An address of Xen's own range (00:16:3e) that follows from the domain's identity. */
function defaultMac(uuid: Uint8Array, index: number): string {
  const bytes = [0x00, 0x16, 0x3e, uuid[0] & 0x7f, uuid[1], (uuid[2] + index) & 0xff];
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join(':');
}
