// One host as the engine drives it. It runs the hypervisor with its domains, or hands the whole machine to a native kernel.

import type { DomainSpec, Figures, HostSpec } from '../../shared/model.ts';
import { BulkheadError } from '../../shared/errors.ts';
import type { VirtualNs } from '../../shared/units.ts';
import { inspectHost } from './inspection/host-inspection.ts';
import { Symbols } from './inspection/symbols.ts';
import { MigrationEnds } from './migration/host-end.ts';
import { SavingEnds } from './saving/host-end.ts';
import { NativeGuest } from './native-guest.ts';
import type { AdvanceResult, DomainFiles, HostCallbacks, HostDomainStatus, SimulatedHost } from './simulated-host.ts';
import { XenHost } from './xen-host.ts';

/** The domid of a native kernel. */
const NATIVE = 0;

export class HostFacade implements SimulatedHost {
  readonly spec: HostSpec;
  private readonly xen: XenHost;
  private readonly callbacks: HostCallbacks;
  private native: NativeGuest | null = null;
  private now = 0;
  readonly inspection: SimulatedHost['inspection'];
  /** Of the kernels that were started here and have some. */
  private readonly symbols = new Map<number, Symbols>();
  readonly migration: MigrationEnds;
  readonly saving: SavingEnds;

  constructor(spec: HostSpec, seed: number, callbacks: HostCallbacks) {
    this.spec = spec;
    this.callbacks = callbacks;
    this.xen = new XenHost(spec, seed, callbacks);
    this.migration = new MigrationEnds(this.xen);
    this.saving = new SavingEnds(this.xen);
    this.inspection = inspectHost(
      this.xen,
      (domid) => this.nativeGuest(domid),
      (domid) => this.symbols.get(domid) ?? null,
      (domid) => callbacks.stateChanged(domid),
    );
  }

  advance(until: VirtualNs): AdvanceResult {
    const xen = this.xen.advance(until);
    let idleUntil = xen.idleUntil;
    if (this.native) idleUntil = Math.min(idleUntil, this.native.advance(until));
    this.now = xen.now;
    return { now: xen.now as VirtualNs, idleUntil: Math.max(idleUntil, xen.now) as VirtualNs };
  }

  takeFrames(): ReturnType<SimulatedHost['takeFrames']> {
    return this.xen.uplinks.take();
  }
  receiveFrames(frames: Parameters<SimulatedHost['receiveFrames']>[0]): void {
    this.xen.uplinks.receive(frames);
  }

  createDomain(spec: DomainSpec, files: DomainFiles): number {
    const domid = this.start(spec, files);
    const symbols = Symbols.of(files.kernel);
    if (symbols) this.symbols.set(domid, symbols);
    return domid;
  }

  private start(spec: DomainSpec, files: DomainFiles): number {
    if (this.native)
      throw new BulkheadError({
        code: 'host-busy',
        what: `${this.spec.name} runs a native kernel.`,
        why: 'A native kernel has the whole machine, without a hypervisor that could hold other domains.',
        action: 'Stop it first, or choose another host.',
        field: 'host',
      });
    if (spec.mode === 'native') {
      if (this.xen.domains().length)
        throw new BulkheadError({
          code: 'host-busy',
          what: `${this.spec.name} has domains.`,
          why: 'A native kernel needs the whole machine for itself.',
          action: 'Choose an empty host, or one of the other modes.',
          field: 'host',
        });
      this.native = new NativeGuest(this.spec, spec, files, this.now, this.callbacks);
      return NATIVE;
    }
    return this.xen.createDomain(spec, files);
  }

  private nativeGuest(domid: number): NativeGuest | null {
    return domid === NATIVE ? this.native : null;
  }

  pauseDomain(domid: number): void {
    const native = this.nativeGuest(domid);
    if (native) native.paused = true;
    else this.xen.pauseDomain(domid);
  }
  unpauseDomain(domid: number): void {
    const native = this.nativeGuest(domid);
    if (native) native.unpause(this.now);
    else this.xen.unpauseDomain(domid);
  }
  shutdownDomain(domid: number, reason: 'poweroff' | 'reboot'): void {
    const native = this.nativeGuest(domid);
    if (native) native.pressPowerButton();
    else this.xen.shutdownDomain(domid, reason);
  }
  setMemoryTarget(domid: number, memoryMiB: number): void {
    this.refuseNative(domid, 'Its memory');
    this.xen.setMemoryTarget(domid, memoryMiB);
  }
  balloonable(): number[] {
    return this.native ? [] : this.xen.balloonable();
  }
  setVcpus(domid: number, vcpus: number): void {
    this.refuseNative(domid, 'The number of its CPUs');
    this.xen.setVcpus(domid, vcpus);
  }
  startCapture(domid: number, nic: number, path: string): void {
    if (this.nativeGuest(domid))
      throw new BulkheadError({
        code: 'not-supported',
        what: 'The network of a native kernel cannot be captured.',
        why: 'Its machine has no network interface.',
        action: 'Run the guest as a domain.',
      });
    this.xen.startCapture(domid, nic, path);
  }
  stopCapture(domid: number, nic: number): void {
    if (!this.nativeGuest(domid)) this.xen.stopCapture(domid, nic);
  }
  private refuseNative(domid: number, what: string): void {
    if (!this.nativeGuest(domid)) return;
    throw new BulkheadError({
      code: 'not-possible-now',
      what: `${what} cannot be changed while it runs.`,
      why: 'A native kernel has the whole host; there is no hypervisor to ask.',
      action: 'Edit the host, or run the guest as a domain.',
    });
  }
  destroyDomain(domid: number, keep?: string): boolean {
    const native = this.nativeGuest(domid);
    this.native = native ? null : this.native;
    if (!native && this.xen.destroyDomain(domid, keep)) return true;
    this.symbols.delete(domid);
    return false;
  }
  reviveDomain(key: string): number {
    return this.native ? -1 : this.xen.reviveDomain(key);
  }
  dropDomain(key: string): void {
    this.xen.dropDomain(key);
  }
  consoleInput(domid: number, bytes: Uint8Array): void {
    const native = this.nativeGuest(domid);
    if (native) native.input(bytes);
    else this.xen.consoleInput(domid, bytes);
  }
  domainStatus(domid: number): HostDomainStatus {
    return this.nativeGuest(domid)?.status() ?? this.xen.domainStatus(domid);
  }
  domains(): number[] {
    return this.native ? [NATIVE] : this.xen.domains();
  }
  figures(domid: number): Figures {
    return this.nativeGuest(domid)?.figures() ?? this.xen.figures(domid);
  }
  freeMiB(): number {
    return this.native ? 0 : this.xen.freeMiB();
  }
  translation(): ReturnType<SimulatedHost['translation']> {
    const { tier } = this.native ? this.native.machine.core : this.xen.host.core;
    if (tier === null) return null;
    const { bytes, limit, failed } = tier.statistics();
    return { bytes, limit, failed };
  }
  memoryMap(): ReturnType<SimulatedHost['memoryMap']> {
    return this.native ? [{ owner: NATIVE, firstFrame: 0, frames: this.spec.memoryMiB * 256 }] : this.xen.memoryMap();
  }
  pcpuUse(): ReturnType<SimulatedHost['pcpuUse']> {
    return this.native ? this.native.pcpuUse(this.spec.pcpus) : this.xen.pcpuUse();
  }
  digest(): string {
    return this.native ? this.native.digest() : this.xen.digest();
  }
  dispose(): void {
    this.native = null;
  }
}
