/**
 * What domains cost, `node --expose-gc test/bench/domains.ts`:
 * - a hundred idle domains of 8 MiB on one host: CPU time to boot each to its prompt, and memory each costs beyond its own RAM, on the
 *   simulated machine (frames the hypervisor keeps for it) and on this computer (its objects in the JavaScript heap);
 * - a hypercall and a page fault that the guest's kernel handles, there and back, of a PV and of a PVH guest: CPU time of this computer.
 * Prints a table and writes out/bench/domains.json.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../shared/model.ts';

const DOMAINS = 100;
const MEMORY_MIB = 8;
const CALLS = 100_000;
const FAULTS = 20_000;
const KINDS = {
  'PV 64': ['pv', 'dinghy-pv64'],
  'PV 32': ['pv', 'dinghy-pv32'],
  'PVH 64': ['pvh', 'dinghy-hw64'],
} as const;
type Kind = keyof typeof KINDS;

const median = (v: number[]): number => v.toSorted((a, b) => a - b)[v.length >> 1]!;
const cpuMs = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

class Bench {
  readonly text = new Map<number, string>();
  readonly xen: XenHost;

  constructor(memoryMiB: number) {
    this.xen = new XenHost({ name: 'bench', pcpus: 1, memoryMiB, clockMHz: 1000 }, 1, {
      console: (domid, bytes) =>
        void this.text.set(domid, (this.text.get(domid) ?? '') + new TextDecoder('latin1').decode(bytes)),
      stateChanged: () => {},
    });
  }
  start(kind: Kind, name: string): number {
    const [mode, image] = KINDS[kind];
    const kernel = readFileSync(new URL(`../../main/guests/dinghy/images/${image}`, import.meta.url));
    const spec = DomainSpec.parse({ name, mode, kernel: image, memoryMiB: MEMORY_MIB });
    return this.xen.createDomain(spec, { kernel, disks: [] });
  }
  until(domid: number, wanted: RegExp): void {
    while (!wanted.test(this.text.get(domid) ?? '')) this.xen.advance(this.xen.host.now() + 5e6);
    this.text.set(domid, '');
  }
  type(domid: number, line: string): void {
    this.xen.consoleInput(domid, new TextEncoder().encode(`${line}\r`));
  }
}

/** Bytes of live JavaScript objects; the machine's memory is one buffer and stays out of it. */
function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function idleDomains(kind: Kind): Record<string, number> {
  const b = new Bench(1100);
  b.until(b.start(kind, 'first'), /\$ $/); // what the first domain costs in code and shared tables is not counted
  const { frames } = b.xen.host;
  const [free, heap, resident, began] = [frames.free, heapBytes(), process.memoryUsage().rss, process.cpuUsage()];
  for (let n = 0; n < DOMAINS; n++) b.until(b.start(kind, `guest${n}`), /\$ $/);
  return {
    bootCpuMs: cpuMs(began) / DOMAINS,
    machineKiB: ((free - frames.free) / DOMAINS - MEMORY_MIB * 256) * 4,
    heapKiB: (heapBytes() - heap) / DOMAINS / 1024,
    residentKiB: (process.memoryUsage().rss - resident) / DOMAINS / 1024,
  };
}

/** CPU microseconds of one round trip: Dinghy repeats it and says when it is done. */
function roundTrip(kind: Kind, command: string, times: number): number {
  const b = new Bench(64);
  const domid = b.start(kind, 'guest');
  b.until(domid, /\$ $/);
  const once = (n: number): number => {
    const began = process.cpuUsage();
    b.type(domid, `${command} ${n}`);
    b.until(domid, /result [^]*\$ $/);
    return cpuMs(began);
  };
  once(100);
  // Two lengths, so that the shell and the start of the program drop out.
  const rounds = Array.from({ length: 5 }, () => once(times) - once(times / 10));
  return (median(rounds) * 1000) / (times * 0.9);
}

const report: Record<string, Record<string, number>> = {};
const say = (values: string[]): void => console.log(values.map((v, i) => (i ? v.padStart(14) : v.padEnd(8))).join(''));
say(['kind', 'boot, ms', 'machine, KiB', 'heap, KiB', 'resident, KiB', 'hypercall, us', 'fault, us']);
for (const kind of Object.keys(KINDS) as Kind[]) {
  const row = {
    ...idleDomains(kind),
    hypercallUs: roundTrip(kind, 'calls', CALLS),
    faultUs: roundTrip(kind, 'faults', FAULTS),
  };
  report[kind] = row;
  say([kind, ...Object.values(row).map((v) => v.toFixed(v < 10 ? 2 : 0))]);
}
const out = new URL('../../out/bench/', import.meta.url);
mkdirSync(out, { recursive: true });
writeFileSync(new URL('domains.json', out), `${JSON.stringify(report, null, 2)}\n`);
