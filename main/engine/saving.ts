// Save, restore and clone in the lab. A save waits, in lab time, until the guest has suspended itself; everything else happens at one border
// between two epochs, so that no guest runs in it.
// Invariant: until a saved domain is wholly in its file, its host has it and lets it go on when anything fails.

import { createHash, randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { BulkheadError } from '../../shared/errors.ts';
import type { DomainSpec } from '../../shared/model.ts';
import { specOf, type StreamSummary, summariseStream } from '../toolstack/stream/summary.ts';
import { ConsoleLog } from './console-log.ts';
import { checkDisks, isWritable } from './disk-use.ts';
import type { Lab } from './lab.ts';
import { labDomain, type LabDomain } from './lab-domain.ts';
import { readPieces, WholeFile } from './stream-files.ts';
import type { RunningTask } from './tasks.ts';

/** Console output that travels with a domain. */
const SCROLLBACK_BYTES = 64 * 1024;
/** A guest is given this long to suspend itself, lab ns; then it is let go on. */
export const SAVE_LIMIT_NS = 61e9;

/** One domain that was asked to suspend itself. */
interface Waiting {
  id: number;
  domain: LabDomain;
  running: RunningTask;
  /** What is done once it is suspended, at that border; when it throws the domain goes on. */
  then: () => Promise<void>;
  /** Whether it goes on after `then`. */
  goOn: boolean;
  end: (error: unknown) => void;
}

export interface RestoreOptions {
  host: string;
  path: string;
  name?: string | undefined;
  paused?: boolean;
}

export class Savings {
  readonly #lab: Lab;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #turning: Promise<void> = Promise.resolve();

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Some guest was asked to suspend itself and has not answered. */
  get active(): boolean {
    return this.#waiting.size > 0;
  }
  isSaving(uuid: string): boolean {
    return [...this.#waiting.values()].some((w) => w.domain.uuid === uuid);
  }

  /** Looks whether guests have suspended themselves; between epochs only. */
  turn(): Promise<void> {
    this.#turning = this.#turning.then(() => this.#look());
    return this.#turning;
  }

  async #look(): Promise<void> {
    for (const w of [...this.#waiting.values()]) {
      try {
        if (w.running.signal.aborted) throw w.running.signal.reason;
        const state = await this.#lab.hosts.get(w.domain.host).proxy.call('saveState', { id: w.id });
        if (state.is === 'asked') continue;
        if (state.is === 'refused') throw new BulkheadError(state.why);
        w.running.cancellable(false);
        await w.then();
        await this.#end(w, w.goOn);
        this.#waiting.delete(w.id);
        w.end(null);
      } catch (error) {
        this.#waiting.delete(w.id);
        await this.#end(w, true);
        w.end(error);
      }
    }
  }

  async #end(w: Waiting, goOn: boolean): Promise<void> {
    try {
      await this.#lab.hosts.get(w.domain.host).proxy.call('saveEnd', { id: w.id, goOn });
    } catch {
      // the host is gone, and with it what there was to end
    }
  }

  /** Refuses what cannot be saved. */
  #check(d: LabDomain, verb: string): void {
    const no = (why: string, action: string, code: 'not-possible-now' | 'not-supported' = 'not-possible-now') =>
      new BulkheadError({ code, what: `${d.spec.name} cannot be ${verb}.`, why, action });
    if (d.spec.mode === 'native')
      throw no(
        'A native kernel has the machine itself; there is no hypervisor that could read it out.',
        'Run the guest as a domain (PV or PVH).',
        'not-supported',
      );
    const { state } = d.status;
    if (state === 'paused') throw no('It is paused, and only a running guest can suspend itself.', 'Unpause it first.');
    if (state !== 'running' && state !== 'blocked')
      throw no(`It is ${state === 'shutdown' ? 'shut down' : state}.`, 'Start it first.');
    if (this.isSaving(d.uuid)) throw no('It is being saved already.', 'Wait for that to end.');
    if (this.#lab.migrations.isMoving(d.uuid)) throw no('It is being migrated.', 'Wait for that to end, or abort it.');
  }

  /** Suspends a domain and does `work` while it is; resolves afterwards. */
  async #whileSuspended(
    d: LabDomain,
    running: RunningTask,
    goOn: boolean,
    work: (id: number) => Promise<void>,
  ): Promise<void> {
    const lab = this.#lab;
    const id = this.#next++;
    running.report('waiting for the guest to suspend', null);
    await new Promise<void>((resolve, reject) => {
      const end = (error: unknown): void => (error ? reject(error as Error) : resolve());
      lab
        .atBoundary(async () => {
          await lab.hosts.callOn(d, 'saveBegin', { id });
          this.#waiting.set(id, { id, domain: d, running, goOn, then: () => work(id), end });
          running.cancellable(true);
          // a stopped clock has no epochs whose ends would notice it
          running.signal.addEventListener('abort', () => void lab.atBoundary(() => this.turn()));
        })
        .catch(reject);
    });
  }

  /** Every piece of a suspended domain's stream. */
  async #pieces(id: number, d: LabDomain, running: RunningTask, take: (b: Uint8Array) => Promise<void>): Promise<void> {
    const { proxy } = this.#lab.hosts.get(d.host);
    const expected = d.status.memoryMiB * 2 ** 20;
    let bytes = 0;
    let scrollback: Uint8Array | null = d.console.tail(SCROLLBACK_BYTES);
    for (;;) {
      const piece = await proxy.call('savePiece', scrollback ? { id, scrollback } : { id });
      scrollback = null;
      if (!piece) return;
      await take(piece);
      bytes += piece.length;
      running.report('writing', Math.min(1, bytes / expected));
    }
  }

  /** Saves a domain to a file. It is gone from its host afterwards unless `keepRunning`. */
  async save(uuid: string, file: string, keepRunning: boolean): Promise<{ path: string; bytes: number }> {
    const lab = this.#lab;
    await lab.refresh();
    const d = lab.domain(uuid);
    this.#check(d, 'saved');
    return lab.tasks.run(`Save ${d.spec.name}`, uuid, async (running) => {
      const out = new WholeFile(file);
      try {
        await this.#whileSuspended(d, running, keepRunning, async (id) => {
          await this.#pieces(id, d, running, (piece) => out.write(piece));
          await out.finish();
          lab.overlays.noteSaved(d.spec);
          if (!keepRunning) {
            await lab.hosts.callOn(d, 'destroyDomain', {});
            lab.domains.delete(uuid);
          }
          lab.tape.note('domain-saved', `${d.spec.name} saved to ${path.basename(file)}`, d);
          lab.onJournal({ at: lab.clock.now, kind: 'save', data: { uuid, path: file, keepRunning } });
        });
      } catch (e) {
        await out.discard();
        throw e;
      }
      lab.undoList.command();
      await lab.refresh();
      return { path: file, bytes: out.bytes };
    });
  }

  /** Restores a saved domain as a new domain with a new identity; resolves with its uuid. */
  async restore({ host, path: file, name, paused = false }: RestoreOptions): Promise<string> {
    const lab = this.#lab;
    const title = path.basename(file).replace(/\.[^.]*$/, '') || 'domain';
    return lab.tasks.run(`Restore ${name ?? title}`, undefined, async (running) => {
      running.report('checking the file', null);
      const summary = await summariseStream(readPieces(file));
      const was = specOf(summary, name ?? tidyName(title));
      const spec = renewed(was, name ?? lab.freeName(was.name));
      await lab.refresh();
      checkDisks(lab, spec, 'restored');
      let uuid = '';
      await lab.atBoundary(async () => {
        uuid = await this.#bringUp(host, spec, summary, paused, running, readPieces(file));
        const d = lab.domain(uuid);
        lab.tape.note('domain-restored', `${spec.name} restored on ${host} from ${path.basename(file)}`, d);
        lab.onJournal({ at: lab.clock.now, kind: 'restore', data: { uuid, host, path: file, spec } });
      });
      lab.undoList.command();
      await lab.refresh();
      return uuid;
    });
  }

  /** A second copy of a running domain on the same host; resolves with its uuid. Writable disks are copied. */
  async clone(uuid: string, name?: string): Promise<string> {
    const lab = this.#lab;
    await lab.refresh();
    const d = lab.domain(uuid);
    this.#check(d, 'cloned');
    const spec = renewed(d.spec, name ?? lab.freeName(d.spec.name));
    spec.disks = spec.disks.map((disk) => (isWritable(disk) ? { ...disk, path: `${disk.path}.${spec.name}` } : disk));
    for (const disk of spec.disks)
      if (isWritable(disk) && existsSync(disk.path))
        throw new BulkheadError({
          code: 'disk-in-use',
          what: `${d.spec.name} cannot be cloned.`,
          why: `Its disk ${disk.vdev} would be copied to ${disk.path}, which exists.`,
          action: 'Remove that file, or give the clone another name.',
        });
    lab.commands.checkRoom(d.host, spec);
    return lab.tasks.run(`Clone ${d.spec.name}`, uuid, async (running) => {
      let made = '';
      const copies: string[] = [];
      try {
        await this.#whileSuspended(d, running, true, async (id) => {
          for (const [i, disk] of d.spec.disks.entries()) {
            const to = spec.disks[i]!.path;
            if (to === disk.path) continue;
            copies.push(to);
            await copyFile(disk.path, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
            lab.overlays.noteCopy(disk.path, to);
          }
          const pieces: Uint8Array[] = [];
          await this.#pieces(id, d, running, (piece) => Promise.resolve(void pieces.push(piece)));
          const summary = await summariseStream(pieces);
          made = await this.#bringUp(d.host, spec, summary, false, running, pieces);
          lab.tape.note('domain-restored', `${spec.name} cloned from ${d.spec.name}`, lab.domain(made));
          lab.onJournal({ at: lab.clock.now, kind: 'clone', data: { uuid: made, of: uuid, spec } });
        });
      } catch (e) {
        for (const copy of copies) await rm(copy, { force: true });
        throw e;
      }
      lab.undoList.command();
      await lab.refresh();
      return made;
    });
  }

  /** Makes a domain of a checked stream; between epochs only. */
  async #bringUp(
    hostName: string,
    spec: DomainSpec,
    summary: StreamSummary,
    paused: boolean,
    running: RunningTask,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<string> {
    const lab = this.#lab;
    lab.commands.checkRoom(hostName, spec);
    const host = lab.hosts.get(hostName);
    const uuid = randomUUID();
    const domain = labDomain(
      { uuid, spec, host: hostName, colour: lab.nextColour(), createdAt: lab.clock.now, console: new ConsoleLog() },
      'building',
    );
    const id = this.#next++;
    running.report('restoring', null);
    host.early = [];
    const saved = summary.config?.saved;
    await host.proxy.call('restoreBegin', {
      id,
      spec,
      bits: saved?.bits ?? summary.facts.bits,
      uuid: identityOf(hostName, spec.name, lab.clock.now),
      paused,
    });
    try {
      for await (const bytes of pieces) await host.proxy.call('restoreFeed', { id, bytes });
      domain.domid = domain.status.domid = await host.proxy.call('restoreFinish', { id });
    } catch (e) {
      await host.proxy.call('restoreAbandon', { id }).catch(() => {});
      throw e;
    }
    lab.adopt(domain);
    if (saved?.scrollback) lab.print(domain, Uint8Array.from(Buffer.from(saved.scrollback, 'base64')));
    for (const { domid, bytes } of host.early.splice(0)) if (domid === domain.domid) lab.print(domain, bytes);
    domain.samples = [{ at: lab.clock.now, cpuNs: 0 }];
    domain.status.state = paused ? 'paused' : 'running';
    return uuid;
  }
}

/** The spec of another domain of the same make: its addresses follow from its own identity. */
function renewed(spec: DomainSpec, name: string): DomainSpec {
  return { ...structuredClone(spec), name, nics: spec.nics.map(({ bridge }) => ({ bridge })) };
}

/** A file's name as a domain may have it. */
function tidyName(text: string): string {
  const tidy = text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return tidy.slice(0, 40) || 'restored';
}

/** A UUID that no other domain has and that repeats with the lab's history. */
function identityOf(host: string, name: string, now: number): string {
  const hex = createHash('sha256').update(`${host}/${name}/${now}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
