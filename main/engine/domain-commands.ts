// What a user does with domains: create, pause, shut down, destroy, restart, rename, type. Everything that reaches a guest goes in between two epochs.

import { randomUUID } from 'node:crypto';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { DomainSpec } from '../../shared/model.ts';
import { prepareKernel } from '../toolstack/builder/kernel-image.ts';
import { ConsoleLog } from './console-log.ts';
import { checkDisks } from './disk-use.ts';
import { changedSentence, type FileHashes, hashOf, startFiles } from './file-hashes.ts';
import type { CarriedFiles } from './host-messages.ts';
import type { Lab } from './lab.ts';
import { labDomain, type LabDomain } from './lab-domain.ts';
import { nameTaken } from './names.ts';
import type { Destroyed } from './undo.ts';

/** Of an earlier domain that a new one continues. */
export interface Identity {
  uuid?: string;
  colour?: number;
  hashes?: FileHashes;
}

export class DomainCommands {
  readonly #lab: Lab;
  readonly #readKernel: (path: string) => Promise<Uint8Array>;

  constructor(lab: Lab, readKernel: (path: string) => Promise<Uint8Array>) {
    this.#lab = lab;
    this.#readKernel = readKernel;
  }

  /** Refuses what the host cannot hold. @throws BulkheadError not-found, name-taken, disk-in-use, not-enough-memory, host-busy */
  checkRoom(hostName: string, spec: DomainSpec, uuid?: string): void {
    const lab = this.#lab;
    lab.hosts.get(hostName);
    const namesake = lab.findDomain(spec.name);
    if (namesake && namesake.uuid !== uuid) throw nameTaken('domain', spec.name);
    checkDisks(lab, spec, 'created', uuid);
    const refusal = lab.hosts.refusals(spec.mode, spec.memoryMiB)[hostName];
    if (refusal)
      throw new BulkheadError({
        code: refusal.startsWith('needs ') ? 'not-enough-memory' : 'host-busy',
        what: `${spec.name} cannot be created on ${hostName}.`,
        why: `${refusal[0]!.toUpperCase()}${refusal.slice(1)}.`,
        action: refusal.startsWith('needs ')
          ? 'Give it less memory, or free some on the host.'
          : 'Choose another host.',
        field: 'host',
      });
  }

  /** Builds and starts a domain; resolves with its uuid. `keep` gives it the identity of an earlier one. */
  async create(hostName: string, wanted: DomainSpec, keep: Identity = {}): Promise<string> {
    const lab = this.#lab;
    this.checkRoom(hostName, wanted, keep.uuid);
    const uuid = keep.uuid ?? randomUUID();
    return lab.tasks.run(`Create ${wanted.name}`, uuid, async ({ report, signal, cancellable }) => {
      const before = lab.domains.get(uuid);
      report('reading kernel');
      cancellable(true);
      const { files, hashes } = await this.#readFiles(wanted);
      const changed = changedSentence(before?.hashes ?? keep.hashes, hashes);
      signal.throwIfAborted();
      cancellable(false);
      report('building');
      const spec = lab.overlays.resolve(wanted);
      const domain = labDomain(
        {
          uuid,
          spec,
          host: hostName,
          colour: keep.colour ?? lab.nextColour(),
          createdAt: lab.clock.now,
          console: before?.console ?? new ConsoleLog(),
          hashes,
        },
        'building',
      );
      lab.adopt(domain);
      try {
        await lab.atBoundary(async () => {
          await this.#build(domain, files);
          lab.tape.note('domain-created', `${spec.name} created${changed && `; ${changed}`}`, domain);
        });
      } catch (e) {
        if (before) lab.domains.set(uuid, before);
        else lab.domains.delete(uuid);
        if (spec !== wanted) this.#dropOverlays(spec);
        throw e;
      }
      lab.undoList.command();
      await lab.refresh();
      return uuid;
    });
  }

  async #readFiles(spec: DomainSpec): Promise<{ files: CarriedFiles; hashes: FileHashes }> {
    const files: CarriedFiles = { kernel: await this.#readFile(spec.kernel, 'kernel') };
    if (spec.ramdisk) files.ramdisk = await this.#readFile(spec.ramdisk, 'ramdisk');
    const hashes: FileHashes = {};
    for (const p of startFiles(spec)) hashes[p] = hashOf(p === spec.kernel ? files.kernel : files.ramdisk!);
    if (spec.mode !== 'native') files.kernel = await prepareKernel(files.kernel);
    return { files, hashes };
  }

  /** One sentence on the files of a domain that are not what they were when it was last started; empty when all are. */
  async changedFiles(spec: DomainSpec, before: FileHashes): Promise<string> {
    const now: FileHashes = {};
    // a file that is gone says so when the domain is started
    for (const p of startFiles(spec))
      if (before[p] !== undefined) now[p] = await this.#readKernel(p).then(hashOf, () => before[p]!);
    return changedSentence(before, now);
  }

  async #readFile(path: string, field: string): Promise<Uint8Array> {
    try {
      return await this.#readKernel(path);
    } catch (e) {
      if (e instanceof BulkheadError) throw e;
      throw new BulkheadError({
        code: 'file-missing',
        what: `The ${field} ${path} cannot be read.`,
        why: (e as Error).message,
        action: 'Check the path and its permissions.',
        field,
      });
    }
  }

  /** Builds a domain on its host, between two epochs. */
  async #build(domain: LabDomain, files: CarriedFiles): Promise<void> {
    const lab = this.#lab;
    const host = lab.hosts.get(domain.host);
    const { uuid, spec, colour } = domain;
    host.early = [];
    domain.domid = domain.status.domid = await host.proxy.call('createDomain', { spec, files });
    for (const { domid, bytes } of host.early.splice(0)) if (domid === domain.domid) lab.print(domain, bytes);
    domain.createdAt = domain.status.createdAt = lab.clock.now;
    domain.samples = [{ at: lab.clock.now, cpuNs: 0 }];
    domain.status.state = 'running';
    domain.status.reason = null;
    lab.onJournal({ at: lab.clock.now, kind: 'create', data: { uuid, host: domain.host, colour, spec } });
  }

  /** A guest that shut down to reboot boots again in its place, before the next epoch (xl.cfg's on_reboot="restart"). */
  async reboot(domain: LabDomain): Promise<void> {
    const lab = this.#lab;
    if (lab.domains.get(domain.uuid) !== domain || domain.status.state !== 'shutdown') return;
    try {
      await lab.hosts.callOn(domain, 'destroyDomain', {});
      domain.domid = -1;
      const { files, hashes } = await this.#readFiles(domain.spec);
      const changed = changedSentence(domain.hashes, hashes);
      domain.hashes = hashes;
      await this.#build(domain, files);
      lab.tape.note('domain-created', `${domain.spec.name} rebooted${changed && `; ${changed}`}`, domain);
    } catch (e) {
      const { what, why } = toSentences(e);
      domain.domid = -1;
      domain.status.reason = `It shut down to reboot and could not be built again. ${what} ${why}`.trim();
    }
  }

  async pause(uuid: string): Promise<void> {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    await lab.atBoundary(async () => {
      await lab.hosts.callOn(d, 'pauseDomain', {});
      lab.tape.note('domain-paused', `${d.spec.name} paused`, d);
    });
    lab.undoList.command();
    await lab.refresh();
  }
  async unpause(uuid: string): Promise<void> {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    await lab.atBoundary(async () => {
      await lab.hosts.callOn(d, 'unpauseDomain', {});
      lab.tape.note('domain-unpaused', `${d.spec.name} runs on`, d);
    });
    lab.undoList.command();
    await lab.refresh();
  }
  async shutdown(uuid: string, reason: 'poweroff' | 'reboot'): Promise<void> {
    const d = this.#lab.domain(uuid);
    await this.#lab.atBoundary(() => this.#lab.hosts.callOn(d, 'shutdownDomain', { reason }));
    this.#lab.undoList.command();
  }
  /** Asks the guest's balloon driver for this size. */
  async setMemoryTarget(uuid: string, memoryMiB: number): Promise<void> {
    const d = this.#lab.domain(uuid);
    await this.#lab.atBoundary(() => this.#lab.hosts.callOn(d, 'setMemoryTarget', { memoryMiB }));
    this.#lab.undoList.command();
  }
  /** Asks the guest to use its first `vcpus` vCPUs. */
  async setVcpus(uuid: string, vcpus: number): Promise<void> {
    const d = this.#lab.domain(uuid);
    await this.#lab.atBoundary(() => this.#lab.hosts.callOn(d, 'setVcpus', { vcpus }));
    this.#lab.undoList.command();
  }
  /** Writes every frame of a network interface (counted from 0) to a pcap file from now on; null ends that. */
  async capture(uuid: string, nic: number, path: string | null): Promise<void> {
    const d = this.#lab.domain(uuid);
    await this.#lab.atBoundary(() =>
      path === null
        ? this.#lab.hosts.callOn(d, 'stopCapture', { nic })
        : this.#lab.hosts.callOn(d, 'startCapture', { nic, path }),
    );
    await this.#lab.refresh();
  }
  async destroy(uuid: string): Promise<void> {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    await lab.atBoundary(async () => {
      const { spec, host, colour, hashes } = d;
      const destroyed: Destroyed = { spec, host, uuid, colour, hashes };
      // what a migration or a save has in its hands is not kept: they must see that it is gone
      const key = lab.migrations.isMoving(uuid) || lab.savings.isSaving(uuid) ? undefined : randomUUID();
      if (d.status.state !== 'lost' && d.domid >= 0) {
        const kept = await lab.hosts.callOn(d, 'destroyDomain', key ? { keep: key } : {});
        if (kept && key) destroyed.kept = { key, domain: d };
      }
      lab.domains.delete(uuid);
      lab.undoList.noteDestroyed(destroyed);
      lab.tape.note('domain-destroyed', `${d.spec.name} destroyed`, d);
      lab.onJournal({ at: lab.clock.now, kind: 'destroy', data: { uuid } });
    });
    lab.undoList.command();
    await lab.refresh();
  }
  /** Brings a destroyed domain back: as it was when its host still has it, else from its kernel. Resolves with its uuid. */
  async bringBack(d: Destroyed): Promise<string> {
    const lab = this.#lab;
    const name = lab.freeName(d.spec.name);
    const again = (): Promise<string> => this.create(d.host, { ...d.spec, name }, d);
    if (!d.kept) return again();
    const { key, domain } = d.kept;
    checkDisks(lab, d.spec, 'brought back', d.uuid);
    const revived = await lab.atBoundary(async () => {
      const host = lab.hosts.all().find((h) => h.spec.name === d.host && h.state === 'running');
      const domid = host ? await host.proxy.call('reviveDomain', { key }) : -1;
      if (domid < 0) return false;
      domain.domid = domain.status.domid = domid;
      domain.spec = { ...domain.spec, name };
      domain.status.name = name;
      lab.adopt(domain);
      lab.tape.note('domain-restored', `${name} is back as it was`, domain);
      lab.onJournal({ at: lab.clock.now, kind: 'undo', data: { uuid: d.uuid } });
      return true;
    });
    if (!revived) return again();
    lab.undoList.command();
    await lab.refresh();
    return d.uuid;
  }
  /** Its host need not hold it any longer. */
  async forget(d: Destroyed): Promise<void> {
    const { kept } = d;
    const lab = this.#lab;
    if (!kept) return this.#dropOverlays(d.spec);
    await lab
      .atBoundary(async () => {
        const host = lab.hosts.all().find((h) => h.spec.name === d.host && h.state === 'running');
        await host?.proxy.call('dropDomain', { key: kept.key });
      })
      .catch(() => {}); // a host that ends has let it go
    this.#dropOverlays(d.spec);
  }
  #dropOverlays(spec: DomainSpec): void {
    const lab = this.#lab;
    const others = [...[...lab.domains.values()].map((d) => d.spec), ...lab.undoList.specs];
    lab.overlays.drop(spec, others);
  }
  /** Boots a domain again from its kernel, in its place, whatever state it is in. Its console goes on. */
  async restart(uuid: string): Promise<void> {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    if (d.status.state !== 'lost' && d.domid >= 0)
      await lab.atBoundary(async () => {
        await lab.hosts.get(d.host).proxy.call('destroyDomain', { domid: d.domid });
        d.domid = -1;
        d.status.state = 'lost';
        d.status.reason = 'It is being restarted.';
      });
    await lab.refresh();
    await this.create(d.host, d.spec, { uuid, colour: d.colour });
  }
  rename(uuid: string, name: string): void {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    const other = lab.findDomain(name);
    if (other && other !== d) throw nameTaken('domain', name);
    const old = d.spec.name;
    d.spec = { ...d.spec, name };
    d.status.name = name;
    lab.tape.note('domain-renamed', `${old} is now ${name}`, d);
    lab.onJournal({ at: lab.clock.now, kind: 'rename', data: { uuid, name } });
    lab.undoList.command();
    lab.onChanged();
  }
  async typeConsole(uuid: string, bytes: Uint8Array): Promise<void> {
    const lab = this.#lab;
    const d = lab.domain(uuid);
    await lab.atBoundary(async () => {
      await lab.hosts.callOn(d, 'consoleInput', { bytes });
      lab.onJournal({ at: lab.clock.now, kind: 'type', data: { uuid, bytes: Buffer.from(bytes).toString('base64') } });
    });
  }
}
