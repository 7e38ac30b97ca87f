// What a domain's kernel and RAM disk were when it was last started: their SHA-256 by path, kept in the lab file, so that a changed file is
// noticed. The lab keeps paths, not copies.

import { createHash } from 'node:crypto';
import path from 'node:path';
import type { DomainSpec } from '../../shared/model.ts';

/** SHA-256 in hexadecimal by absolute path. */
export type FileHashes = Record<string, string>;

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Paths of the files that a spec's domain is started from; what is inside the app is none. */
export const startFiles = (spec: DomainSpec): string[] =>
  [spec.kernel, spec.ramdisk].filter((p) => p !== undefined).filter((p) => !p.startsWith('builtin:'));

/** One sentence on the files that are not what they were; empty when all are, or nothing is known of before. */
export function changedSentence(before: FileHashes | undefined, now: FileHashes): string {
  const changed = Object.keys(now).filter((p) => before?.[p] !== undefined && before[p] !== now[p]);
  if (!changed.length) return '';
  const names = changed.map((p) => path.basename(p)).join(' and ');
  return `${names} ${changed.length === 1 ? 'has' : 'have'} changed since it was last started.`;
}
