// The engine's service: what a window or the command line can ask of a lab, and what it can listen to.

import { z } from 'zod';
import { DomainMode, DomainSpec, HostSpec, LIMITS, LinkSpec } from './model.ts';
import type { FileReport, Figures, LabEvent, LabStatus, Template } from './model.ts';
import { inspectionEvents, inspectionMethods } from './inspection-service.ts';
import { migrationEvents, migrationMethods } from './migration-service.ts';
import { event, method, type Client, type Implementation } from './rpc.ts';

const uuid = z.strictObject({ uuid: z.string() });
const none = z.strictObject({});

/** A stretch of console output: bytes [end - bytes.length, end) of everything the domain ever printed. */
export interface ConsoleChunk {
  uuid: string;
  bytes: Uint8Array;
  end: number;
}
/** A domain that can make room on its host by shrinking. */
export interface BalloonOffer {
  uuid: string;
  name: string;
  host: string;
  /** To which size. */
  memoryMiB: number;
  /** What its host would have free then. */
  roomMiB: number;
}
/** One sample of a domain, for charts. */
export interface FiguresSample {
  uuid: string;
  /** Virtual ns. */
  at: number;
  figures: Figures;
  cpuPercent: number;
}

export const labService = {
  name: 'lab',
  methods: {
    snapshot: method<LabStatus>()(none),
    templates: method<Template[]>()(none),
    /** Events of the tape from `after` (exclusive id) on. */
    events: method<LabEvent[]>()(z.strictObject({ after: z.int().default(0) })),

    run: method<void>()(none),
    pause: method<void>()(none),
    /** Virtual seconds per second; 0 = as fast as possible. */
    setSpeed: method<void>()(z.strictObject({ speed: z.number().min(0).max(1000) })),
    /** Runs for so much virtual time, then pauses. */
    step: method<void>()(z.strictObject({ ns: z.number().positive() })),

    renameLab: method<void>()(z.strictObject({ name: z.string().min(1).max(80) })),
    addHost: method<void>()(z.strictObject({ spec: HostSpec })),
    /** Changes a host that has no domains. */
    editHost: method<void>()(z.strictObject({ name: z.string(), spec: HostSpec })),
    removeHost: method<void>()(z.strictObject({ name: z.string() })),
    editLink: method<void>()(z.strictObject({ spec: LinkSpec })),

    createDomain: method<{ uuid: string }>()(z.strictObject({ host: z.string(), spec: DomainSpec })),
    /** Creates from a template; name, memory and the rest may be overridden. A free name is chosen when none is given. */
    createFromTemplate: method<{ uuid: string }>()(
      z.strictObject({
        host: z.string(),
        template: z.string(),
        offer: z.string().optional(),
        overrides: z.record(z.string(), z.unknown()).default({}),
      }),
    ),
    /** Why a template or spec cannot be created on each host right now: host name -> sentence, absent = it can. */
    refusals: method<Record<string, string>>()(z.strictObject({ mode: z.string(), memoryMiB: z.number() })),
    pauseDomain: method<void>()(uuid),
    unpauseDomain: method<void>()(uuid),
    /** Asks the guest to shut down. */
    shutdownDomain: method<void>()(
      z.strictObject({ uuid: z.string(), reason: z.enum(['poweroff', 'reboot']).default('poweroff') }),
    ),
    /** Asks the guest's balloon driver for this size; the domain's memory follows as far as the guest gives or takes. */
    setMemoryTarget: method<void>()(
      z.strictObject({ uuid: z.string(), memoryMiB: z.int().min(1).max(LIMITS.domainMemoryMiB.max) }),
    ),
    /**
     * Which domain's balloon would make room on a host: for a domain of so much memory, or for the one named, that would move there. Null
     * when none alone suffices, or memory is not what is lacking.
     */
    balloonOffer: method<BalloonOffer | null>()(
      z.union([
        z.strictObject({ host: z.string(), memoryMiB: z.int().min(1), mode: DomainMode.default('pv') }),
        z.strictObject({ host: z.string(), moving: z.string() }),
      ]),
    ),
    /** Does what was offered; resolves when the host has the room. It takes lab time. */
    makeRoom: method<void>()(
      z.strictObject({ uuid: z.string(), memoryMiB: z.int().min(1), roomMiB: z.number().positive() }),
    ),
    /** Asks the guest to use its first `vcpus` vCPUs. */
    setVcpus: method<void>()(z.strictObject({ uuid: z.string(), vcpus: z.int().min(1).max(LIMITS.vcpus.max) })),
    /** Writes every frame of a network interface (counted from 0) to a pcap file, until stopCapture or the domain's end. */
    startCapture: method<void>()(
      z.strictObject({ uuid: z.string(), nic: z.int().min(0).max(7).default(0), path: z.string() }),
    ),
    stopCapture: method<void>()(z.strictObject({ uuid: z.string(), nic: z.int().min(0).max(7).default(0) })),
    destroyDomain: method<void>()(uuid),
    /** Boots a domain again from its kernel, whatever state it is in. */
    restartDomain: method<void>()(uuid),
    renameDomain: method<void>()(z.strictObject({ uuid: z.string(), name: z.string() })),
    /** Reverses the last destroy that is still kept. */
    undo: method<{ uuid: string }>()(none),
    /** Destroys again what the last undo brought back. */
    redo: method<{ uuid: string }>()(none),
    /** Whether the clock stops when a guest crashes; kept in the lab file. */
    setPauseOnCrash: method<void>()(z.strictObject({ pauseOnCrash: z.boolean() })),

    typeConsole: method<void>()(z.strictObject({ uuid: z.string(), bytes: z.instanceof(Uint8Array) })),
    /** The last `limit` bytes of a console's output. */
    consoleHistory: method<ConsoleChunk>()(
      z.strictObject({ uuid: z.string(), limit: z.int().min(1).max(4_194_304).default(262_144) }),
    ),
    figures: method<FiguresSample>()(uuid),

    inspectFile: method<FileReport>()(z.strictObject({ path: z.string() })),
    cancelTask: method<void>()(z.strictObject({ id: z.int() })),
    /** Writes a copy of the lab file. */
    exportLab: method<void>()(z.strictObject({ path: z.string() })),

    ...migrationMethods,
    ...inspectionMethods,
  },
  events: {
    /** The whole status, when it changed, at most ten times a second. */
    status: event<LabStatus>()(none),
    /** New tape events. */
    labEvents: event<LabEvent[]>()(none),
    console: event<ConsoleChunk>()(uuid),
    /** About five samples a second while the lab runs. */
    figures: event<FiguresSample>()(uuid),

    ...migrationEvents,
    ...inspectionEvents,
  },
} as const;

export type LabClient = Client<typeof labService>;
export type LabImplementation = Implementation<typeof labService>;
