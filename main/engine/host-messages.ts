// What the engine and a host's worker thread say to each other.

import type { DomainSpec, Figures, HostSpec } from '../../shared/model.ts';
import type { ErrorSentences } from '../../shared/errors.ts';
import type { InspectionCalls } from '../toolstack/inspection/calls.ts';
import type { MigrationCalls } from '../toolstack/migration/calls.ts';
import type { SavingCalls } from '../toolstack/saving/calls.ts';
import type { AdvanceResult, HostDomainStatus, LinkFrame } from '../toolstack/simulated-host.ts';

/** The files of a spec as they cross to the worker; disks are opened there. */
export interface CarriedFiles {
  kernel: Uint8Array;
  ramdisk?: Uint8Array;
}

/** Everything the window shows of a host. */
export interface HostReport {
  domains: HostDomainStatus[];
  freeMiB: number;
  /** See HostStatus. */
  translation?: { bytes: number; limit: number; failed: number } | null;
  memory: { owner: number | 'hypervisor' | null; firstFrame: number; frames: number }[];
  pcpus: { running: number | null; busy: { domid: number; ns: number }[] }[];
}

/** Requests by name: arguments and result. */
export interface HostCalls extends InspectionCalls, MigrationCalls, SavingCalls {
  start: { args: { spec: HostSpec; seed: number }; result: void };
  /** Runs up to `until`; `frames` reach it on the way, those it sends out come back. */
  advance: {
    args: { until: number; frames?: LinkFrame[] };
    result: AdvanceResult & { frames?: LinkFrame[] };
  };
  createDomain: { args: { spec: DomainSpec; files: CarriedFiles }; result: number };
  pauseDomain: { args: { domid: number }; result: void };
  unpauseDomain: { args: { domid: number }; result: void };
  shutdownDomain: { args: { domid: number; reason: 'poweroff' | 'reboot' }; result: void };
  setMemoryTarget: { args: { domid: number; memoryMiB: number }; result: void };
  /** Numbers of the domains whose guests have a balloon driver. */
  balloonable: { args: object; result: number[] };
  setVcpus: { args: { domid: number; vcpus: number }; result: void };
  startCapture: { args: { domid: number; nic: number; path: string }; result: void };
  stopCapture: { args: { domid: number; nic: number }; result: void };
  destroyDomain: { args: { domid: number; keep?: string }; result: boolean };
  reviveDomain: { args: { key: string }; result: number };
  dropDomain: { args: { key: string }; result: void };
  consoleInput: { args: { domid: number; bytes: Uint8Array }; result: void };
  domainStatus: { args: { domid: number }; result: HostDomainStatus };
  figures: { args: { domid: number }; result: Figures };
  report: { args: object; result: HostReport };
  digest: { args: object; result: string };
}
export type HostCall = keyof HostCalls;

export interface HostRequest {
  id: number;
  call: HostCall;
  args: unknown;
}
export type HostReply =
  | { id: number; value: unknown }
  | { id: number; error: ErrorSentences }
  | { event: 'console'; domid: number; bytes: Uint8Array }
  | { event: 'state'; domid: number };
