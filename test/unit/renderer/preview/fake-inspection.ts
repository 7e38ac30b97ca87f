// The inspection part of the pretended lab: enough of everything to see every panel.
import { BulkheadError } from '../../../../shared/errors.ts';
import type { ScheduleSlice, StoreNode, TraceRecord } from '../../../../shared/inspection-service.ts';
import type { LabImplementation } from '../../../../shared/lab-service.ts';
import type { LabStatus } from '../../../../shared/model.ts';

type Methods = LabImplementation['methods'];
type Events = LabImplementation['events'];
type InspectionMethods = Pick<
  Methods,
  | 'storeNode'
  | 'storeWrite'
  | 'storeRemove'
  | 'devices'
  | 'frames'
  | 'schedule'
  | 'traceStatus'
  | 'setTracing'
  | 'trace'
  | 'exportTrace'
  | 'vcpus'
  | 'disassemble'
  | 'readMemory'
  | 'stack'
  | 'stepInstruction'
  | 'breakpoints'
  | 'setBreakpoint'
>;

const TRACED = [
  ['exit', 'EPT_VIOLATION', 'log-dirty, gfn 0x1f3a2', '', 1840],
  ['hypercall', 'event_channel_op', 'send, port 22', '0', 412],
  ['exit', 'MSR_WRITE', 'IA32_TSC_DEADLINE', '', 688],
  ['hypercall', 'sched_op', 'block', '0', 530],
  ['event', 'VIRQ_TIMER', 'port 3', '', 240],
  ['hypercall', 'grant_table_op', 'copy, 4 refs', '-EINVAL', 1216],
] as const;
const CODE = [
  'mov eax, 0x1d',
  'lea rsi, [rbp-8]',
  'call hypercall_page+0x3a0',
  'test eax, eax',
  'js 0xffffffff810011c4',
  'pop rbp',
  'ret',
  'nop dword [rax+rax]',
];

export function fakeInspection(now: () => LabStatus): {
  methods: InspectionMethods;
  events: Pick<Events, 'storeChanged' | 'trace' | 'schedule'>;
} {
  const store = new Map<string, string>();
  for (const { domid, name, uuid } of now().domains) {
    const home = `/local/domain/${domid}`;
    store.set(`${home}/name`, name);
    store.set(`${home}/vm`, `/vm/${uuid}`);
    store.set(`${home}/control/shutdown`, '');
    store.set(`${home}/device/vif/0/backend`, `/local/domain/0/backend/vif/${domid}/0`);
    store.set(`${home}/device/vif/0/state`, '4');
    store.set(`${home}/device/vif/0/tx-ring-ref`, '768');
    store.set(`${home}/memory/target`, '1048576');
    store.set(`/vm/${uuid}/name`, name);
  }
  const node = (path: string): StoreNode => {
    const prefix = path === '/' ? '/' : `${path}/`;
    const below = [...store.keys()].filter((key) => key.startsWith(prefix));
    if (below.length === 0 && !store.has(path))
      throw new BulkheadError({ code: 'not-found', what: `There is no ${path}.`, why: 'It was removed.', action: '' });
    return {
      path,
      value: store.get(path) ?? '',
      children: [...new Set(below.map((key) => key.slice(prefix.length).split('/')[0]))].sort(),
      permissions: 'n1,r0',
      editable: !path.includes('/device/'),
    };
  };
  const watchers = new Set<(paths: string[]) => void>();
  let index = 1;
  let recording = true;
  let stepped = 0;
  let points: string[] = ['0xffffffff810011a5'];
  const records = (count: number, uuid: string | null): TraceRecord[] =>
    Array.from({ length: count }, (_, i) => {
      const [kind, name, args, result, ns] = TRACED[index % TRACED.length];
      const noise = Math.round(ns * (0.6 + ((index * 7919) % 100) / 90));
      return {
        index: index++,
        host: 'alder',
        at: now().clock.now - (count - i) * 3100,
        kind,
        uuid,
        vcpu: index % 2,
        name,
        args,
        result,
        ns: noise,
      };
    });
  const address = (i: number): string => `0xffffffff8100${(0x119c + i * 5).toString(16)}`;
  const report = (vcpu: number) => ({
    vcpu,
    state: 'blocked',
    mode: '64-bit, ring 0',
    rip: address(3 + stepped),
    instructions: 812_004 + stepped,
    registers: [
      ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp', 'r8', 'r9', 'r10', 'r11'].map((name, i) => ({
        name,
        value: `0x${(0xffffffff82a1c0c0n + BigInt(i * 4096 + (i === 0 ? stepped : 0))).toString(16)}`,
        group: 'general' as const,
        note: '',
      })),
      { name: 'rip', value: address(3 + stepped), group: 'general' as const, note: '' },
      { name: 'eflags', value: '0x00000246', group: 'general' as const, note: 'IF ZF PF' },
      { name: 'cs', value: '0x0010', group: 'segment' as const, note: 'base 0, limit 4 GiB' },
      { name: 'cr0', value: '0x80050033', group: 'control' as const, note: 'PG WP NE ET MP PE' },
      { name: 'cr3', value: '0x0000000003b1a000', group: 'control' as const, note: '' },
    ],
  });
  /** A repeating pattern of who runs where, as slices of a stretch of time. */
  const slices = (host: string, from: number, to: number): ScheduleSlice[] => {
    const domains = now().domains.filter((d) => d.host === host);
    const found: ScheduleSlice[] = [];
    if (domains.length === 0) return found;
    for (let pcpu = 0; pcpu < 4; pcpu++) {
      for (let k = Math.floor(from / 1e6) - 8; k * 1e6 < to; k++) {
        const length = (((k * 37 + pcpu * 11) % 9) + 2) * 1e5;
        const at = k * 1e6 + pcpu * 1.3e5;
        if ((k * 13 + pcpu) % 7 === 0 || at > now().clock.now) continue;
        const { uuid } = domains[(k + pcpu * 3) % domains.length];
        if (at + length > from && at < to)
          found.push({
            host,
            pcpu,
            uuid,
            vcpu: (k + pcpu) % 2,
            from: at,
            to: at + length,
            ended: k % 3 ? 'blocked' : 'slice',
          });
      }
    }
    return found;
  };

  return {
    methods: {
      storeNode: ({ path }) => node(path),
      storeWrite: ({ path, value }) => {
        store.set(path, value);
        watchers.forEach((send) => send([path]));
      },
      storeRemove: ({ path }) => {
        for (const key of [...store.keys()]) if (key === path || key.startsWith(`${path}/`)) store.delete(key);
        watchers.forEach((send) => send([path]));
      },
      devices: ({ uuid }) => {
        const n = Math.round(now().clock.now / 1e6);
        const mode = now().domains.find((d) => d.uuid === uuid)?.mode;
        if (mode === 'native') return [];
        return [
          {
            id: 'vif/0',
            title: 'Network interface 0',
            frontend: 'Connected',
            backend: 'Connected',
            facts: [
              { label: 'MAC', value: '00:16:3e:00:00:01' },
              { label: 'Bridge', value: 'br0' },
              { label: 'Event channel', value: '21' },
              { label: 'Ring', value: '256 slots' },
            ],
            counters: [
              { label: 'packets out', value: n * 3, unit: 'count' },
              { label: 'bytes out', value: n * 1800, unit: 'bytes' },
            ],
            problem: null,
          },
          {
            id: 'vbd/51712',
            title: 'Disk xvda',
            frontend: 'Initialised',
            backend: 'InitWait',
            facts: [{ label: 'Image', value: 'db.img, raw' }],
            counters: [{ label: 'requests', value: 0, unit: 'count' }],
            problem: 'The image db.img could not be opened.',
          },
          {
            id: 'console',
            title: 'Console hvc0',
            frontend: 'Connected',
            backend: 'Connected',
            facts: [{ label: 'Event channel', value: '2' }],
            counters: [{ label: 'bytes out', value: n, unit: 'bytes' }],
            problem: null,
          },
        ];
      },
      frames: ({ first, count }) =>
        Array.from({ length: count }, (_, i) => {
          const pfn = first + i;
          const hash = ((pfn >> 6) * 2654435761) >>> 22;
          const type =
            pfn > 30_000
              ? 'absent'
              : hash < 14
                ? 'l1'
                : hash < 18
                  ? 'l2'
                  : hash < 20
                    ? 'l4 pinned'
                    : hash < 300
                      ? 'none'
                      : 'writable';
          return { pfn, mfn: 0x4a00 + pfn, type, references: 1 + (hash % 2), typeCount: hash % 2 };
        }),
      schedule: ({ host, from, to }) => slices(host, from, to),
      traceStatus: () => ({ recording, kept: 182_000 + index, lost: 0 }),
      setTracing: ({ recording: on }) => void (recording = on),
      trace: ({ limit, filter }) => records(Math.min(limit, 60), filter.uuids[0] ?? null),
      exportTrace: () => ({ records: 182_000 }),
      vcpus: () => [report(0), report(1)],
      disassemble: () =>
        Array.from({ length: 24 }, (_, i) => ({
          address: address(i),
          bytes: 'b8 1d',
          text: CODE[i % CODE.length],
          symbol: i === 0 ? 'xen_safe_halt' : null,
          breakpoint: points.includes(address(i)),
          current: i === 3 + stepped,
        })),
      readMemory: ({ bytes }) => Array.from({ length: bytes }, (_, i) => (i > 200 ? null : (i * 37) & 255)),
      stack: ({ entries }) =>
        Array.from({ length: entries }, (_, i) => ({
          address: `0xffffc90000123e${(0x30 + i * 8).toString(16)}`,
          value: `0xffffffff8100${(0x1100 + i * 33).toString(16)}`,
          symbol: i % 3 ? null : `do_idle+0x${i.toString(16)}`,
        })),
      stepInstruction: ({ vcpu }) => {
        stepped += 1;
        return report(vcpu);
      },
      breakpoints: () => points,
      setBreakpoint: ({ address: at, on }) => void (points = on ? [...points, at] : points.filter((p) => p !== at)),
    },
    events: {
      storeChanged: (_filter, send) => {
        watchers.add(send);
        return () => watchers.delete(send);
      },
      trace: (filter, send) => {
        const timer = setInterval(() => {
          if (recording && now().clock.running) send({ records: records(4, filter.uuids[0] ?? null), skipped: 250 });
        }, 100);
        return () => clearInterval(timer);
      },
      schedule: ({ host }, send) => {
        let at = now().clock.now;
        const timer = setInterval(() => {
          if (now().clock.now > at) send(slices(host, at, now().clock.now));
          at = now().clock.now;
        }, 100);
        return () => clearInterval(timer);
      },
    },
  };
}
