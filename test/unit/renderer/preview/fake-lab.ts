// A lab that only pretends, to look at the renderer before and without an engine. It is served over the real contract.
import type { LabImplementation, ConsoleChunk } from '../../../../shared/lab-service.ts';
import type { DomainStatus, Figures, LabEvent, LabStatus } from '../../../../shared/model.ts';
import { BulkheadError } from '../../../../shared/errors.ts';
import { fakeInspection } from './fake-inspection.ts';
import { fakeMigration } from './fake-migration.ts';

const NAMES = ['web-01', 'db-01', 'netbsd', 'mirage-dns', 'build', 'freedos', 'redis-uk'];
const MEMORY = [256, 192, 64, 32, 128, 16, 64];
const encoder = new TextEncoder();

export function fakeLab({ domains: count, state }: { domains: number; state: string }): LabImplementation {
  const first = state === 'first';
  const listeners = { status: new Set<(s: LabStatus) => void>(), events: new Set<(e: LabEvent[]) => void>() };
  const consoles = new Map<string, { text: Uint8Array; listeners: Set<(c: ConsoleChunk) => void> }>();
  let nextEvent = 1;
  const events: LabEvent[] = [];
  let undo: DomainStatus | undefined;
  let colour = 1;

  const status: LabStatus = {
    name: first ? 'Untitled lab' : 'migration-study',
    path: '/labs/migration-study.bulkhead',
    clock: { now: first ? 0 : 192_482_917_000, running: !first, speed: 1, achieved: 1, limited: false },
    hosts: (first ? ['alder'] : ['alder', 'birch']).map((name) => ({
      spec: { name, pcpus: 4, memoryMiB: 1024, clockMHz: 1000 },
      state: 'running',
      reason: null,
      pcpus: [0, 1, 2, 3].map(() => ({ running: null, shares: [] })),
      freeMiB: 1008,
      memory: [],
      native: false,
    })),
    link: { bandwidthMbit: 1000, latencyUs: 400, loss: 0 },
    domains: [],
    tasks: [],
    seed: 0x5eed,
    savedUpTo: first ? 0 : 192_482_917_000,
    recordedBytes: 12_400_000,
    computer: { cpuPercent: 41, engineBytes: 1.9e8 },
    undo: null,
  };

  function record(kind: LabEvent['kind'], text: string, uuid?: string, at = status.clock.now): void {
    const event: LabEvent = { id: nextEvent++, at, kind, text, ...(uuid ? { uuid } : {}) };
    events.push(event);
    listeners.events.forEach((send) => send([event]));
  }

  function print(uuid: string, text: string): void {
    const console = consoles.get(uuid)!;
    const bytes = encoder.encode(text);
    const joined = new Uint8Array(console.text.length + bytes.length);
    joined.set(console.text);
    joined.set(bytes, console.text.length);
    console.text = joined;
    console.listeners.forEach((send) => send({ uuid, bytes, end: joined.length }));
  }

  function add(host: string, name: string, memoryMiB: number, mode: DomainStatus['mode'] = 'pvh'): DomainStatus {
    const domid = status.domains.filter((d) => d.host === host).length + 1;
    const domain: DomainStatus = {
      uuid: `uuid-${colour}-${name}`,
      name,
      host,
      domid,
      colour: colour++,
      mode,
      bits: 64,
      state: 'running',
      reason: null,
      vcpus: 1,
      memoryMiB,
      createdAt: Math.max(0, status.clock.now - colour * 21e9),
      cpuNs: 0,
      cpuPercent: 20,
      consoleBytes: 0,
    };
    status.domains = [...status.domains, domain];
    consoles.set(domain.uuid, { text: new Uint8Array(), listeners: new Set() });
    print(domain.uuid, `Dinghy 0.1 on ${host}\r\n[    0.402917] console: hvc0\r\n${name} login: root\r\n# `);
    record('domain-created', `${name} created`, domain.uuid, domain.createdAt);
    layout();
    return domain;
  }

  function layout(): void {
    for (const host of status.hosts) {
      let frame = 4096;
      const spans = [{ owner: 'hypervisor', firstFrame: 0, frames: 4096 }] as typeof host.memory;
      for (const domain of status.domains.filter((d) => d.host === host.spec.name)) {
        const frames = domain.memoryMiB * 128;
        spans.push({ owner: domain.uuid, firstFrame: frame, frames });
        spans.push({ owner: domain.uuid, firstFrame: frame + frames, frames });
        frame += frames * 2;
      }
      spans.push({ owner: null, firstFrame: frame, frames: host.spec.memoryMiB * 256 - frame });
      host.memory = spans;
      host.freeMiB = host.spec.memoryMiB - frame / 256;
    }
  }

  layout();
  if (!first) {
    record('lab-created', 'Lab created', undefined, 0);
    for (let i = 0; i < count; i++)
      add(
        i % 2 ? 'birch' : 'alder',
        i < NAMES.length ? NAMES[i] : `guest-${i}`,
        i < 7 ? MEMORY[i] : 4,
        (['pvh', 'pv', 'pv', 'pvh', 'hvm'] as const)[i % 5],
      );
    events.sort((a, b) => a.at - b.at).forEach((event, i) => (event.id = i + 1));
    if (count > 5) {
      status.domains[5].state = 'paused';
      status.tasks = [
        {
          id: 1,
          title: 'Booting',
          uuid: status.domains[6]?.uuid,
          phase: 'decompressing kernel',
          progress: 0.4,
          state: 'running',
          cancellable: true,
        },
      ];
    }
    if (state === 'crash') {
      const crashed = status.domains[2];
      Object.assign(crashed, {
        state: 'crashed',
        reason: 'Its kernel read address 0x0000001c, which is not mapped.',
        cpuPercent: 0,
      });
      status.clock.running = false;
      record('domain-crashed', `${crashed.name} crashed`, crashed.uuid);
    }
  }

  const figures = new Map<string, Figures>();
  const figuresOf = (uuid: string): Figures => {
    const domain = status.domains.find((d) => d.uuid === uuid)!;
    const n = domain.cpuNs / 1e3;
    return {
      instructions: Math.round(n * 900),
      cpuNs: domain.cpuNs,
      hypercalls: { sched_op: Math.round(n * 0.6), event_channel_op: Math.round(n * 0.3), console_io: 120 },
      exits: { EPT_VIOLATION: Math.round(n * 0.2), HLT: Math.round(n * 0.4) },
      faults: { 'page fault': 1204 },
      pages: { writable: domain.memoryMiB * 250, 'L1 page table': 61, 'L2 page table': 4, 'L4 page table': 1 },
      io: { 'console bytes out': domain.consoleBytes },
    };
  };
  void figures;

  setInterval(() => {
    if (!status.clock.running) return;
    const step = 100e6 * (status.clock.speed || 4);
    status.clock = { ...status.clock, now: status.clock.now + step };
    status.domains = status.domains.map((d, i) => {
      if (d.state !== 'running') return { ...d, cpuPercent: 0 };
      const base = [62, 38, 9, 4, 91, 0, 17][i % 7];
      const cpuPercent = Math.max(
        0,
        Math.min(100, d.cpuPercent + (Math.random() - 0.5) * 18 + (base - d.cpuPercent) * 0.3),
      );
      return { ...d, cpuPercent, cpuNs: d.cpuNs + (step * cpuPercent) / 100 };
    });
    status.hosts = status.hosts.map((host) => {
      const here = status.domains.filter((d) => d.host === host.spec.name && d.state === 'running');
      const pcpus = host.pcpus.map((_, p) => {
        const shares = here
          .filter((_d, k) => k % 4 === p || Math.random() < 0.2)
          .map((d) => ({ uuid: d.uuid, share: Math.min(0.45, d.cpuPercent / 100) }));
        return { running: shares.at(-1)?.uuid ?? null, shares };
      });
      return { ...host, pcpus };
    });
    listeners.status.forEach((send) => send({ ...status }));
  }, 100);
  const push = (): void =>
    listeners.status.forEach((send) => send({ ...status, hosts: status.hosts.map((h) => ({ ...h })) }));
  const change = (uuid: string, patch: Partial<DomainStatus>): void => {
    status.domains = status.domains.map((d) => (d.uuid === uuid ? { ...d, ...patch } : d));
    push();
  };

  const inspection = fakeInspection(() => status);
  const migration = fakeMigration({ status: () => status, add, change, push });

  return {
    methods: {
      ...inspection.methods,
      ...migration.methods,
      snapshot: () => status,
      templates: () => [
        {
          id: 'demo',
          title: 'Demo guest',
          offers: [
            { label: 'PV 64', mode: 'pv', spec: { memoryMiB: 32 } },
            { label: 'PVH', mode: 'pvh', spec: { memoryMiB: 32 } },
            { label: 'native', mode: 'native', spec: { memoryMiB: 32 } },
          ],
          unavailable: null,
        },
        {
          id: 'linux',
          title: 'Debian 12, Linux 6.6',
          offers: [{ label: 'PVH', mode: 'pvh', spec: { memoryMiB: 900 } }],
          unavailable: null,
        },
        {
          id: 'grub',
          title: 'GRUB 2.12',
          offers: [{ label: 'PVH', mode: 'pvh', spec: { memoryMiB: 64 } }],
          unavailable: 'not fetched: npm run guests',
        },
      ],
      events: () => events,
      run: () => {
        status.clock = { ...status.clock, running: true };
        push();
      },
      pause: () => {
        status.clock = { ...status.clock, running: false };
        push();
      },
      setSpeed: ({ speed }) => {
        status.clock = { ...status.clock, speed };
        push();
      },
      step: ({ ns }) => {
        status.clock = { ...status.clock, now: status.clock.now + ns, running: false };
        push();
      },
      renameLab: ({ name }) => void (status.name = name),
      addHost: ({ spec }) => {
        if (status.hosts.some((h) => h.spec.name === spec.name))
          throw new BulkheadError({
            code: 'name-taken',
            what: `There is a host ${spec.name} already.`,
            why: 'Names are unique in a lab.',
            action: 'Choose another.',
            field: 'spec.name',
          });
        status.hosts = [...status.hosts, { ...status.hosts[0], spec }];
        record('host-added', `${spec.name} added`);
        layout();
        push();
      },
      editHost: () => push(),
      removeHost: ({ name }) => {
        status.hosts = status.hosts.filter((h) => h.spec.name !== name);
        push();
      },
      editLink: ({ spec }) => {
        status.link = spec;
        push();
      },
      createDomain: ({ host, spec }) => {
        const { uuid } = add(host, spec.name, spec.memoryMiB, spec.mode);
        push();
        return { uuid };
      },
      createFromTemplate: async ({ host, template }) => {
        await new Promise((resolve) => setTimeout(resolve, 150));
        if (state === 'full')
          throw new BulkheadError({
            code: 'not-enough-memory',
            what: `${host} cannot take this domain.`,
            why: 'It needs 32 MiB and 4 are free.',
            action: 'Destroy a domain or add a host.',
          });
        const { uuid } = add(host, `${template}-${status.domains.length + 1}`, 32);
        push();
        return { uuid };
      },
      refusals: () => ({}),
      pauseDomain: ({ uuid }) => change(uuid, { state: 'paused' }),
      unpauseDomain: ({ uuid }) => change(uuid, { state: 'running' }),
      shutdownDomain: ({ uuid }) => change(uuid, { state: 'shutdown', reason: 'Shut down by its own request' }),
      restartDomain: ({ uuid }) => change(uuid, { state: 'running', reason: null }),
      destroyDomain: ({ uuid }) => {
        undo = status.domains.find((d) => d.uuid === uuid);
        status.domains = status.domains.filter((d) => d.uuid !== uuid);
        status.undo = `Undo: bring ${undo?.name} back`;
        record('domain-destroyed', `${undo?.name} destroyed`);
        layout();
        push();
      },
      renameDomain: ({ uuid, name }) => change(uuid, { name }),
      undo: () => {
        status.domains = [...status.domains, undo!];
        status.undo = null;
        layout();
        push();
        return { uuid: undo!.uuid };
      },
      setMemoryTarget: ({ uuid, memoryMiB }) => change(uuid, { memoryMiB }),
      balloonOffer: () => null,
      makeRoom: ({ uuid, memoryMiB }) => change(uuid, { memoryMiB }),
      setVcpus: ({ uuid, vcpus }) => change(uuid, { vcpus }),
      startCapture: () => {},
      stopCapture: () => {},
      redo: () => ({ uuid: status.domains[0].uuid }),
      setPauseOnCrash: ({ pauseOnCrash }) => {
        status.pauseOnCrash = pauseOnCrash;
        push();
      },
      setMigrationPace: ({ slow }) => {
        status.slowMigrations = slow;
        push();
      },
      restoreSpeed: () => {
        delete status.clock.slowed;
        push();
      },
      typeConsole: ({ uuid, bytes }) => print(uuid, new TextDecoder().decode(bytes).replaceAll('\r', '\r\n# ')),
      consoleHistory: ({ uuid }) => {
        const { text } = consoles.get(uuid)!;
        return { uuid, bytes: text, end: text.length };
      },
      figures: ({ uuid }) => ({ uuid, at: status.clock.now, figures: figuresOf(uuid), cpuPercent: 0 }),
      inspectFile: ({ path }) =>
        path.includes('arm64')
          ? {
              path,
              kind: 'kernel',
              summary: 'It is built for AArch64.',
              modes: [],
              bits: null,
              facts: [],
              checked: [
                { text: 'ELF header', found: true },
                { text: 'Machine x86 or x86-64', found: false },
              ],
              suggested: {},
              ignored: [],
            }
          : {
              path,
              kind: 'kernel',
              summary: 'A 64-bit Linux bzImage with Xen notes.',
              modes: ['pv', 'pvh'],
              bits: 64,
              facts: [
                { label: 'Format', value: 'bzImage, protocol 2.15' },
                { label: 'Payload', value: 'ELF, xz' },
              ],
              checked: [{ text: 'Xen ELF notes', found: true }],
              suggested: { memoryMiB: 128, cmdline: 'console=hvc0' },
              ignored: ['vnc'],
            },
      cancelTask: ({ id }) => {
        status.tasks = status.tasks.map((task) =>
          task.id === id ? { ...task, state: 'cancelled', cancellable: false } : task,
        );
        push();
      },
      exportLab: () => undefined,
    },
    events: {
      ...inspection.events,
      ...migration.events,
      status: (_filter, send) => {
        listeners.status.add(send);
        return () => listeners.status.delete(send);
      },
      labEvents: (_filter, send) => {
        listeners.events.add(send);
        return () => listeners.events.delete(send);
      },
      console: ({ uuid }, send) => {
        consoles.get(uuid)!.listeners.add(send);
        return () => consoles.get(uuid)!.listeners.delete(send);
      },
      figures: ({ uuid }, send) => {
        const timer = setInterval(
          () => send({ uuid, at: status.clock.now, figures: figuresOf(uuid), cpuPercent: 0 }),
          200,
        );
        return () => clearInterval(timer);
      },
    },
  };
}
