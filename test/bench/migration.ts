// How fast save, restore and migration move a domain on this computer when no link limits them, beside a plain copy of the same bytes, and
// what the dirty log costs a guest. Prints JSON. MiB per CPU second; the slow-down is work done in the same lab time.
import { readKernel } from '../../main/engine/kernels.ts';
import { createSimulatedHost } from '../../main/toolstack/index.ts';
import { XenHost } from '../../main/toolstack/xen-host.ts';
import { PRESETS } from '../../main/toolstack/migration/policy.ts';
import type { SimulatedHost } from '../../main/toolstack/simulated-host.ts';
import { DomainSpec, HostSpec } from '../../shared/model.ts';
import type { VirtualNs } from '../../shared/units.ts';

const MEMORY_MIB = 256;
const MiB = 2 ** 20;
const quiet = { console: () => {}, stateChanged: () => {} };
const host = (name: string): SimulatedHost =>
  createSimulatedHost(HostSpec.parse({ name, pcpus: 1, memoryMiB: 2.5 * MEMORY_MIB, clockMHz: 1000 }), 1, quiet);
const cpuSeconds = (from: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
};
const rate = (bytes: number, seconds: number): number => Math.round(bytes / MiB / seconds);

const source = host('alder');
const target = host('birch');
const spec = DomainSpec.parse({ name: 'bench', mode: 'pv', kernel: 'builtin:dinghy-pv64', memoryMiB: MEMORY_MIB });
const kernel = await readKernel(spec.kernel);
const domid = await source.createDomain(spec, { kernel, disks: [] });
let now = 0;
const run = (ms: number): void => {
  now += ms * 1e6;
  source.advance(now as VirtualNs);
  target.advance(now as VirtualNs);
};
run(200);

// ---- the dirty log: instructions in 300 ms of lab time, without it and with it read every 10 ms
const busy = new XenHost(HostSpec.parse({ name: 'busy', pcpus: 1, memoryMiB: 64, clockMHz: 1000 }), 1, quiet);
const worker = busy.createDomain({ ...spec, memoryMiB: 32 }, { kernel, disks: [] });
let clock = 0;
const runBusy = (ms: number): void => void busy.advance((clock += ms * 1e6));
runBusy(50);
for (const line of ['dirty 20000 8 100000 &', 'forks 1000000 &', 'game 100000 &', 'burn 100000'])
  busy.consoleInput(worker, new TextEncoder().encode(`${line}\r`));
runBusy(100);
const work = (between: () => void): number => {
  const before = busy.figures(worker).instructions;
  for (let i = 0; i < 30; i++) {
    runBusy(10);
    between();
  }
  return busy.figures(worker).instructions - before;
};
const without = work(() => {});
const { logDirty } = busy.host.domain(worker)!;
logDirty.start();
let dirtied = 0;
const logged = work(() => void logDirty.clean(() => dirtied++));
logDirty.stop();

// ---- a plain copy of as many bytes
const memory = new Uint8Array(MEMORY_MIB * MiB).fill(7);
let cpu = process.cpuUsage();
let copied = 0;
for (let i = 0; i < memory.length; i += 4 * MiB) copied += memory.slice(i, i + 4 * MiB).length;
const plain = cpuSeconds(cpu);

// ---- migration: the source's and the target's part in this one process
cpu = process.cpuUsage();
target.migration.receive(1, { name: 'bench', spec, disks: () => [] });
source.migration.send(1, domid, PRESETS['xen-today'], 0, []);
let sent = 0;
let complete = false;
let guest = 0;
for (let from = now; !complete; from = now) {
  const before = process.cpuUsage();
  run(1);
  guest += cpuSeconds(before);
  const { chunks, report } = source.migration.turn(1, from, now, 64);
  if (report.failure) throw new Error(report.failure);
  complete = target.migration.feed(
    1,
    chunks.map((c) => c.bytes),
  );
  sent = report.bytesSent;
}
const there = target.migration.activate(1);
source.migration.release(1);
const migrate = cpuSeconds(cpu) - guest;
// it takes note of its new place
run(100);

// ---- save and restore, from the target to the source's place
target.saving.begin(2, there);
while (target.saving.state(2).is === 'asked') run(1);
cpu = process.cpuUsage();
const pieces: Uint8Array[] = [];
for (let piece = target.saving.piece(2); piece; piece = target.saving.piece(2)) pieces.push(piece);
const save = cpuSeconds(cpu);
const saved = pieces.reduce((n, p) => n + p.length, 0);
target.saving.end(2, false);
cpu = process.cpuUsage();
source.saving.expect(3, spec, 64, '00000000-0000-4000-8000-000000000001', true, () => []);
for (const piece of pieces) source.saving.feed(3, piece);
source.saving.finish(3);
const restore = cpuSeconds(cpu);

console.log(
  JSON.stringify(
    {
      memoryMiB: MEMORY_MIB,
      plainCopyMiBs: rate(copied, plain),
      saveMiBs: rate(saved, save),
      restoreMiBs: rate(saved, restore),
      migrateMiBs: rate(sent, migrate),
      dirtiedPagesPerSecond: Math.round(dirtied / 0.3),
      dirtyLogSlowDown: Number((without / logged).toFixed(3)),
    },
    null,
    2,
  ),
);
