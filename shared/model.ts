// What a lab consists of, as schemas (checked where data crosses a process border or comes from a file) and the types inferred from them.

import { z } from 'zod';

const name = z
  .string()
  .min(1)
  .max(40)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'a name has letters, digits, dots, dashes and underscores, and starts with a letter or digit',
  );

/** Limits that forms and schemas share. */
export const LIMITS = {
  pcpus: { min: 1, max: 8 },
  hostMemoryMiB: { min: 32, max: 3584 },
  clockMHz: { min: 1, max: 10_000 },
  vcpus: { min: 1, max: 8 },
  domainMemoryMiB: { min: 4, max: 3072 },
  hosts: 8,
} as const;

export const HostSpec = z.strictObject({
  name,
  pcpus: z.int().min(LIMITS.pcpus.min).max(LIMITS.pcpus.max).default(4),
  memoryMiB: z.int().min(LIMITS.hostMemoryMiB.min).max(LIMITS.hostMemoryMiB.max).default(1024),
  /** Nominal clock: instructions per virtual microsecond at one instruction a cycle. */
  clockMHz: z.int().min(LIMITS.clockMHz.min).max(LIMITS.clockMHz.max).default(1000),
});
export type HostSpec = z.output<typeof HostSpec>;

export const LinkSpec = z.strictObject({
  bandwidthMbit: z.number().positive().max(1_000_000).default(1000),
  latencyUs: z.number().min(1).max(1_000_000).default(400),
  /** Fraction of packets lost, 0 to 1. */
  loss: z.number().min(0).max(1).default(0),
});
export type LinkSpec = z.output<typeof LinkSpec>;

export const DomainMode = z.enum(['native', 'pv', 'pvh', 'hvm']);
export type DomainMode = z.output<typeof DomainMode>;

export const DiskSpec = z.strictObject({
  /** Image file, absolute once it reaches the engine. */
  path: z.string().min(1),
  format: z.enum(['raw', 'qcow2', 'iso']).default('raw'),
  /** Device name in the guest. */
  vdev: z.string().min(1).max(16),
  readOnly: z.boolean().default(false),
  /** Copy on write: the image stays as it is, and what the guest writes goes to an image that the lab makes above it. */
  overlay: z.boolean().optional(),
  /** Set by the lab once it has made that image, which is then the `path`: the image below it. */
  base: z.string().min(1).optional(),
});
export type DiskSpec = z.output<typeof DiskSpec>;

export const NicSpec = z.strictObject({
  bridge: z.string().min(1).max(32).default('br0'),
  mac: z
    .string()
    .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'a MAC address has six pairs of hexadecimal digits')
    .optional(),
  /** Most it may send, in kbit/s; without it as fast as the link is. */
  rateKbit: z.int().min(1).max(100_000_000).optional(),
});
export type NicSpec = z.output<typeof NicSpec>;

export const DomainSpec = z.strictObject({
  name,
  mode: DomainMode,
  /** Kernel file (absolute path), or a built-in image as `builtin:<name>`. */
  kernel: z.string().min(1),
  ramdisk: z.string().min(1).optional(),
  cmdline: z.string().max(4096).default(''),
  memoryMiB: z.int().min(LIMITS.domainMemoryMiB.min).max(LIMITS.domainMemoryMiB.max),
  vcpus: z.int().min(LIMITS.vcpus.min).max(LIMITS.vcpus.max).default(1),
  disks: z.array(DiskSpec).max(16).default([]),
  nics: z.array(NicSpec).max(8).default([]),
  /** Credit scheduler weight; 256 is normal. */
  weight: z.int().min(1).max(65535).default(256),
  /** Most CPU it may use, in percent of one pCPU; 0 = no cap. */
  cap: z.int().min(0).max(800).default(0),
  /** The pCPUs it may run on; without it all. */
  cpus: z
    .array(
      z
        .int()
        .min(0)
        .max(LIMITS.pcpus.max - 1),
    )
    .min(1)
    .optional(),
});
export type DomainSpec = z.output<typeof DomainSpec>;
export type DomainSpecInput = z.input<typeof DomainSpec>;

export const DomainState = z.enum(['building', 'running', 'blocked', 'paused', 'shutdown', 'crashed', 'lost']);
export type DomainState = z.output<typeof DomainState>;

/** Counts since the domain was built; times in virtual ns. */
export const Figures = z.object({
  instructions: z.number(),
  cpuNs: z.number(),
  /** By hypercall name. */
  hypercalls: z.record(z.string(), z.number()),
  /** VM exits and traps to the hypervisor by kind. */
  exits: z.record(z.string(), z.number()),
  faults: z.record(z.string(), z.number()),
  /** Machine frames by page type or use. */
  pages: z.record(z.string(), z.number()),
  io: z.record(z.string(), z.number()),
});
export type Figures = z.output<typeof Figures>;

/** A capture of a network interface into a pcap file. */
export const CaptureStatus = z.object({
  /** Counted from 0. */
  nic: z.int(),
  path: z.string(),
  /** Written so far. */
  bytes: z.number(),
  /** Why it has ended by itself; absent while it runs. */
  problem: z.string().optional(),
});
export type CaptureStatus = z.output<typeof CaptureStatus>;

export const DomainStatus = z.object({
  /** Kept for life, across hosts and labs. */
  uuid: z.string(),
  name: z.string(),
  host: z.string(),
  /** Number on its host now; native domains have 0. */
  domid: z.int(),
  /** 1.. in order of creation; decides its colour for life. */
  colour: z.int(),
  mode: DomainMode,
  /** 32 or 64: width of the guest's kernel. */
  bits: z.union([z.literal(32), z.literal(64)]).nullable(),
  state: DomainState,
  /** One sentence when it crashed, was lost or shut down. */
  reason: z.string().nullable(),
  vcpus: z.int(),
  memoryMiB: z.number(),
  /** Virtual time at which it was created. */
  createdAt: z.number(),
  cpuNs: z.number(),
  /** Share of one pCPU over the last second of lab time, in percent. */
  cpuPercent: z.number(),
  consoleBytes: z.number(),
  /** Network interfaces it was built with. */
  nics: z.int().optional(),
  /** Captures of its network interfaces; absent when there are none. */
  captures: z.array(CaptureStatus).optional(),
});
export type DomainStatus = z.output<typeof DomainStatus>;

export const PcpuStatus = z.object({
  /** uuid of the domain that ran last in the interval, or null when idle. */
  running: z.string().nullable(),
  /** Busy share of the last interval by domain uuid, each 0 to 1. */
  shares: z.array(z.object({ uuid: z.string(), share: z.number() })),
});
export const MemorySpan = z.object({
  /** Domain uuid, 'hypervisor', or null for free. */
  owner: z.string().nullable(),
  firstFrame: z.int(),
  frames: z.int(),
});
export type MemorySpan = z.output<typeof MemorySpan>;

export const HostStatus = z.object({
  spec: HostSpec,
  state: z.enum(['starting', 'running', 'lost']),
  reason: z.string().nullable(),
  pcpus: z.array(PcpuStatus),
  freeMiB: z.number(),
  /** Machine memory in order of frames, runs of one owner. */
  memory: z.array(MemorySpan),
  /** A native kernel has the whole host. */
  native: z.boolean(),
  /** Bytes of this computer's memory that translated guest code takes (an estimate), and may take at most; absent if nothing is translated. */
  translatedBytes: z.number().optional(),
  translatedLimit: z.number().optional(),
  /** Places of guest code that the translator failed at: they are interpreted, with the same results. */
  translatorFailures: z.number().optional(),
});
export type HostStatus = z.output<typeof HostStatus>;

export const ClockStatus = z.object({
  now: z.number(),
  running: z.boolean(),
  /** Wanted: virtual seconds per second on the user's clock; 0 = as fast as possible. */
  speed: z.number(),
  /** Reached over the last second. */
  achieved: z.number(),
  /** The engine cannot keep up with the wanted speed. */
  limited: z.boolean(),
  /** It goes slower than wanted for now, at this speed, so that something can be seen. */
  slowed: z.object({ speed: z.number(), why: z.enum(['migration']) }).optional(),
});
export type ClockStatus = z.output<typeof ClockStatus>;

export const LabEventKind = z.enum([
  'lab-created',
  'host-added',
  'host-edited',
  'host-removed',
  'host-lost',
  'link-edited',
  'domain-created',
  'domain-renamed',
  'domain-paused',
  'domain-unpaused',
  'domain-shutdown',
  'domain-crashed',
  'domain-destroyed',
  'domain-restored',
  'domain-saved',
  'migration-started',
  'migration-round',
  'migration-done',
  'migration-failed',
  'migration-aborted',
]);
export const LabEvent = z.object({
  id: z.int(),
  /** Virtual ns. */
  at: z.number(),
  kind: LabEventKind,
  /** The sentence shown. */
  text: z.string(),
  host: z.string().optional(),
  uuid: z.string().optional(),
  /** Byte position in that domain's console. */
  consoleAt: z.number().optional(),
});
export type LabEvent = z.output<typeof LabEvent>;

export const Task = z.object({
  id: z.int(),
  title: z.string(),
  uuid: z.string().optional(),
  phase: z.string(),
  /** 0 to 1, or null where nothing can be counted. */
  progress: z.number().nullable(),
  state: z.enum(['running', 'done', 'failed', 'cancelled']),
  /** Sentences when it failed. */
  error: z.object({ code: z.string(), what: z.string(), why: z.string(), action: z.string() }).optional(),
  cancellable: z.boolean(),
  /** The user's clock when it began, Unix ms; and how long it took, ms, once it has ended. */
  startedWall: z.number().optional(),
  wallMs: z.number().optional(),
});
export type Task = z.output<typeof Task>;

/** A guest on the shelf. */
export const Template = z.object({
  id: z.string(),
  title: z.string(),
  /** Modes offered, in the order shown, with the spec each gives (name and host are filled in at creation). */
  offers: z.array(z.object({ label: z.string(), mode: DomainMode, spec: z.record(z.string(), z.unknown()) })),
  /** Why it cannot be used yet and how to get it, or null. */
  unavailable: z.string().nullable(),
});
export type Template = z.output<typeof Template>;

/** What leaves a host over the link, bytes per second of lab time over its last second. */
export const LinkTraffic = z.object({
  from: z.string(),
  /** Frames of guests, as they are on the wire. */
  guestBytesPerSecond: z.number(),
  /** Streams of migrations, their payload. */
  migrationBytesPerSecond: z.number(),
});
export type LinkTraffic = z.output<typeof LinkTraffic>;

export const LabStatus = z.object({
  name: z.string(),
  path: z.string(),
  clock: ClockStatus,
  hosts: z.array(HostStatus),
  link: LinkSpec,
  /** One entry for each host that has sent something. */
  traffic: z.array(LinkTraffic).optional(),
  domains: z.array(DomainStatus),
  tasks: z.array(Task),
  seed: z.number(),
  /** Everything up to this virtual time is in the lab file. */
  savedUpTo: z.number(),
  /** Bytes of the lab file. */
  recordedBytes: z.number(),
  /** This computer: share of all cores (percent) and memory used by the engine (bytes). */
  computer: z.object({ cpuPercent: z.number(), engineBytes: z.number() }),
  undo: z.string().nullable(),
  /** Name of the domain that redo would destroy again. */
  redo: z.string().nullable().optional(),
  /** The clock stops when a guest crashes. */
  pauseOnCrash: z.boolean().optional(),
  /** Migrations slow the clock so that their rounds can be seen. */
  slowMigrations: z.boolean().optional(),
});
export type LabStatus = z.output<typeof LabStatus>;

/** What inspecting a file found. */
export const FileReport = z.object({
  path: z.string(),
  kind: z.enum(['kernel', 'xl-config', 'lab', 'ramdisk', 'unknown']),
  /** One sentence: what it is. */
  summary: z.string(),
  modes: z.array(DomainMode),
  bits: z.union([z.literal(32), z.literal(64)]).nullable(),
  /** Name and value pairs: format, ELF notes, payload. */
  facts: z.array(z.object({ label: z.string(), value: z.string() })),
  /** What was looked for, in order, and whether it was there. */
  checked: z.array(z.object({ text: z.string(), found: z.boolean() })),
  /** Ready-made spec values (from xl.cfg or defaults). */
  suggested: z.record(z.string(), z.unknown()),
  /** xl.cfg keys that are not honoured. */
  ignored: z.array(z.string()),
});
export type FileReport = z.output<typeof FileReport>;
