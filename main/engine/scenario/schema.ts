// What a scenario file may say. docs/scenarios.md explains it; a test keeps the two together.

import { z } from 'zod';
import { MigrationPolicy } from '../../../shared/migration-service.ts';
import { DiskSpec, DomainMode, HostSpec, LIMITS, LinkSpec, NicSpec } from '../../../shared/model.ts';

const UNITS: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, min: 60e9 };

/** A length of time: number and unit; `wall` at the end measures on this computer's clock instead of the lab's. */
export const Duration = z
  .string()
  .regex(
    /^\d+(\.\d+)?\s*(ns|us|ms|s|min)(\s+wall)?$/,
    'a time is a number and a unit (ns, us, ms, s, min), such as "5s" or "30s wall"',
  )
  .transform((text) => {
    const [, n, , unit, wall] = /^(\d+(\.\d+)?)\s*(ns|us|ms|s|min)(\s+wall)?$/.exec(text)!;
    return { ns: Math.round(Number(n) * UNITS[unit!]!), wall: wall !== undefined };
  });
const VirtualDuration = Duration.refine(
  (d) => !d.wall,
  'this time is measured on the lab\'s clock and takes no "wall"',
);

const domainName = z.string().min(1);

export const ScenarioDomain = z.union([
  z.strictObject({
    name: domainName,
    host: z.string(),
    mode: DomainMode,
    kernel: z.string(),
    ramdisk: z.string().optional(),
    cmdline: z.string().default(''),
    memoryMiB: z.int().min(LIMITS.domainMemoryMiB.min).max(LIMITS.domainMemoryMiB.max),
    vcpus: z.int().min(LIMITS.vcpus.min).max(LIMITS.vcpus.max).default(1),
    disks: z.array(DiskSpec).default([]),
    nics: z.array(NicSpec).default([]),
    weight: z.int().min(1).max(65535).default(256),
    cap: z.int().min(0).max(800).default(0),
  }),
  z.strictObject({ host: z.string(), xl: z.string(), name: domainName.optional() }),
]);

const Expect = z
  .strictObject({
    domain: domainName,
    text: z.string().optional(),
    regex: z.string().optional(),
    within: Duration.default({ ns: 10e9, wall: false }),
  })
  .refine((e) => (e.text === undefined) !== (e.regex === undefined), 'expect needs exactly one of text and regex');

const Assert = z
  .strictObject({
    /** Path into the report, such as `domains.web.figures.instructions`. */
    figure: z.string().min(1),
    equals: z.union([z.number(), z.string(), z.boolean()]).optional(),
    above: z.number().optional(),
    below: z.number().optional(),
  })
  .refine(
    (a) => a.equals !== undefined || a.above !== undefined || a.below !== undefined,
    'assert needs equals, above or below',
  );

const Migrate = z.strictObject({
  domain: domainName,
  /** A host of this scenario. */
  to: z.string(),
  /** Name of a preset, or numbers over one. */
  policy: z
    .union([
      MigrationPolicy.shape.preset.unwrap(),
      z
        .strictObject(MigrationPolicy.partial().shape, {
          error: `a policy is one of ${MigrationPolicy.shape.preset.unwrap().options.join(', ')}, or numbers over one of them`,
        })
        .refine((p) => Object.keys(p).length > 0, 'a policy has at least one number'),
    ])
    .default('xen-today'),
  disks: z.record(z.string(), z.enum(['shared', 'copy'])).default({}),
  /** false: the next step follows at once. */
  wait: z.boolean().default(true),
  within: VirtualDuration.default({ ns: 600e9, wall: false }),
});

/** The steps there are. */
export const Step = z.union([
  z.strictObject({ expect: Expect }),
  z.strictObject({ type: z.strictObject({ domain: domainName, text: z.string() }) }),
  z.strictObject({ wait: VirtualDuration }),
  z.strictObject({ pause: domainName }),
  z.strictObject({ unpause: domainName }),
  z.strictObject({
    shutdown: z.union([
      domainName,
      z.strictObject({ domain: domainName, reason: z.enum(['poweroff', 'reboot']).default('poweroff') }),
    ]),
  }),
  z.strictObject({
    balloon: z.strictObject({ domain: domainName, memoryMiB: z.int().min(1).max(LIMITS.domainMemoryMiB.max) }),
  }),
  z.strictObject({
    vcpus: z.strictObject({ domain: domainName, online: z.int().min(1).max(LIMITS.vcpus.max) }),
  }),
  z.strictObject({
    /** Without a file: no longer. */
    capture: z.strictObject({ domain: domainName, nic: z.int().min(0).max(7).default(0), file: z.string().optional() }),
  }),
  z.strictObject({ destroy: domainName }),
  z.strictObject({
    save: z.strictObject({
      domain: domainName,
      /** Relative to the scenario. */
      file: z.string().min(1),
      keepRunning: z.boolean().default(false),
    }),
  }),
  z.strictObject({
    restore: z.strictObject({ file: z.string().min(1), host: z.string(), name: domainName }),
  }),
  z.strictObject({ clone: z.strictObject({ domain: domainName, name: domainName }) }),
  z.strictObject({ migrate: Migrate }),
  z.strictObject({ assert: Assert }),
]);
export type Step = z.output<typeof Step>;

export const Scenario = z.strictObject({
  name: z.string().optional(),
  seed: z.int().min(0).default(1),
  hosts: z.array(HostSpec).min(1).max(LIMITS.hosts),
  link: LinkSpec.default(LinkSpec.parse({})),
  domains: z.array(ScenarioDomain).default([]),
  steps: z.array(Step).default([]),
});
export type Scenario = z.output<typeof Scenario>;
