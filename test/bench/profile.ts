/**
 * Where the time goes: `node test/bench/profile.ts GUEST [--fork N] [--top N]`. Boots Debian's Linux to its shell (686, amd64: bare machine; pv64,
 * pvh64, pvh32: as a domain), then starts N programs from that shell, and prints for each of the two what each kind of code cost: regions, the
 * interpreter's main loop, its other functions, its compiled routines in TypeScript, translation. CPU time, by sampling and by the system's count.
 */
import { Session } from 'node:inspector';
import { readFileSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { CpuCore } from '../../main/machine/cpu/core.ts';
import { writeTranslations } from '../../main/machine/cpu/translator/background.ts';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { prepareKernel } from '../../main/toolstack/builder/kernel-image.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../shared/model.ts';
import { SHELL_READY } from './marks.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fork: { type: 'string', default: '0' },
    top: { type: 'string', default: '25' },
    memory: { type: 'string', default: '128' },
    'no-profile': { type: 'boolean', default: false },
  },
});
const MiB = 1024 * 1024;
const GUESTS = {
  '686': { kernel: 'linux-686/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz', mode: null },
  amd64: { kernel: 'linux-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz', mode: null },
  pv64: { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz', mode: 'pv' },
  pvh64: { kernel: 'linux-cloud-amd64/vmlinuz', ramdisk: 'initramfs-amd64.cpio.gz', mode: 'pvh' },
  pvh32: { kernel: 'linux-686-pae/vmlinuz', ramdisk: 'initramfs-i386.cpio.gz', mode: 'pvh' },
} as const;
const name = positionals[0] as keyof typeof GUESTS;
const guest = GUESTS[name];
if (!guest) throw new TypeError(`Which guest? One of ${Object.keys(GUESTS).join(', ')}.`);
const file = (f: string): Buffer<ArrayBuffer> => readFileSync(new URL(`../../.cache/guests/${f}`, import.meta.url));

/** What runs a guest and its console. */
interface Running {
  readonly core: CpuCore;
  /** Lets 5 ms of the guest's time pass. */
  advance(): void;
  type(text: string): void;
  instructions(): number;
  stopped(): boolean;
}
let output = '';

function native(): Running {
  const machine = new PcMachine({
    ...{ ramBytes: Number(values.memory) * MiB, vcpus: 1, clockMHz: 1000, epochSeconds: 0 },
    onSerial: (byte) => (output += String.fromCharCode(byte)),
  });
  const commandLine = 'console=ttyS0 panic=-1 nokaslr noisapnp cryptomgr.notests=1';
  machine.load({ kernel: file(guest.kernel), ramdisk: file(guest.ramdisk), commandLine });
  return {
    core: machine.core,
    advance: () => machine.runUntil(machine.now() + 5_000_000),
    type: (text) => machine.board.serial.receive(Buffer.from(text)),
    instructions: () => machine.instructions,
    stopped: () => machine.stop !== null,
  };
}
async function domain(mode: 'pv' | 'pvh'): Promise<Running> {
  const xen = new XenHost({ name: 'bench', pcpus: 1, memoryMiB: Number(values.memory) + 64, clockMHz: 1000 }, 1, {
    console: (_domid, bytes) => void (output += Buffer.from(bytes).toString('latin1')),
    stateChanged: () => {},
  });
  const cmdline = 'console=hvc0 panic=-1 nokaslr cryptomgr.notests=1';
  const spec = DomainSpec.parse({ name: 'linux', mode, kernel: 'linux', cmdline, memoryMiB: Number(values.memory) });
  const kernel = await prepareKernel(file(guest.kernel));
  const domid = xen.createDomain(spec, { kernel, ramdisk: file(guest.ramdisk), disks: [] });
  return {
    core: xen.host.core,
    advance: () => void xen.advance(xen.host.now() + 5_000_000),
    type: (text) => xen.consoleInput(domid, Buffer.from(text)),
    instructions: () => xen.host.core.retiredNow(),
    stopped: () => xen.domainStatus(domid).shutdown !== null,
  };
}

// what is loaded, by watching the constructors
let instances = 0;
let compiled = 0;
let loadMs = 0;
const Instance = WebAssembly.Instance;
const Module = WebAssembly.Module;
class WatchedInstance extends Instance {
  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    const at = performance.now();
    super(module, imports);
    loadMs += performance.now() - at;
    instances++;
  }
}
class WatchedModule extends Module {
  constructor(bytes: BufferSource) {
    const at = performance.now();
    super(bytes as never);
    loadMs += performance.now() - at;
    compiled++;
  }
}
Object.assign(WebAssembly, { Instance: WatchedInstance, Module: WatchedModule });

interface Node {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
  hitCount?: number;
}
interface Profile {
  nodes: Node[];
  samples: number[];
  timeDeltas: number[];
}
const session = new Session();
session.connect();
const post = (method: string, params?: object): Promise<unknown> =>
  new Promise((done, fail) => session.post(method, params, (e, r) => (e ? fail(e) : done(r))));
const threadMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const SHORT = (url: string): string => url.replace(/^.*\/(main|shared|test)\//, '$1/');
function kindOf(url: string, functionName: string, interpreter: ReadonlySet<string>): string {
  if (url.startsWith('wasm://')) {
    if (!interpreter.has(url)) return 'regions';
    return functionName === 'run' ? 'interpreter: main loop' : 'interpreter: functions';
  }
  if (/\/translator\//.test(url)) return 'tier and translation';
  if (/\/machine\/cpu\//.test(url)) return 'TypeScript: cpu';
  if (/\/machine\//.test(url)) return 'TypeScript: platform';
  if (/\/hypervisor\//.test(url)) return 'TypeScript: hypervisor';
  if (url.startsWith('file:')) return 'TypeScript: others';
  return `V8: ${functionName}`;
}
function show(profile: Profile, thread: number): void {
  const byId = new Map(profile.nodes.map((n) => [n.id, n]));
  // only the interpreters' modules name their functions
  const interpreter = new Set(
    profile.nodes.filter((n) => n.callFrame.functionName === 'run').map((n) => n.callFrame.url),
  );
  const time = new Map<number, number>();
  profile.samples.forEach((id, n) => time.set(id, (time.get(id) ?? 0) + profile.timeDeltas[n]! / 1000));
  const total = [...time.values()].reduce((a, b) => a + b, 0);
  const kinds = new Map<string, number>();
  const places = new Map<string, number>();
  for (const [id, ms] of time) {
    const { url, functionName, lineNumber } = byId.get(id)!.callFrame;
    const kind = kindOf(url, functionName, interpreter);
    kinds.set(kind, (kinds.get(kind) ?? 0) + ms);
    let place = `${SHORT(url)}:${lineNumber + 1} ${functionName}`;
    if (url.startsWith('wasm://')) {
      place = interpreter.has(url) ? `interpreter ${functionName}` : 'regions';
    }
    places.set(place, (places.get(place) ?? 0) + ms);
  }
  const list = (m: ReadonlyMap<string, number>, n: number): void => {
    for (const [key, ms] of [...m].toSorted((a, b) => b[1] - a[1]).slice(0, n))
      console.log(
        `  ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${((thread * ms) / total).toFixed(0).padStart(6)} ms  ${key}`,
      );
  };
  list(kinds, 20);
  console.log('  -- by function');
  list(places, Number(values.top));
}

const running = guest.mode === null ? native() : await domain(guest.mode);
async function phase(title: string, until: string): Promise<void> {
  const before = {
    ms: threadMs(),
    cpu: process.cpuUsage(),
    instructions: running.instructions(),
    loadMs,
    instances,
    compiled,
  };
  if (!values['no-profile']) {
    await post('Profiler.enable');
    await post('Profiler.setSamplingInterval', { interval: 500 });
    await post('Profiler.start');
  }
  while (!output.includes(until) && !running.stopped()) running.advance();
  const result = values['no-profile'] ? null : ((await post('Profiler.stop')) as { profile: Profile });
  const thread = threadMs() - before.ms;
  const { user, system } = process.cpuUsage(before.cpu);
  const instructions = running.instructions() - before.instructions;
  console.log(
    `${name}, ${title}: ${(instructions / 1e6).toFixed(1)} million instructions, guest's thread ${thread.toFixed(0)} ms, all threads ${((user + system) / 1000).toFixed(0)} ms` +
      `${output.includes(until) ? '' : ' (it never came there)'}; ${instances - before.instances} instances, loading ${(loadMs - before.loadMs).toFixed(0)} ms, compiled here ${compiled - before.compiled}`,
  );
  console.log(`  ${JSON.stringify(running.core.tier?.statistics() ?? 'interpreted')}`);
  console.log(
    `  walks ${running.core.mem.u32[0xc0_000c >> 2]} + ${running.core.tlb.walks} in TypeScript, flushes ${running.core.tlb.flushes}, decoded code ${running.core.mem.code.bytes / MiB} MiB, segments used again ${running.core.mem.code.reused}`,
  );

  if (result) show(result.profile, thread);
}
await phase('start to shell', SHELL_READY);
const programs = Number(values.fork);
if (programs > 0) {
  running.type(
    `i=0; while [ $i -lt ${programs} ]; do /bin/busybox true; i=$((i + 1)); done; echo programs "$i" done\n`,
  );
  await phase(`${programs} times fork and exec`, `programs ${programs} done`);
}
for (const task of readdirSync('/proc/self/task')) {
  const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (ticks > 0) console.log(`  thread ${task} ${/\((.*)\)/.exec(stat)?.[1]}: ${ticks * 10} ms`);
}
await writeTranslations();
process.exit(0);
