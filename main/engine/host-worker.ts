// The worker thread of one simulated host: owns it and answers the engine, one request after the other.

import { parentPort } from 'node:worker_threads';
import { toSentences } from '../../shared/errors.ts';
import { createSimulatedHost, prepareInterpreters } from '../toolstack/index.ts';
import type { InspectionCall } from '../toolstack/inspection/calls.ts';
import type { SimulatedHost } from '../toolstack/simulated-host.ts';
import { openDisks, openWhenUsed } from './disk-files.ts';
import type { HostCalls, HostReply, HostRequest } from './host-messages.ts';

const port = parentPort;
if (!port) throw new Error('host-worker runs as a worker thread only');
let host: SimulatedHost | null = null;
/** ms after a host was made: who wants a guest at once does not wait for it, and a test is over. */
const PREPARE_AFTER = 300;
const reply = (r: HostReply): void => port.postMessage(r);
const running = (): SimulatedHost => {
  if (!host) throw new Error('host-worker: not started');
  return host;
};

/** Looking inside is the host's own: everything else is here. */
type Handlers = {
  [C in Exclude<keyof HostCalls, InspectionCall>]: (
    args: HostCalls[C]['args'],
  ) => HostCalls[C]['result'] | Promise<HostCalls[C]['result']>;
};
const handlers: Handlers = {
  start: ({ spec, seed }) => {
    host = createSimulatedHost(spec, seed, {
      console: (domid, bytes) => reply({ event: 'console', domid, bytes: bytes.slice() }),
      stateChanged: (domid) => reply({ event: 'state', domid }),
    });
    setTimeout(prepareInterpreters, PREPARE_AFTER).unref();
  },
  advance: ({ until, frames }) => {
    const h = running();
    if (frames) h.receiveFrames(frames);
    const result = h.advance(until);
    const left = h.takeFrames();
    return left.length ? { ...result, frames: left } : result;
  },
  createDomain: async ({ spec, files }) => {
    const disks = openDisks(spec.disks);
    try {
      return await running().createDomain(spec, { ...files, disks });
    } catch (e) {
      for (const d of disks) d.close();
      throw e;
    }
  },
  pauseDomain: ({ domid }) => running().pauseDomain(domid),
  unpauseDomain: ({ domid }) => running().unpauseDomain(domid),
  shutdownDomain: ({ domid, reason }) => running().shutdownDomain(domid, reason),
  setMemoryTarget: ({ domid, memoryMiB }) => running().setMemoryTarget(domid, memoryMiB),
  balloonable: () => running().balloonable(),
  setVcpus: ({ domid, vcpus }) => running().setVcpus(domid, vcpus),
  startCapture: ({ domid, nic, path }) => running().startCapture(domid, nic, path),
  stopCapture: ({ domid, nic }) => running().stopCapture(domid, nic),
  destroyDomain: ({ domid, keep }) => running().destroyDomain(domid, keep),
  reviveDomain: ({ key }) => running().reviveDomain(key),
  dropDomain: ({ key }) => running().dropDomain(key),
  consoleInput: ({ domid, bytes }) => running().consoleInput(domid, bytes),
  domainStatus: ({ domid }) => running().domainStatus(domid),
  figures: ({ domid }) => running().figures(domid),
  report: () => {
    const h = running();
    return {
      domains: h.domains().map((d) => h.domainStatus(d)),
      freeMiB: h.freeMiB(),
      translation: h.translation(),
      memory: h.memoryMap(),
      pcpus: h.pcpuUse(),
    };
  },
  digest: () => running().digest(),
  migrationSend: ({ id, domid, policy, latencyNs, copied }) =>
    running().migration.send(id, domid, policy, latencyNs, copied),
  migrationTurn: ({ id, from, to, bytesPerNs }) => running().migration.turn(id, from, to, bytesPerNs),
  migrationStopLive: ({ id }) => running().migration.stopLive(id),
  migrationRelease: ({ id }) => running().migration.release(id),
  migrationRollBack: ({ id }) => running().migration.rollBack(id),
  migrationReceive: ({ id, name, spec, copied }) =>
    running().migration.receive(id, {
      name,
      spec,
      // what is copied is written here, whatever the guest may do with it
      // a shared image is the source's until the domain is complete here: what it writes meanwhile must not be missed
      disks: () =>
        spec.disks.flatMap((d, n) =>
          copied.includes(n) ? openDisks([{ ...d, format: 'raw', readOnly: false }]) : [openWhenUsed(d)],
        ),
    }),
  migrationFeed: ({ id, pieces }) => running().migration.feed(id, pieces),
  migrationActivate: ({ id }) => running().migration.activate(id),
  migrationAbandon: ({ id }) => running().migration.abandon(id),
  saveBegin: ({ id, domid }) => running().saving.begin(id, domid),
  saveState: ({ id }) => running().saving.state(id),
  savePiece: ({ id, scrollback }) => running().saving.piece(id, scrollback),
  saveEnd: ({ id, goOn }) => running().saving.end(id, goOn),
  restoreBegin: ({ id, spec, bits, uuid, paused }) =>
    running().saving.expect(id, spec, bits, uuid, paused, () => openDisks(spec.disks)),
  restoreFeed: ({ id, bytes }) => running().saving.feed(id, bytes),
  restoreFinish: ({ id }) => running().saving.finish(id),
  restoreAbandon: ({ id }) => running().saving.abandon(id),
};

// one request at a time, in order: a build that waits must not overtake or be overtaken
let queue: Promise<void> = Promise.resolve();
port.on('message', (m: HostRequest) => {
  queue = queue.then(async () => {
    try {
      const handler = Object.hasOwn(handlers, m.call)
        ? handlers[m.call as keyof Handlers]
        : running().inspection[m.call as InspectionCall];
      const value = await (handler as (args: unknown) => unknown)(m.args);
      reply({ id: m.id, value });
    } catch (e) {
      reply({ id: m.id, error: toSentences(e) });
    }
  });
});
