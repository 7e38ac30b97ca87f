// Looking inside: xenstore, devices, memory, schedule, trace and debugger, as parts of the lab service.
// Invariant: addresses and 64-bit registers cross as 0x-prefixed hexadecimal strings (JSON numbers would round them); looking changes nothing.

import { z } from 'zod';
import { event, method } from './rpc.ts';

const none = z.strictObject({});
const hex = z.string().regex(/^0x[0-9a-f]{1,16}$/i, 'an address is 0x and up to sixteen hexadecimal digits');

// ---- xenstore

export interface StoreNode {
  path: string;
  /** As text where it is UTF-8 (xenstore values usually are), else escaped \xNN. */
  value: string;
  /** Names of the children, sorted. */
  children: string[];
  /** As xenstore-ls -p prints them: owner first, such as "n0,r3". */
  permissions: string;
  /** Whether the lab may write it without breaking a protocol that is running. */
  editable: boolean;
}

// ---- devices

/** A device of a domain: split drivers by both ends, devices of a native machine by their registers. */
export interface DeviceReport {
  /** Such as `vbd/51712`, `vif/0`, `console`, `uart16550`. */
  id: string;
  title: string;
  /** XenbusState of both ends in words; null for emulated devices. */
  frontend: string | null;
  backend: string | null;
  /** Name and value pairs: image, format, ring size, event channel, grants mapped, MAC, bridge. */
  facts: { label: string; value: string }[];
  /** Counts since it was connected: requests, bytes, errors, packets. */
  counters: { label: string; value: number; unit: 'count' | 'bytes' }[];
  /** Why it does not work, or null. */
  problem: string | null;
}

// ---- memory

/** One page of a domain. */
export interface FrameReport {
  pfn: number;
  mfn: number;
  /** Xen's page type, such as `writable`, `l1`, `l4 pinned`, `none`; `absent` when ballooned out. */
  type: string;
  references: number;
  typeCount: number;
}

// ---- schedule

/** A vCPU ran on a pCPU. */
export interface ScheduleSlice {
  host: string;
  pcpu: number;
  uuid: string;
  vcpu: number;
  /** Virtual ns. */
  from: number;
  to: number;
  /** Why it ended. */
  ended: 'slice' | 'blocked' | 'yielded' | 'preempted' | 'paused' | 'running';
}

// ---- trace

export const TraceKind = z.enum(['hypercall', 'exit', 'fault', 'event', 'schedule', 'grant', 'memory', 'device']);
export type TraceKind = z.output<typeof TraceKind>;
export interface TraceRecord {
  /** Position in its host's trace, 1.. */
  index: number;
  host: string;
  /** Virtual ns. */
  at: number;
  kind: TraceKind;
  uuid: string | null;
  vcpu: number;
  /** Hypercall with sub-operation, exit reason, fault vector with mnemonic, port. */
  name: string;
  /** Arguments in hexadecimal or words, in order. */
  args: string;
  /** Result in words (0, -EINVAL ...); empty where there is none. */
  result: string;
  /** Virtual ns from entry to return; 0 where it has no length. */
  ns: number;
}
export const TraceFilter = z.strictObject({
  hosts: z.array(z.string()).default([]),
  uuids: z.array(z.string()).default([]),
  kinds: z.array(TraceKind).default([]),
  /** Part of a name or of its arguments; empty = all. */
  text: z.string().max(200).default(''),
  /** Only calls that failed. */
  failed: z.boolean().default(false),
});
export type TraceFilter = z.output<typeof TraceFilter>;
export interface TraceStatus {
  recording: boolean;
  /** Records kept and records that fell out of the ring, all hosts. */
  kept: number;
  lost: number;
}

// ---- debugger

export interface RegisterValue {
  name: string;
  /** 0x... in the register's width; ST and XMM registers as their bytes, most significant first. */
  value: string;
  group: 'general' | 'segment' | 'control' | 'debug' | 'x87' | 'sse' | 'msr';
  /** What it says, such as the flags set in EFLAGS or a segment's base and limit. */
  note: string;
}
export interface DisassembledInstruction {
  address: string;
  bytes: string;
  /** Intel syntax from the CPU's own instruction table. */
  text: string;
  /** The kernel's symbol at this address, when its image has symbols. */
  symbol: string | null;
  breakpoint: boolean;
  current: boolean;
}
export interface VcpuReport {
  vcpu: number;
  /** In words: running, runnable, blocked, offline. */
  state: string;
  /** Such as `64-bit, ring 3 (guest kernel)`. */
  mode: string;
  rip: string;
  instructions: number;
  registers: RegisterValue[];
}
export interface StackEntry {
  address: string;
  value: string;
  symbol: string | null;
}

const vcpuOf = { uuid: z.string(), vcpu: z.int().min(0).max(127).default(0) };

export const inspectionMethods = {
  storeNode: method<StoreNode>()(z.strictObject({ host: z.string(), path: z.string().max(3072) })),
  storeWrite: method<void>()(
    z.strictObject({ host: z.string(), path: z.string().max(3072), value: z.string().max(4096) }),
  ),
  storeRemove: method<void>()(z.strictObject({ host: z.string(), path: z.string().max(3072) })),

  devices: method<DeviceReport[]>()(z.strictObject({ uuid: z.string() })),

  /** Frames [first, first + count) of a domain's pseudo-physical space. */
  frames: method<FrameReport[]>()(
    z.strictObject({ uuid: z.string(), first: z.int().min(0), count: z.int().min(1).max(4096) }),
  ),

  /** Slices that overlap [from, to) virtual ns; at most `limit`, newest win. Each host keeps its last 200,000. */
  schedule: method<ScheduleSlice[]>()(
    z.strictObject({
      host: z.string(),
      from: z.number(),
      to: z.number(),
      limit: z.int().min(1).max(20_000).default(5_000),
    }),
  ),

  traceStatus: method<TraceStatus>()(none),
  setTracing: method<void>()(z.strictObject({ recording: z.boolean() })),
  /** The newest `limit` records that pass the filter, oldest first; `before` pages back. */
  trace: method<TraceRecord[]>()(
    z.strictObject({
      filter: TraceFilter.prefault({}),
      before: z.record(z.string(), z.int()).optional(),
      limit: z.int().min(1).max(5_000).default(500),
    }),
  ),
  /** Writes the kept records that pass the filter as JSON Lines. */
  exportTrace: method<{ records: number }>()(z.strictObject({ filter: TraceFilter.prefault({}), path: z.string() })),

  vcpus: method<VcpuReport[]>()(z.strictObject({ uuid: z.string() })),
  /** Instructions from `address` on (default: the current one). */
  disassemble: method<DisassembledInstruction[]>()(
    z.strictObject({ ...vcpuOf, address: hex.optional(), count: z.int().min(1).max(200).default(32) }),
  ),
  /** Memory as the vCPU sees it; bytes that are not mapped are null. */
  readMemory: method<(number | null)[]>()(
    z.strictObject({
      ...vcpuOf,
      address: hex,
      bytes: z.int().min(1).max(4096),
      space: z.enum(['linear', 'physical']).default('linear'),
    }),
  ),
  stack: method<StackEntry[]>()(z.strictObject({ ...vcpuOf, entries: z.int().min(1).max(256).default(32) })),
  /** Runs one instruction of this vCPU of a paused domain (the lab's clock advances by its cost). */
  stepInstruction: method<VcpuReport>()(z.strictObject(vcpuOf)),
  breakpoints: method<string[]>()(z.strictObject({ uuid: z.string() })),
  /** The domain pauses before the instruction at this linear address. At most 64 a domain. */
  setBreakpoint: method<void>()(z.strictObject({ uuid: z.string(), address: hex, on: z.boolean() })),
} as const;

export const inspectionEvents = {
  /** Told when a node of `path` or below changed: paths, at most ten messages a second. */
  storeChanged: event<string[]>()(z.strictObject({ host: z.string(), path: z.string() })),
  /** New records that pass the filter, sampled to at most 200 a message and ten messages a second; `skipped` says how many were left out. */
  trace: event<{ records: TraceRecord[]; skipped: number }>()(TraceFilter.prefault({})),
  /** Slices of a host as they end, ten messages a second at most. */
  schedule: event<ScheduleSlice[]>()(z.strictObject({ host: z.string() })),
} as const;
