// Column: the simulated CPU of Bulkhead, a bare machine or a domain. BULKHEAD_TIER in the environment chooses the tier, as everywhere.
import { readFileSync } from 'node:fs';
import type { CpuCore } from '../../../main/machine/cpu/core.ts';
import { PcMachine } from '../../../main/machine/platform/pc.ts';
import { writeTranslations } from '../../../main/machine/cpu/translator/background.ts';
import { prepareKernel } from '../../../main/toolstack/builder/kernel-image.ts';
import { XenHost } from '../../../main/toolstack/xen-host.ts';
import { DomainSpec } from '../../../shared/model.ts';
import { answer, MEMORY_MIB, readJob, type Job } from '../job.ts';
import { Marks, now, untilIdle } from '../marks.ts';

const MiB = 1024 * 1024;
const CLOCK_MHZ = 1000;
/** Virtual ns between two looks at whether the guest is done. */
const STEP = 10_000_000;
/** Steps after which a guest that idles will print no more: a quarter of an hour of its time. */
const PATIENCE = 90_000;

interface Running {
  readonly core: CpuCore;
  /** Lets STEP pass; false when the guest has ended. */
  advance(): boolean;
  type(text: string): void;
}

function bare(job: Job, put: (c: string) => void): Running {
  const machine = new PcMachine({
    ...{ ramBytes: MEMORY_MIB * MiB, vcpus: 1, clockMHz: CLOCK_MHZ, epochSeconds: 0 },
    onSerial: (byte) => put(String.fromCharCode(byte)),
  });
  const ramdisk = job.ramdisk === null ? null : readFileSync(job.ramdisk);
  machine.load({ kernel: readFileSync(job.image), ramdisk, commandLine: job.commandLine });
  return {
    core: machine.core,
    advance: () => {
      machine.runUntil(machine.now() + STEP);
      return machine.stop === null;
    },
    type: (text) => machine.board.serial.receive(Buffer.from(text)),
  };
}

async function domain(job: Job, mode: 'pv' | 'pvh', put: (c: string) => void): Promise<Running> {
  const xen = new XenHost({ name: 'bench', pcpus: 1, memoryMiB: MEMORY_MIB + 64, clockMHz: CLOCK_MHZ }, 1, {
    console: (_domid, bytes) => {
      for (const c of Buffer.from(bytes).toString('latin1')) put(c);
    },
    stateChanged: () => {},
  });
  const spec = { name: 'linux', mode, kernel: 'linux', cmdline: job.commandLine, memoryMiB: MEMORY_MIB };
  const domid = xen.createDomain(DomainSpec.parse(spec), {
    kernel: await prepareKernel(readFileSync(job.image)),
    ramdisk: readFileSync(job.ramdisk!),
    disks: [],
  });
  return {
    core: xen.host.core,
    advance: () => {
      xen.advance(xen.host.now() + STEP);
      return xen.domainStatus(domid).shutdown === null;
    },
    type: (text) => xen.consoleInput(domid, Buffer.from(text)),
  };
}

const job = readJob();
const start = now();
let running: Running | null = null;
const marks = new Marks({
  ...{ start, clock: now, linux: job.ramdisk !== null, command: job.command },
  settle: untilIdle,
  type: (text) => running!.type(text),
});
const put = (c: string): void => marks.put(c);
running = job.mode === 'native' ? bare(job, put) : await domain(job, job.mode, put);
for (let n = 0; n < PATIENCE && !marks.done && running.advance(); n++);
// for the next run, where there is an archive
await writeTranslations();
const translation = running.core.tier?.statistics();
answer({ column: marks.column, ...(translation && { translation: { ...translation } }) });
