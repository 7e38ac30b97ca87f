// A host's worker thread that simulates nothing: it keeps lab time, echoes what is typed, and fails as the typed text asks.
// `crash` crashes the domain in the next epoch, `off` shuts it down, `reboot` too, `die` ends the thread, `bug` fails inside the simulation. Lives in the tests only.
import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { HostReply, HostRequest, HostCalls } from '../../../main/engine/host-messages.ts';
import type { HostDomainStatus } from '../../../main/toolstack/simulated-host.ts';
import { BulkheadError, toSentences } from '../../../shared/errors.ts';

interface Domain {
  status: HostDomainStatus;
  typed: Uint8Array[];
}
let now = 0;
let memoryMiB = 0;
let seed = 0;
let nextDomid = 1;
/** Everything that happened, with its lab time: the double's architectural state. */
const history: string[] = [];
const epochs: number[] = [];
const domains = new Map<number, Domain>();
const say = (r: HostReply): void => parentPort!.postMessage(r);
const print = (domid: number, text: string): void => {
  const bytes = new TextEncoder().encode(text);
  domains.get(domid)!.status.consoleBytes += bytes.length;
  say({ event: 'console', domid, bytes });
};
const of = (domid: number): Domain => {
  const d = domains.get(domid);
  if (!d) throw new RangeError(`no domain ${domid}`);
  return d;
};
const free = (): number => [...domains.values()].reduce((left, d) => left - d.status.memoryMiB, memoryMiB);

/** What it answers; anything else fails the call. */
type Handlers = { [C in keyof HostCalls]?: (args: HostCalls[C]['args']) => HostCalls[C]['result'] };
const handlers: Handlers = {
  start: (a) => {
    memoryMiB = a.spec.memoryMiB;
    seed = a.seed;
  },
  advance: ({ until }) => {
    epochs.push(until);
    for (const [domid, d] of domains) {
      if (d.status.state !== 'running') continue;
      d.status.cpuNs += (until - now) / 4;
      for (const bytes of d.typed.splice(0)) {
        const text = new TextDecoder().decode(bytes);
        history.push(`${now} ${domid} ${text}`);
        if (text === 'die') process.exit(3);
        if (text === 'bug') throw new RangeError('frame 9 has no owner');
        if (text === 'crash' || text === 'off' || text === 'reboot') {
          d.status.state = text === 'crash' ? 'crashed' : 'shutdown';
          d.status.reason = text === 'crash' ? 'a test asked for it' : 'powered off';
          d.status.shutdown = text === 'off' ? 'poweroff' : text;
          say({ event: 'state', domid });
        } else print(domid, `[${now}] ${text}\n`);
      }
    }
    now = until;
    return { now, idleUntil: domains.size ? now : Infinity };
  },
  createDomain: ({ spec, files }) => {
    if (files.kernel.length === 0)
      throw new BulkheadError({ code: 'kernel-corrupt', what: 'No.', why: 'It is empty.', action: 'Choose another.' });
    const domid = nextDomid++;
    const status: HostDomainStatus = {
      domid,
      state: 'running',
      reason: null,
      shutdown: null,
      bits: 64,
      cpuNs: 0,
      memoryMiB: spec.memoryMiB,
      consoleBytes: 0,
    };
    domains.set(domid, { status, typed: [] });
    history.push(`${now} create ${spec.name}`);
    print(domid, `${spec.name} at ${now}\n`);
    return domid;
  },
  pauseDomain: ({ domid }) => void (of(domid).status.state = 'paused'),
  unpauseDomain: ({ domid }) => void (of(domid).status.state = 'running'),
  shutdownDomain: ({ domid }) => void of(domid).typed.push(new TextEncoder().encode('off')),
  setMemoryTarget: ({ domid, memoryMiB }) => void (of(domid).status.memoryMiB = memoryMiB),
  balloonable: () => [...domains.keys()],
  setVcpus: ({ domid, vcpus }) => void of(domid).typed.push(new TextEncoder().encode(`vcpus ${vcpus}`)),
  startCapture: () => {},
  stopCapture: () => {},
  reviveDomain: () => -1,
  dropDomain: () => {},
  destroyDomain: ({ domid }) => {
    of(domid);
    history.push(`${now} destroy ${domid}`);
    domains.delete(domid);
    return false;
  },
  consoleInput: ({ domid, bytes }) => void of(domid).typed.push(bytes),
  domainStatus: ({ domid }) => of(domid).status,
  // the epochs it was driven through, so that tests can see them
  figures: ({ domid }) => ({
    instructions: 0,
    cpuNs: of(domid).status.cpuNs,
    hypercalls: {},
    exits: {},
    faults: {},
    pages: {},
    io: Object.fromEntries(epochs.map((until, i) => [String(i), until])),
  }),
  report: () => ({
    domains: [...domains.values()].map((d) => d.status),
    freeMiB: free(),
    memory: [],
    pcpus: [{ running: null, busy: [] }],
  }),
  digest: () =>
    createHash('sha256')
      .update(`${seed} ${history.join('\n')}`)
      .digest('hex'),
};

parentPort!.on('message', ({ id, call, args }: HostRequest) => {
  try {
    say({ id, value: (handlers[call] as (a: unknown) => unknown)(args) });
  } catch (e) {
    say({ id, error: toSentences(e) });
  }
});
