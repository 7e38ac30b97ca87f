// The configuration in front of a stream: the JSON in which xl keeps a domain's configuration, with what only Bulkhead needs under a key
// of its own (readers of Xen pass over keys that they do not know).

import { z } from 'zod';
import { DomainSpec } from '../../../shared/model.ts';
import { streamError } from './errors.ts';

/** Version of the part under our key. */
export const SAVED_VERSION = 1;

/** What only Bulkhead knows of a domain. */
export const SavedDomain = z.object({
  version: z.number(),
  spec: DomainSpec,
  /** Identity at the time of saving: a migrated domain keeps it, a restored one gets another. */
  uuid: z.string(),
  bits: z.union([z.literal(32), z.literal(64)]),
  /** Host and its virtual time in ns. */
  host: z.string(),
  savedAt: z.number(),
  clockMHz: z.number(),
  /** Most pages it may own, and the memory map it was given. */
  maxPages: z.int().min(1),
  memoryMap: z.array(z.object({ address: z.number(), size: z.number(), type: z.int() })),
  /** What its balloon was asked for. */
  targetKiB: z.number().optional(),
  /** Bytes it had printed. */
  consoleBytes: z.number(),
  /** MAC addresses in the order of spec.nics. */
  macs: z.array(z.string()),
  /** The end of what it had printed, base64. */
  scrollback: z.string().optional(),
});
export type SavedDomain = z.output<typeof SavedDomain>;

export interface StreamConfig {
  /** Null: the stream was made by Xen. */
  saved: SavedDomain | null;
  /** From xl's own part, where present. */
  name: string | null;
  uuid: string | null;
  type: string | null;
  vcpus: number | null;
  memoryKiB: number | null;
  cmdline: string | null;
}

/** The JSON text. */
export function encodeConfig(saved: SavedDomain): string {
  const { spec } = saved;
  return JSON.stringify({
    c_info: { type: spec.mode === 'pv' ? 'pv' : 'pvh', name: spec.name, uuid: saved.uuid },
    b_info: {
      max_vcpus: spec.vcpus,
      max_memkb: spec.memoryMiB * 1024,
      target_memkb: saved.targetKiB ?? spec.memoryMiB * 1024,
      sched_params: { weight: spec.weight, cap: spec.cap },
      cmdline: spec.cmdline,
      [`type.${spec.mode === 'pv' ? 'pv' : 'pvh'}`]: {},
    },
    bulkhead: saved,
  });
}

/** Reads xl's configuration. @throws BulkheadError stream-corrupt, stream-unsupported (a newer Bulkhead) */
export function decodeConfig(text: string): StreamConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw streamError('stream-corrupt', 'Its configuration is not JSON.', 'Use an intact copy of the file.');
  }
  const object = (v: unknown): Record<string, unknown> =>
    typeof v === 'object' && v !== null ? (v as Record<string, unknown>) : {};
  const text_ = (v: unknown) => (typeof v === 'string' ? v : null);
  const number = (v: unknown) => (typeof v === 'number' ? v : null);
  const root = object(json);
  const create = object(root.c_info);
  const build = object(root.b_info);
  const config: StreamConfig = {
    saved: null,
    name: text_(create.name),
    uuid: text_(create.uuid),
    type: text_(create.type),
    vcpus: number(build.max_vcpus),
    memoryKiB: number(build.max_memkb),
    cmdline: text_(build.cmdline),
  };
  if (root.bulkhead === undefined) return config;
  const version = object(root.bulkhead).version;
  if (typeof version === 'number' && version > SAVED_VERSION)
    throw streamError(
      'stream-unsupported',
      `A newer Bulkhead made it (format ${version}; this one reads up to ${SAVED_VERSION}).`,
      'Open it with the version of Bulkhead that saved it.',
    );
  const parsed = SavedDomain.safeParse(root.bulkhead);
  if (!parsed.success)
    throw streamError(
      'stream-corrupt',
      `Its configuration makes no sense (${parsed.error.issues[0]!.path.join('.')}).`,
      'Use an intact copy of the file.',
    );
  return { ...config, saved: parsed.data };
}
