// Where kernels come from: built-in images by name, files by path. And the shelf.

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BulkheadError } from '../../shared/errors.ts';
import type { Template } from '../../shared/model.ts';
import { builtinImagePath, templates as allTemplates } from '../guests/templates.ts';

/** Reads a kernel or RAM disk: `builtin:<name>` or an absolute path. */
export async function readKernel(name: string): Promise<Uint8Array> {
  if (!name.startsWith('builtin:')) return new Uint8Array(await readFile(name));
  const file = builtinImagePath(name);
  if (!file)
    throw new BulkheadError({
      code: 'file-missing',
      what: `There is no built-in guest ${name.slice('builtin:'.length)}.`,
      why: 'This version of Bulkhead does not contain it.',
      action: 'Choose a guest from the shelf.',
      field: 'kernel',
    });
  return new Uint8Array(await readFile(file));
}

/** Folder in which fetched guests are looked for: BULKHEAD_GUESTS, the checkout's cache, or the user's. */
export function guestFolder(): string {
  const set = process.env.BULKHEAD_GUESTS;
  if (set) return path.resolve(set);
  const below = fileURLToPath(new URL('.', import.meta.url));
  const source = import.meta.url.endsWith('.ts');
  return source ? path.resolve(below, '../../.cache/guests') : path.join(homedir(), '.cache', 'bulkhead', 'guests');
}

export const templates = (): Template[] => allTemplates(guestFolder());
