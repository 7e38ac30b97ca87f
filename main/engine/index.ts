// Entry of the engine process (Electron's utilityProcess, or a stand-in of it): opens one lab, serves windows on the ports they send.

import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { toSentences } from '../../shared/errors.ts';
import type { FromEngine, ToEngine } from '../../shared/engine-process.ts';
import { HostSpec } from '../../shared/model.ts';
import { fromElectronPort } from '../../shared/rpc.ts';
import { readKernel, templates } from './kernels.ts';
import { SCROLLBACK_BYTES } from './console-log.ts';
import { Lab } from './lab.ts';
import { LabFile } from './lab-file.ts';
import { PathGrants } from './path-grants.ts';
import { RememberedFiles } from './remembered-files.ts';
import { LabServer, type LabStore } from './service.ts';

/** Electron's process.parentPort: messages arrive as events with data and ports. */
interface ParentPort {
  postMessage(message: FromEngine): void;
  on(event: 'message', listener: (e: { data: ToEngine; ports: unknown[] }) => void): void;
}

/** The worker file beside this one in the sources, or in the bundle. */
export function spawnHostWorker(): Worker {
  const source = import.meta.url.endsWith('.ts');
  return new Worker(new URL(source ? './host-worker.ts' : '../host-worker.js', import.meta.url));
}

/** Longest time between a change and its save. */
const AUTOSAVE_MS = 500;
/** The first host of a new lab. */
const FIRST_HOST = { name: 'alder', pcpus: 4, memoryMiB: 2048, clockMHz: 250 };

/** The lab file as the service sees it, saved whenever something changed. */
class Autosave implements LabStore {
  savedUpTo: number;
  readonly #file: LabFile;
  readonly #lab: Lab;
  readonly #timer: NodeJS.Timeout;
  constructor(file: LabFile, lab: Lab, saved: (upTo: number) => void) {
    this.#file = file;
    this.#lab = lab;
    this.savedUpTo = lab.clock.now;
    lab.onJournal = (e) => file.addJournal(e);
    lab.onConsole = (uuid, start, bytes) => file.addConsole(uuid, start, bytes);
    this.#timer = setInterval(() => {
      if (!file.hasUnsaved && lab.clock.now === this.savedUpTo) return;
      this.save();
      saved(this.savedUpTo);
    }, AUTOSAVE_MS);
  }
  get bytes(): number {
    return this.#file.bytes;
  }
  save(): void {
    const now = this.#lab.clock.now;
    this.#file.save(this.#lab.toSaved());
    this.savedUpTo = now;
  }
  exportTo(target: string): Promise<void> {
    this.save();
    this.#file.exportTo(target);
    return Promise.resolve();
  }
  close(): void {
    clearInterval(this.#timer);
    this.save();
    this.#file.close();
  }
}

async function main(parent: ParentPort): Promise<void> {
  const at = process.argv.indexOf('--lab');
  const path_ = path.resolve(process.argv[at + 1] ?? 'lab.bulkhead');
  try {
    const file = new LabFile(path_, SCROLLBACK_BYTES);
    const saved = file.read();
    const lab = new Lab({
      name: path.basename(path_, '.bulkhead'),
      path: path_,
      seed: saved?.lab.seed ?? 0x5eed,
      spawn: spawnHostWorker,
      readKernel,
      pauseOnCrash: true,
      slowMigrations: true,
    });
    const store = new Autosave(file, lab, (savedUpTo) => parent.postMessage({ type: 'saved', savedUpTo }));
    const known = process.argv.indexOf('--remembered');
    const grants = new PathGrants(
      templates(),
      known < 0 ? null : new RememberedFiles(path.resolve(process.argv[known + 1]!)),
    );
    const server = new LabServer(lab, store, grants);
    if (saved) await lab.restore(saved);
    else {
      lab.noteCreated();
      await lab.addHost(HostSpec.parse(FIRST_HOST));
    }
    parent.on('message', ({ data, ports }) => {
      if (data.type === 'attach') server.attach(fromElectronPort(ports[0]));
      else if (data.type === 'grant') grants.grant(data.paths);
      else
        void lab.close().then(() => {
          store.close();
          process.exit(0);
        });
    });
    parent.postMessage({ type: 'ready', savedUpTo: saved ? saved.lab.now : null });
  } catch (e) {
    const { what, why, action } = toSentences(e);
    parent.postMessage({ type: 'refused', what, why, action });
    setTimeout(() => process.exit(2), 50);
  }
}

const parent = (process as unknown as { parentPort?: ParentPort }).parentPort;
if (parent) void main(parent);
