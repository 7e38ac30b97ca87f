// Entry of the engine process (Electron's utilityProcess, or a stand-in of it): opens one lab, serves windows on the ports they send.

import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { BulkheadError, toSentences } from '../../shared/errors.ts';
import type { FromEngine, ToEngine } from '../../shared/engine-process.ts';
import { HostSpec } from '../../shared/model.ts';
import { fromElectronPort } from '../../shared/rpc.ts';
import { readKernel } from './kernels.ts';
import { Lab } from './lab.ts';
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

async function main(parent: ParentPort): Promise<void> {
  const at = process.argv.indexOf('--lab');
  const file = path.resolve(process.argv[at + 1] ?? 'lab.bulkhead');
  const lab = new Lab({
    name: path.basename(file, '.bulkhead'),
    path: file,
    seed: 0x5eed,
    spawn: spawnHostWorker,
    readKernel,
  });
  const store: LabStore = {
    savedUpTo: 0,
    bytes: 0,
    exportTo: async () => {
      throw new BulkheadError({
        code: 'not-supported',
        what: 'The lab cannot be exported.',
        why: 'This version does not write lab files yet.',
        action: 'Keep the lab open.',
      });
    },
  };
  const server = new LabServer(lab, store);
  parent.on('message', ({ data, ports }) => {
    if (data.type === 'attach') server.attach(fromElectronPort(ports[0]));
    else void lab.close().then(() => process.exit(0));
  });
  try {
    await lab.addHost(HostSpec.parse({ name: 'alder', pcpus: 4, memoryMiB: 2048, clockMHz: 250 }));
  } catch (e) {
    const { what, why, action } = toSentences(e);
    parent.postMessage({ type: 'refused', what, why, action });
    process.exit(2);
  }
  parent.postMessage({ type: 'ready', savedUpTo: null });
}

const parent = (process as unknown as { parentPort?: ParentPort }).parentPort;
if (parent) void main(parent);
