// A domain as the lab knows it: what stays the same across hosts and restarts, and what was last seen of it.

import type { DomainSpec, DomainState, DomainStatus } from '../../shared/model.ts';
import { NS_PER_SECOND } from '../../shared/units.ts';
import type { ConsoleLog } from './console-log.ts';
import type { FileHashes } from './file-hashes.ts';

export interface LabDomain {
  uuid: string;
  spec: DomainSpec;
  host: string;
  /** Its number on its host, -1 while it has none. */
  domid: number;
  colour: number;
  createdAt: number;
  console: ConsoleLog;
  status: DomainStatus;
  /** CPU time at times of the last second of lab time, oldest first: what the rate shown is worked out from. */
  samples: { at: number; cpuNs: number }[];
  /** Of the files it was last started from. */
  hashes: FileHashes;
}

/** A domain that is not on its host yet. */
export function labDomain(
  about: Pick<LabDomain, 'uuid' | 'spec' | 'host' | 'colour' | 'createdAt' | 'console'> & { hashes?: FileHashes },
  state: DomainState,
  reason: string | null = null,
): LabDomain {
  const { uuid, spec, host, colour, createdAt, console } = about;
  return {
    uuid,
    spec,
    host,
    domid: -1,
    colour,
    createdAt,
    console,
    samples: [],
    hashes: about.hashes ?? {},
    status: {
      uuid,
      name: spec.name,
      host,
      domid: -1,
      colour,
      mode: spec.mode,
      bits: null,
      state,
      reason,
      vcpus: spec.vcpus,
      memoryMiB: spec.memoryMiB,
      createdAt,
      cpuNs: 0,
      cpuPercent: 0,
      consoleBytes: console.end,
      nics: spec.nics.length,
    },
  };
}

/** Whether its host knows it: not when it was lost, or stopped with the lab and was not booted again. */
export const isOnHost = (d: LabDomain): boolean =>
  d.status.state === 'building' || (d.domid >= 0 && d.status.state !== 'lost');

/** Takes a sample and gives the share of one pCPU over the last second of lab time (or since there are samples), in percent. */
export function cpuPercent(samples: LabDomain['samples'], latest: { at: number; cpuNs: number }): number {
  if (samples.at(-1)?.at === latest.at) samples.pop();
  samples.push(latest);
  while (samples.length > 2 && samples[1]!.at <= latest.at - NS_PER_SECOND) samples.shift();
  const first = samples[0]!;
  return latest.at > first.at ? (100 * (latest.cpuNs - first.cpuNs)) / (latest.at - first.at) : 0;
}
