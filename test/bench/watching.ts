/**
 * What looking costs, in CPU time: `node test/bench/watching.ts [trace|window]`.
 * - trace: a guest that does little but hypercalls, faults and switches, with the trace off and on, in turns.
 * - window: a lab of 2 hosts with 100 domains, with and without a window that shows status, charts and a console.
 * Median of the rounds; user and system time of the process with all its threads.
 */
import { readFileSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { spawnHostWorker } from '../../main/engine/index.ts';
import { readKernel } from '../../main/engine/kernels.ts';
import { Lab } from '../../main/engine/lab.ts';
import { LabServer } from '../../main/engine/service.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { labService, type LabClient } from '../../shared/lab-service.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';
import { connect, fromNodePort } from '../../shared/rpc.ts';

const ROUNDS = 5;
const median = (v: number[]): number => v.toSorted((a, b) => a - b)[v.length >> 1]!;
const cpuMs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};
const percent = (on: number, off: number): string => `${((100 * (on - off)) / off).toFixed(1)} %`;

/** Runs `work` off and on in turns; CPU milliseconds of each. */
async function compare(
  name: string,
  set: (on: boolean) => Promise<void> | void,
  work: () => Promise<void> | void,
): Promise<void> {
  const times: Record<'off' | 'on', number[]> = { off: [], on: [] };
  for (let n = 0; n < ROUNDS * 2; n++) {
    const on = n % 2 === 1;
    await set(on);
    const begin = process.cpuUsage();
    await work();
    times[on ? 'on' : 'off'].push(cpuMs(begin));
  }
  await set(false);
  const [off, on] = [median(times.off), median(times.on)];
  const spread = percent(Math.max(...times.off), Math.min(...times.off));
  console.log(
    `${name.padEnd(26)} off ${off.toFixed(0).padStart(6)} ms   on ${on.toFixed(0).padStart(6)} ms   cost ${percent(on, off).padStart(8)}   (off alone varies by ${spread})`,
  );
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
  let client: LabClient | null = null;
  let messages = 0;
  lab.clock.setSpeed(0);
  await compare(
    'window, 2 hosts 100 domains',
    (on) => {
      client?.close();
      client = null;
      if (!on) return;
      const { port1, port2 } = new MessageChannel();
      server.attach(fromNodePort(port1));
      client = connect(labService, fromNodePort(port2));
      client.on('status', {}, () => void messages++);
      client.on('labEvents', {}, () => {});
      for (const d of busy.slice(0, 4)) client.on('figures', { uuid: d.uuid }, () => {});
      client.on('console', { uuid: busy[0]!.uuid }, () => {});
    },
    () => lab.clock.step(300e6),
  );
  console.log(`${messages} status messages`);
  await lab.close();
}

const what = process.argv[2];
if (what !== 'window') await trace();
if (what !== 'trace') await windowed();
