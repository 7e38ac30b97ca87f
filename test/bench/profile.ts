/**
 * Where the time goes: `node test/bench/profile.ts GUEST [--fork N] [--run COMMAND]... [--warm COMMAND] [--count] [--top N]`. Boots Debian's Linux
 * to its shell (686, amd64: bare machine; pv64, pvh64, pvh32: as a domain), then starts N programs from that shell, then each COMMAND (functions and
 * files of inside/run.sh are there: --run awk_sums), and prints for each of them what each kind of code cost: regions, the interpreter's main loop,
 * its other functions, its compiled routines in TypeScript, translation. CPU time, by sampling and by the system's count. --warm runs a command
 * first, without a report. --count, instead of times: which instructions the main loop executed, which of them regions left to it, and which system
 * routines ran in TypeScript, by name.
 */
import { Session } from 'node:inspector';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { CpuCore } from '../../main/machine/cpu/core.ts';
import { decodeTables } from '../../main/machine/cpu/interpreter.ts';
import { ALONE, F, FIRST_REGION, OP, STATE } from '../../main/machine/cpu/layout.ts';
import { probe } from '../../main/machine/cpu/probe.ts';
import { writeTranslations } from '../../main/machine/cpu/translator/background.ts';
import { PcMachine } from '../../main/machine/platform/pc.ts';
import { prepareKernel } from '../../main/toolstack/builder/kernel-image.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../shared/model.ts';
import { buildInsideRamdisk } from './inside.ts';
import { SHELL_READY } from './marks.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fork: { type: 'string', default: '0' },
    top: { type: 'string', default: '25' },
    memory: { type: 'string', default: '128' },
    run: { type: 'string', multiple: true, default: [] },
    warm: { type: 'string' },
    count: { type: 'boolean', default: false },
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
/** Commands may use what the benchmark inside Linux uses. */
const inside = values.run.length > 0;
const cache = fileURLToPath(new URL('../../.cache/', import.meta.url));
const ramdisk = (): Buffer<ArrayBuffer> => {
  const plain = `${cache}guests/${guest.ramdisk}`;
  const bits = guest.ramdisk.includes('amd64') ? 64 : 32;
  return readFileSync(inside ? buildInsideRamdisk(plain, `${cache}bench`, bits, console.error) : plain);
};
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
  machine.load({ kernel: file(guest.kernel), ramdisk: ramdisk(), commandLine });
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
  const domid = xen.createDomain(spec, { kernel, ramdisk: ramdisk(), disks: [] });
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

/** What --count counts, by handler of the table, and by routine and opcode. */
const counted = {
  dispatched: new Map<number, number>(),
  left: new Map<number, number>(),
  onward: new Map<bigint, number>(),
  routines: new Map<string, number>(),
};
let mem: CpuCore['mem'] | null = null;
const add = <K>(m: Map<K, number>, key: K): void => void m.set(key, (m.get(key) ?? 0) + 1);
if (values.count)
  probe.dispatched = (record) => {
    if (record & 1) return add(counted.onward, mem!.view.getBigUint64(STATE + F.rip, true));
    const handler = mem!.u16[(record + OP.handler) >> 1]!;
    add(counted.dispatched, Math.min(handler, FIRST_REGION));
    if (record === ALONE) add(counted.left, handler);
  };
const running = guest.mode === null ? native() : await domain(guest.mode);
mem = running.core.mem;
if (values.count) {
  const routines = running.core.system.routines as Record<string, (op: number) => number>;
  for (const [routine, body] of Object.entries(routines))
    routines[routine] = (op) => {
      const bytes = mem.u32[(op + OP.bytes) >> 2]!;
      const hex = (n: number): string => (n & 0xff).toString(16).padStart(2, '0');
      const operand =
        routine === 'x87' ? ((bytes & 0xc0) === 0xc0 ? `/${hex(bytes)}` : `/${(bytes >> 3) & 7} memory`) : '';
      add(counted.routines, `${routine} ${hex(bytes >> 8)} ${operand}`);
      return body(op);
    };
}
function handlerName(id: number): string {
  if (id === 0) return 'another look-up';
  if (id >= FIRST_REGION) return 'regions entered';
  const h = decodeTables().all[id - 1];
  if (!h) return 'across two pages';
  const operands = h.operands.map((o) => o.kind + o.size).join(',');
  return `${h.instruction.name} ${operands}${h.memory ? ' memory' : ''}${h.general ? ' general' : ''} ${h.osz}${h.hot ? '' : ' (function)'}`;
}
function showCounts(): void {
  const list = <K>(title: string, m: Map<K, number>, nameOf: (key: K) => string): void => {
    const total = [...m.values()].reduce((a, b) => a + b, 0);
    console.log(`  -- ${title}: ${total}`);
    for (const [key, n] of [...m].toSorted((a, b) => b[1] - a[1]).slice(0, Number(values.top)))
      console.log(`  ${((100 * n) / total).toFixed(1).padStart(5)} %  ${String(n).padStart(10)}  ${nameOf(key)}`);
    m.clear();
  };
  list('executed by the main loop', counted.dispatched, handlerName);
  list('of these left to it by regions', counted.left, handlerName);
  list('from region to region, by where to', counted.onward, (rip) => rip.toString(16));
  list('routines in TypeScript', counted.routines, (key) => key);
}
async function phase(title: string, until: string): Promise<void> {
  const before = {
    ms: threadMs(),
    cpu: process.cpuUsage(),
    instructions: running.instructions(),
    loadMs,
    instances,
    compiled,
  };
  const profiled = !values['no-profile'] && !values.count;
  if (profiled) {
    await post('Profiler.enable');
    await post('Profiler.setSamplingInterval', { interval: 500 });
    await post('Profiler.start');
  }
  while (!output.includes(until) && !running.stopped()) running.advance();
  const result = profiled ? ((await post('Profiler.stop')) as { profile: Profile }) : null;
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
  if (values.count) showCounts();
}
await phase('start to shell', SHELL_READY);
const programs = Number(values.fork);
if (programs > 0) {
  running.type(
    `i=0; while [ $i -lt ${programs} ]; do /bin/busybox true; i=$((i + 1)); done; echo programs "$i" done\n`,
  );
  await phase(`${programs} times fork and exec`, `programs ${programs} done`);
}
if (inside) {
  const waitFor = (text: string): void => {
    while (!output.includes(text) && !running.stopped()) running.advance();
  };
  running.type(`set -- 0 none; . /bench/run.sh; ${values.warm === undefined ? '' : `${values.warm}; `}echo warm"ed"\n`);
  waitFor('warmed');
  for (const [n, command] of values.run.entries()) {
    running.type(`${command}; echo run ${n} do"ne"\n`);
    await phase(command, `run ${n} done`);
  }
}
for (const task of readdirSync('/proc/self/task')) {
  const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (ticks > 0) console.log(`  thread ${task} ${/\((.*)\)/.exec(stat)?.[1]}: ${ticks * 10} ms`);
}
await writeTranslations();
process.exit(0);
