/**
 * What looking costs, in CPU time: `node test/bench/watching.ts [trace|window]`.
 * - trace: a guest that does little but hypercalls, faults and switches, with the trace off and on, in turns.
 * - window: a lab of 2 hosts with 100 domains, with and without a window that shows status, charts and a console. The window's end of the
 *   connection is a thread of its own here, whose CPU time is told apart: in the app it is another process's. A window is sent ten reports
 *   a second by the clock on the wall, so that its share of the CPU time grows when the computer does other work; what a second of watching
 *   costs does not, and is said, too.
 * Medians of pairs; user and system time of the process with all its threads.
 */
import { readFileSync } from 'node:fs';
import { isMainThread, MessageChannel, parentPort, Worker, type MessagePort } from 'node:worker_threads';
import { spawnHostWorker } from '../../main/engine/index.ts';
import { readKernel } from '../../main/engine/kernels.ts';
import { Lab } from '../../main/engine/lab.ts';
import { LabServer } from '../../main/engine/service.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { labService, type LabClient } from '../../shared/lab-service.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';
import { connect, fromNodePort } from '../../shared/rpc.ts';

const PAIRS = 15;
/** Lab time of one measurement with the window: seconds of CPU time, so that what the machine does besides is small beside it. */
const WINDOW_STEP_NS = 6e9;
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.round(share * (values.length - 1))]!;
const cpuMs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`.padStart(7);

/** Medians of what was measured: CPU milliseconds off and on, and the share that being on adds. */
interface Cost {
  readonly off: number;
  readonly on: number;
  readonly share: number;
}

/**
 * Runs `work` off and on in pairs, the order turned round from pair to pair, after one of each that is not counted. What is said is the
 * median of the pairs' own costs with their middle half, and how far two runs that are both off lie apart.
 * @param work may resolve with CPU milliseconds that are not the engine's
 */
async function compare(
  name: string,
  set: (on: boolean) => Promise<void> | void,
  work: () => Promise<number | void> | number | void,
): Promise<Cost> {
  const measure = async (on: boolean): Promise<number> => {
    await set(on);
    const begin = process.cpuUsage();
    const others = (await work()) ?? 0;
    return cpuMs(begin) - others;
  };
  await measure(true);
  await measure(false);
  const off: number[] = [];
  const on: number[] = [];
  for (let n = 0; n < PAIRS; n++)
    for (const watched of n % 2 ? [true, false] : [false, true]) (watched ? on : off).push(await measure(watched));
  await set(false);
  const costs = off.map((alone, i) => on[i]! / alone - 1);
  const apart = off.slice(1).map((alone, i) => Math.abs(alone / off[i]! - 1));
  console.log(
    `${name.padEnd(28)} off ${quantile(off, 0.5).toFixed(0).padStart(6)} ms   on ${quantile(on, 0.5).toFixed(0).padStart(6)} ms   cost ${percent(quantile(costs, 0.5))} ` +
      `(middle half ${percent(quantile(costs, 0.25))} to ${percent(quantile(costs, 0.75))})   two runs off lie ${percent(quantile(apart, 0.5))} apart`,
  );
  return { off: quantile(off, 0.5), on: quantile(on, 0.5), share: quantile(costs, 0.5) };
}

async function trace(): Promise<void> {
  const xen = new XenHost({ name: 'bench', pcpus: 1, memoryMiB: 256, clockMHz: 1000 }, 1, {
    console: (_domid, bytes) => void (text += new TextDecoder('latin1').decode(bytes)),
    stateChanged: () => {},
  });
  let text = '';
  const kernel = new Uint8Array(readFileSync(new URL('../../main/guests/dinghy/images/dinghy-pv64', import.meta.url)));
  const domid = xen.createDomain(DomainSpec.parse({ name: 'guest', mode: 'pv', kernel: 'dinghy', memoryMiB: 64 }), {
    kernel,
    disks: [],
  });
  const until = (wanted: RegExp): void => {
    while (!wanted.test(text)) xen.advance(xen.host.now() + 10e6);
    text = '';
  };
  until(/[$#] $/);
  for (const command of ['calls 60000', 'forks 600', 'switch 20000', 'faults 20000', 'burn 200'])
    await compare(
      `trace, ${command}`,
      (on) => xen.host.trace.setRecording(on),
      () => {
        xen.consoleInput(domid, new TextEncoder().encode(`${command}\r`));
        until(/result .*[$#] $/s);
      },
    );
  console.log(`${xen.host.trace.last} records`);
}

async function windowed(): Promise<void> {
  const lab = new Lab({ name: 'bench', path: '/nowhere', seed: 1, spawn: spawnHostWorker, readKernel });
  const server = new LabServer(lab, { savedUpTo: 0, bytes: 0, exportTo: () => Promise.resolve() });
  for (const name of ['alder', 'birch'])
    await lab.addHost(HostSpec.parse({ name, memoryMiB: 1024, pcpus: 4, clockMHz: 250 }));
  for (let n = 0; n < 100; n++)
    await lab.createDomain(
      n % 2 ? 'alder' : 'birch',
      DomainSpec.parse({ name: `guest-${n}`, mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: 16 }),
    );
  await lab.clock.step(2e9);
  const busy = [...lab.domains.values()].filter((_, n) => n % 10 === 0);
  for (const d of busy) await lab.typeConsole(d.uuid, new TextEncoder().encode('burn 1000000\r'));
  await lab.clock.step(100e6);
  const watcher = new Worker(new URL(import.meta.url));
  const told = (message: WatcherOrder, transfer: MessagePort[] = []): Promise<Watched> =>
    new Promise((resolve) => {
      watcher.once('message', resolve);
      watcher.postMessage(message, transfer);
    });
  let before = await told({ uuids: null });
  let watched = { reports: 0, wallMs: 0, runs: 0 };
  lab.clock.setSpeed(0);
  const cost = await compare(
    'window, 2 hosts 100 domains',
    async (on) => {
      const { port1, port2 } = new MessageChannel();
      if (on) server.attach(fromNodePort(port1));
      before = await told({ uuids: on ? busy.slice(0, 4).map((d) => d.uuid) : null, port: port2 }, [port2]);
    },
    async () => {
      const begin = performance.now();
      await lab.clock.step(WINDOW_STEP_NS);
      const wallMs = performance.now() - begin;
      const after = await told('count');
      const reports = after.reports - before.reports;
      if (reports > 0)
        watched = { reports: watched.reports + reports, wallMs: watched.wallMs + wallMs, runs: watched.runs + 1 };
      return after.cpuMs - before.cpuMs;
    },
  );
  const { reports, wallMs, runs } = watched;
  const perReport = (cost.share * cost.off * runs) / reports;
  console.log(
    `${reports} reports in ${(wallMs / 1000).toFixed(0)} s, ${perReport.toFixed(2)} ms of the engine's CPU time each: ` +
      `a second of watching with ten reports takes ${percent(perReport / 100).trim()} of one processor`,
  );
  await watcher.terminate();
  await lab.close();
}

/** Whom to watch over which connection from now on, or a question what was seen so far. */
type WatcherOrder = { readonly uuids: readonly string[] | null; readonly port?: MessagePort } | 'count';

/** What the watcher's thread has been sent, and its CPU time. */
interface Watched {
  readonly reports: number;
  readonly cpuMs: number;
}

/** The window's end, in a thread of its own: subscribes to what a window with a console and charts shows. */
function watcher(): void {
  let client: LabClient | null = null;
  let reports = 0;
  parentPort!.on('message', (order: WatcherOrder) => {
    if (order !== 'count') {
      client?.close();
      client = null;
      if (order.uuids && order.port) {
        client = connect(labService, fromNodePort(order.port));
        client.on('status', {}, () => void reports++);
        client.on('labEvents', {}, () => {});
        for (const uuid of order.uuids) client.on('figures', { uuid }, () => {});
        client.on('console', { uuid: order.uuids[0]! }, () => {});
      } else order.port?.close();
    }
    const { user, system } = process.threadCpuUsage();
    parentPort!.postMessage({ reports, cpuMs: (user + system) / 1000 } satisfies Watched);
  });
}

const what = process.argv[2];
if (!isMainThread) watcher();
else {
  if (what !== 'window') await trace();
  if (what !== 'trace') await windowed();
}
