// What the engine can ask of the inside of one host: arguments and results by name. Domains are domids here; the engine knows their uuids.

import type {
  DeviceReport,
  DisassembledInstruction,
  FrameReport,
  ScheduleSlice,
  StackEntry,
  StoreNode,
  TraceKind,
  TraceRecord,
  TraceStatus,
  VcpuReport,
} from '../../../shared/inspection-service.ts';

/** A slice as its host knows it. */
export type HostSlice = Omit<ScheduleSlice, 'host' | 'uuid'> & { domid: number };
/** A trace record as its host knows it; domid is null where it is about no domain. */
export type HostTraceRecord = Omit<TraceRecord, 'host' | 'uuid'> & { domid: number | null };
/** Which records are wanted; empty lists and an empty text want all. */
export interface HostTraceFilter {
  domids: number[];
  kinds: TraceKind[];
  text: string;
  failed: boolean;
}

interface OfVcpu {
  domid: number;
  vcpu: number;
}

/** Addresses are 0x-prefixed hexadecimal text. */
export interface InspectionCalls {
  storeNode: { args: { path: string }; result: StoreNode };
  storeWrite: { args: { path: string; value: string }; result: void };
  storeRemove: { args: { path: string }; result: void };
  /** Begins to collect paths at or below `path` that change, under a number that the caller chose. */
  storeWatch: { args: { id: number; path: string }; result: void };
  /** Paths changed since the last call, without repetition. */
  storeChanges: { args: { id: number }; result: string[] };
  storeUnwatch: { args: { id: number }; result: void };

  devices: { args: { domid: number }; result: DeviceReport[] };
  frames: { args: { domid: number; first: number; count: number }; result: FrameReport[] };

  schedule: { args: { from: number; to: number; limit: number }; result: HostSlice[] };
  /** Slices that ended after the first `after` of this host, and how many have ended. */
  scheduleTail: { args: { after: number; limit: number }; result: { slices: HostSlice[]; ended: number } };

  setTracing: { args: { recording: boolean }; result: void };
  traceStatus: { args: object; result: TraceStatus };
  /** The newest `limit` records with an index below `before`, oldest first. */
  traceRecords: {
    args: { filter: HostTraceFilter; before: number | null; limit: number };
    result: HostTraceRecord[];
  };
  /** The newest `limit` records after index `after`, how many more there were, and the index of the last record of all. */
  traceTail: {
    args: { filter: HostTraceFilter; after: number; limit: number };
    result: { records: HostTraceRecord[]; skipped: number; last: number };
  };

  vcpus: { args: { domid: number }; result: VcpuReport[] };
  disassemble: { args: OfVcpu & { address: string | null; count: number }; result: DisassembledInstruction[] };
  readMemory: {
    args: OfVcpu & { address: string; bytes: number; space: 'linear' | 'physical' };
    result: (number | null)[];
  };
  stack: { args: OfVcpu & { entries: number }; result: StackEntry[] };
  /** Runs one instruction of a paused domain's vCPU; its report afterwards, and the virtual ns that it cost. */
  stepInstruction: { args: OfVcpu; result: { report: VcpuReport; ns: number } };
  breakpoints: { args: { domid: number }; result: string[] };
  setBreakpoint: { args: { domid: number; address: string; on: boolean }; result: void };
}
export type InspectionCall = keyof InspectionCalls;
/** One function for each call. */
export type InspectionHandlers = {
  readonly [C in InspectionCall]: (args: InspectionCalls[C]['args']) => InspectionCalls[C]['result'];
};
