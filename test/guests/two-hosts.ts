// A lab of two hosts with their real threads, driven from a test: for live migration, whose moments of interest lie between epochs.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { readKernel } from '../../main/engine/kernels.ts';
import { Lab } from '../../main/engine/lab.ts';
import { prepareKernel } from '../../main/toolstack/builder/kernel-image.ts';
import { PRESETS } from '../../main/toolstack/migration/policy.ts';
import type { MigrationPolicy, MigrationReport } from '../../shared/migration-service.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';

export type HostName = 'alder' | 'birch';

export class TwoHosts {
  readonly lab: Lab;
  readonly folder = mkdtempSync(join(tmpdir(), 'bulkhead-two-'));
  /** Latest thread of each host. */
  readonly #workers = new Map<string, Worker>();
  readonly #seen = new Map<string, number>();

  constructor() {
    this.lab = new Lab({
      name: 'two',
      path: join(this.folder, 'two.bulkhead'),
      seed: 7,
      readKernel,
      spawn: () => {
        const worker = new Worker(new URL('./crashing-host.ts', import.meta.url));
        // a host tells its name with its first request
        const post = worker.postMessage.bind(worker);
        worker.postMessage = (m: { call?: string; args?: { spec?: HostSpec } }, ...rest: unknown[]) => {
          if (m.call === 'start') this.#workers.set(m.args!.spec!.name, worker);
          (post as (...a: unknown[]) => void)(m, ...rest);
        };
        return worker;
      },
    });
  }

  static async make(host: Partial<HostSpec> = {}): Promise<TwoHosts> {
    const two = new TwoHosts();
    for (const name of ['alder', 'birch'])
      await two.lab.addHost(HostSpec.parse({ name, pcpus: 1, memoryMiB: 48, clockMHz: 100, ...host }));
    return two;
  }

  /** An empty disk image. */
  disk(name: string, kib: number): string {
    const path = join(this.folder, name);
    writeFileSync(path, new Uint8Array(kib * 1024));
    return path;
  }

  create(host: HostName, spec: Partial<DomainSpec> & Pick<DomainSpec, 'name' | 'mode' | 'kernel'>): Promise<string> {
    return this.lab.createDomain(host, DomainSpec.parse({ memoryMiB: 6, ...spec }));
  }

  async type(uuid: string, line: string): Promise<void> {
    await this.lab.typeConsole(uuid, new TextEncoder().encode(`${line}\r`));
  }

  /** Types from a place between two epochs. */
  async typeNow(uuid: string, text: string): Promise<void> {
    await this.lab.hosts.callOn(this.lab.domain(uuid), 'consoleInput', { bytes: new TextEncoder().encode(text) });
  }

  /** Its guest crashes, from a place between two epochs; a guest that is suspended cannot. */
  crashNow(uuid: string): Promise<void> {
    return this.typeNow(uuid, '\0crash');
  }

  /** The kernel of a spec, as it is handed to a host. */
  async filesOf(spec: DomainSpec): Promise<{ kernel: Uint8Array }> {
    return { kernel: await prepareKernel(await readKernel(spec.kernel)) };
  }

  console(uuid: string): string {
    return Buffer.from(this.lab.domain(uuid).console.tail(Infinity)).toString('latin1');
  }

  async advance(ms: number): Promise<void> {
    await this.lab.clock.advance(ms * 1e6, () => false);
  }

  /** Runs until the console shows `wanted` after what was seen before, within `ms` of lab time. */
  async expect(uuid: string, wanted: RegExp, ms: number): Promise<RegExpExecArray> {
    const look = (): RegExpExecArray | null => wanted.exec(this.console(uuid).slice(this.#seen.get(uuid) ?? 0));
    await this.lab.clock.advance(ms * 1e6, () => look() !== null || this.lab.domain(uuid).status.state === 'crashed');
    const match = look();
    if (!match) {
      const { state, reason } = this.lab.domain(uuid).status;
      throw new Error(
        `${wanted} did not come within ${ms} ms (${state}: ${reason}). The console ends:\n${this.console(uuid).slice(-1500)}`,
      );
    }
    this.#seen.set(uuid, (this.#seen.get(uuid) ?? 0) + match.index + match[0].length);
    return match;
  }

  /** Migrates and runs until that has ended one way or the other. */
  async migrate(
    uuid: string,
    to: HostName,
    policy: MigrationPolicy = PRESETS['xen-today'],
    disks: Record<string, 'shared' | 'copy'> = {},
  ): Promise<MigrationReport> {
    const { id, ended } = await this.lab.migrations.start({ uuid, to, policy, disks });
    ended.catch(() => {});
    await this.lab.clock.advance(120e9, () => this.lab.migrations.report(id).endedAt !== null);
    return this.lab.migrations.report(id);
  }

  /** Ends a host's thread as a crash of it would. */
  async kill(host: HostName): Promise<void> {
    await this.#workers.get(host)!.terminate();
  }

  /** Waits until a host that died is there again. */
  async backAgain(host: HostName): Promise<void> {
    while (this.lab.hosts.get(host).state !== 'running') await new Promise((r) => setTimeout(r, 5));
  }

  /** Domains that each host has, by its own account. */
  async owners(): Promise<Record<HostName, number>> {
    const count = async (host: HostName): Promise<number> =>
      (await this.lab.hosts.get(host).proxy.call('report', {})).domains.length;
    return { alder: await count('alder'), birch: await count('birch') };
  }

  async close(): Promise<void> {
    await this.lab.close();
    rmSync(this.folder, { recursive: true });
  }
}
