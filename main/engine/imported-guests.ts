// Guests that the user brought along: what was started from a kernel of their own stands on the shelf from then on, and in the lab file.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { DomainMode, type DomainSpec, type Template } from '../../shared/model.ts';

/** One way of starting a kernel: everything of a spec but the name. */
export const ImportedGuest = z.object({
  kernel: z.string(),
  mode: DomainMode,
  spec: z.record(z.string(), z.unknown()),
});
export type ImportedGuest = z.output<typeof ImportedGuest>;

/** Kernels remembered; the one used longest ago gives way. */
const MOST = 12;

export class ImportedGuests {
  /** Oldest first. */
  #list: ImportedGuest[] = [];

  get list(): readonly ImportedGuest[] {
    return this.#list;
  }
  restore(list: readonly ImportedGuest[]): void {
    this.#list = list.slice(-MOST);
  }

  /** Remembers how a domain was started, in place of the last time this kernel was started in that mode. Disks and addresses are a domain's own. */
  note(spec: DomainSpec): void {
    const { kernel, ramdisk, cmdline, memoryMiB, vcpus, mode, nics } = spec;
    this.#list = this.#list.filter((g) => g.kernel !== kernel || g.mode !== mode);
    const kept = { mode, kernel, cmdline, memoryMiB, vcpus, nics: nics.map(({ bridge }) => ({ bridge })) };
    this.#list.push({ kernel, mode, spec: ramdisk === undefined ? kept : { ...kept, ramdisk } });
    this.#list = this.#list.slice(-MOST);
  }

  /** As the shelf shows them, the latest first: one template a kernel, one offer a mode. */
  templates(): Template[] {
    const kernels = [...new Set(this.#list.map((g) => g.kernel).reverse())];
    return kernels.map((kernel) => {
      const ways = this.#list.filter((g) => g.kernel === kernel);
      const missing = [kernel, ...ways.map((g) => g.spec['ramdisk'])].find(
        (file) => typeof file === 'string' && !existsSync(file),
      );
      return {
        id: `imported-${createHash('sha256').update(kernel).digest('hex').slice(0, 12)}`,
        title: path.basename(kernel),
        offers: ways.map(({ mode, spec }) => ({
          label: mode === 'native' ? 'Native' : mode.toUpperCase(),
          mode,
          spec,
        })),
        unavailable: missing === undefined ? null : `${String(missing)} is not there any more. Import the guest again.`,
      };
    });
  }
}
